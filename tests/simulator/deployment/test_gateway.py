"""The way in for SuperNodes: what they ask passes, and nothing else, however it is written."""

import socket
import ssl
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest
from reference.deployment import free_addresses
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from simulator.core.errors import InputError
from simulator.deployment import gateway as module
from simulator.deployment.clock import complaint
from simulator.deployment.gateway import CALLS, gateway, serving
from simulator.deployment.keys.authority import Authority


async def echo(request):
    """Stands for a SuperLink: says what it was asked, and refuses what is signed "badly"."""
    body = await request.body()
    status = 401 if request.headers.get("signed") == "badly" else 200
    return PlainTextResponse(f"{request.method} {request.url.path} {len(body)}", status)


@pytest.fixture(scope="module")
def link(tmp_path_factory):
    """A SuperLink's stand-in behind its gateway: their addresses, and a client that trusts their authority."""
    folder, authority = tmp_path_factory.mktemp("gateway"), Authority("test")
    identity = authority.issue("gateway", ["127.0.0.1"])
    for name, content in {"ca": identity.authority, "crt": identity.certificate, "key": identity.key}.items():
        (folder / name).write_bytes(content)
    superlink, public, nobody = free_addresses(3)
    pair = folder / "crt", folder / "key"
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
    trust = ssl.create_default_context(cafile=str(folder / "ca"))
    with ExitStack() as opened:
        opened.enter_context(serving(app, superlink, *pair))
        opened.enter_context(serving(gateway(superlink, folder / "ca"), public, *pair))
        client = opened.enter_context(httpx.Client(base_url=f"https://{public}", verify=trust))
        yield SimpleNamespace(
            client=client, trust=trust, public=public, nobody=nobody, pair=pair, authority=folder / "ca"
        )


@pytest.mark.parametrize("call", CALLS)
def test_what_supernodes_ask_reaches_the_superlink_as_it_is(call, link):
    answer = link.client.post(f"/v1/fleet/{call}", content=bytes(10**6))
    assert (answer.status_code, answer.text) == (200, f"POST /v1/fleet/{call} 1000000")
    assert link.client.get("/health").text == "GET /health 0"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/control/start-run", "/v1/control/list-nodes", "/v1/control/register-node", "/v1/control/stop-run"),
        *("/v1/runtime/acquire-task", "/v1/fleet/register-node", "/", "/v1/fleet/", "/docs", "/openapi.json"),
        *("/v1/fleet/../control/start-run", "/v1/fleet/%2e%2e/control/start-run", "//v1/control/start-run"),
        *("/v1/fleet/get-run/../../control/start-run", "/v1/fleet/get-run%00", "/v1/fleet/get-run;/v1/control"),
    ],
)
def test_nothing_else_does_however_it_is_written(path, link):
    for method in ("GET", "POST", "PUT"):
        assert link.client.request(method, httpx.URL(f"https://{link.public}", raw_path=path.encode())).is_error


def test_what_is_asked_beside_the_path_is_not_passed_on(link):
    answer = link.client.post("/v1/fleet/get-run?to=/v1/control/start-run", content=b"x")
    assert answer.text == "POST /v1/fleet/get-run 1"


@pytest.mark.parametrize(("seconds", "said"), [(-600, "600 s behind"), (60, "60 s ahead"), (0, None)])
def test_who_is_refused_for_a_wrong_clock_is_named(seconds, said, link, capsys):
    signed = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    headers = {"flwr-timestamp": signed, "signed": "badly"}
    assert link.client.post("/v1/fleet/activate-node", headers=headers).status_code == 401
    out = capsys.readouterr().out
    assert (f"127.0.0.1 is refused: its clock is {said}" in out) if said else not out


def half_asked(link, path="/v1/fleet/push-messages"):
    """A connection on which a question has begun that does not end."""
    host, port = link.public.split(":")
    begun = link.trust.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname=host)
    begun.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nx".encode())
    return begun


def test_who_asks_slowly_keeps_nobody_waiting_and_is_cut_off(link, monkeypatch):
    """They need no key for it: more of them than there are connections to the SuperLink."""
    with ExitStack() as held:
        for _ in range(101):
            held.enter_context(half_asked(link))
        assert link.client.get("/health", timeout=10).text == "GET /health 0"
    monkeypatch.setattr(module, "ASKING", 0.2)
    with half_asked(link) as begun:
        assert begun.recv(100).startswith(b"HTTP/1.1 408")


def test_a_question_that_is_too_long_is_not_kept(link, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    assert link.client.post("/v1/fleet/get-run", content=bytes(1001)).status_code == 413
    assert link.client.post("/v1/fleet/get-run", content=bytes(1000)).is_success


def test_a_superlink_that_is_away_is_tried_again_by_supernodes(link):
    """Flower's SuperNodes do so after this status."""
    (public,) = free_addresses(1)
    with serving(gateway(link.nobody, link.authority), public, *link.pair):
        assert httpx.post(f"https://{public}/v1/fleet/get-run", verify=link.trust).status_code == 502


def test_an_address_in_use_is_refused(link):
    taken = serving(echo, link.public, *link.pair)
    with pytest.raises(InputError, match=r"the gateway cannot listen at .*: it is in use"):
        taken.__enter__()


@pytest.mark.parametrize(("seconds", "said"), [(0, None), (3600, "s behind"), (-60, "s ahead of")])
def test_a_host_is_told_that_its_clock_is_wrong(seconds, said, link, monkeypatch):
    class Wrong(datetime):
        @classmethod
        def now(cls, tz):
            return datetime.now(tz) - timedelta(seconds=seconds)

    monkeypatch.setattr("simulator.deployment.clock.datetime", Wrong)
    found = complaint(link.public)
    assert (found is None) if said is None else (said in found and "set it" in found)


def test_a_host_is_told_that_it_does_not_reach_the_gateway(link):
    assert "does not answer at" in complaint(link.nobody)
