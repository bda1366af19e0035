"""The way in for SuperNodes: a reverse proxy before the SuperLink that lets through what a SuperNode asks, alone.

Flower serves its control interface, which has no login, on the port of its SuperNodes: whoever reaches that port can
run code on every node. So the SuperLink listens on loopback, and this at the address that nodes are given. What is let
through is a list of whole requests, and the one that is passed on is taken from the list, never from who asks.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from simulator.core.errors import wrong

CALLS = (  # what a SuperNode with a key of its own asks; not "register-node", which is for those without
    *("activate-node", "deactivate-node", "send-node-heartbeat", "pull-messages", "push-messages"),
    *("get-run", "get-fab", "push-object", "pull-object", "confirm-message-received"),
)
ALLOWED = (("GET", "/health"), *(("POST", f"/v1/fleet/{call}") for call in CALLS))
OWN = {"host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "date", "server"}
SECONDS = httpx.Timeout(60.0)  # for the SuperLink to take or say something
LARGEST = 2**24  # bytes of a question; a node's messages go another way
ASKING = 60.0  # seconds for a question to arrive: before that, it holds nothing that others need
SIGNED = "flwr-timestamp"  # when a SuperNode signed its request, by its own clock
AHEAD, BEHIND = 5.0, 305.0  # seconds that Flower allows that clock to differ


def gateway(superlink: str, authority: Path) -> Starlette:
    """The proxy as an ASGI application.

    Args:
        superlink: where the SuperLink listens, as "host:port".
        authority: the file of the certificate that its own was issued by.
    """
    context = ssl.create_default_context(cafile=str(authority))
    client = httpx.AsyncClient(base_url=f"https://{superlink}", verify=context, timeout=SECONDS, trust_env=False)

    @asynccontextmanager
    async def closed(app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    async def forward(path: str, request: Request) -> Response:
        headers = _passed(request.headers.items())
        content = await _whole(request)
        asked = client.build_request(request.method, path, headers=headers, content=content)
        try:
            answer = await client.send(asked, stream=True)
        except httpx.TransportError as error:  # SuperNodes try again after this status
            raise HTTPException(502, "The SuperLink does not answer.") from error
        if answer.status_code == 401:
            _say_if_clocks_differ(request)
        ended = BackgroundTask(answer.aclose)
        return StreamingResponse(
            answer.aiter_raw(), answer.status_code, _passed(answer.headers.items()), background=ended
        )

    routes = [Route(path, partial(forward, path), methods=[method]) for method, path in ALLOWED]
    return Starlette(routes=routes, lifespan=closed)


@contextmanager
def serving(app: Starlette, listen: str, certificate: Path, key: Path) -> Iterator[None]:
    """Serve ``app`` over TLS at ``listen``, "host:port", in a thread.

    Raises:
        InputError: the address is in use, or is none of this machine's.
    """
    host, _, port = listen.rpartition(":")
    tls = {"ssl_certfile": certificate, "ssl_keyfile": key}
    quiet = {"log_level": "critical", "access_log": False, "proxy_headers": False, "ws": "none"}
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=int(port), **tls, **quiet))  # type: ignore[arg-type]

    def run() -> None:
        with suppress(SystemExit):  # it cannot listen
            server.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            what = f"the gateway cannot listen at {listen}: it is in use, or of another machine."
            raise wrong("listen", what, "End what uses it, or give another address in superlink.yaml.")
        time.sleep(0.05)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


async def _whole(request: Request) -> bytes:
    """What is asked, before the SuperLink hears of it: whoever asks slowly keeps nobody else waiting.

    Raises:
        HTTPException: it is too long, or takes too long.
    """
    content = bytearray()
    try:
        async with asyncio.timeout(ASKING):
            async for part in request.stream():
                content += part
                if len(content) > LARGEST:
                    raise HTTPException(413, "No SuperNode asks as much.")
    except TimeoutError as error:
        raise HTTPException(408, "It took too long.") from error
    return bytes(content)


def _passed(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """All but those that belong to one of the two connections."""
    return {name: value for name, value in headers if name.lower() not in OWN}


def _say_if_clocks_differ(request: Request) -> None:
    """The SuperLink refuses who signs at another time than its own, and both keep that to themselves."""
    try:
        late = (datetime.now(UTC) - datetime.fromisoformat(request.headers[SIGNED])).total_seconds()
    except (KeyError, ValueError, TypeError):
        return
    if not -AHEAD < late < BEHIND:
        who = request.client.host if request.client else "a SuperNode"
        print(f"{who} is refused: its clock is {abs(late):.0f} s {'behind' if late > 0 else 'ahead'}", flush=True)
