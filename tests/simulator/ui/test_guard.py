"""Who is let in: with the token, under this machine's own name, and from our own pages."""

import pytest
from reference.run_folders import write_run

from simulator.core.errors import InputError
from simulator.ui import guard, server
from simulator.ui.guard import form_token

PAGES = (
    "/",
    "/runs/a",
    "/runs/a/report.html",
    "/runs/a/curve.json",
    "/compare",
    "/audits",
    "/cleanup",
    "/static/ui.js",
)


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_shown_without_the_token(stranger, path):
    for query in ({}, {"token": ""}, {"token": "the-tokem"}):
        answer = stranger.get(path, params=query)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "text/plain; charset=utf-8")
        assert "accuracy" not in answer.text
    stranger.cookies.set("rumormill_4321", "another")
    assert stranger.get(path).status_code == 403


def test_the_token_goes_out_of_the_address_into_a_cookie_that_no_script_and_no_other_site_has(stranger):
    answer = stranger.get("/?q=x&token=the-token&sort=score", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?q=x&sort=score")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("rumormill_4321=the-token;")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "the-token" not in stranger.get("/audits").text


@pytest.mark.parametrize("host", ["evil.example:4321", "127.0.0.1", "127.0.0.1:80", "evil.example", ""])
def test_a_name_that_only_leads_here_is_refused(client, host):
    assert client.get("/", headers={"host": host}).status_code == 403
    assert client.get("/?token=the-token", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost:4321", "[::1]:4321", "127.0.0.1:4321"])
def test_names_of_this_machine_are_not(client, host):
    assert client.get("/?token=the-token", headers={"host": host}, follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "headers", [{"origin": "http://127.0.0.1:5000"}, {"origin": "null"}, {"sec-fetch-site": "same-site"}]
)
def test_what_other_pages_send_is_refused(client, folder, headers):
    fields = {"failed": "on", "keep": "0", "path": "a", "sure": "yes", "form_token": form_token("the-token")}
    assert client.post("/cleanup", data=fields, headers=headers).status_code == 403
    assert (folder / "a").exists()
    own = {"origin": "http://127.0.0.1:4321", "sec-fetch-site": "same-origin"}
    assert client.post("/cleanup", data=fields, headers=own).status_code == 200
    assert not (folder / "a").exists()


@pytest.mark.parametrize("path", ["/cleanup", "/audits", "/audits/1/cancel"])
def test_forms_that_were_not_read_here_do_nothing(client, folder, path):
    for token in ("", "guessed"):
        fields = {"keep": "0", "path": "a", "sure": "yes", "run": "a", "audit": "membership", "form_token": token}
        assert client.post(path, data=fields).status_code == 403
    assert (folder / "a").exists()
    assert "None yet" in client.get("/audits").text


def test_long_forms_are_not_read(client, monkeypatch):
    monkeypatch.setattr(guard, "LARGEST", 100)
    assert client.post("/audits", data={"run": "x" * 200}).status_code == 413


def test_pages_may_load_only_what_is_ours_and_are_framed_by_nobody(client):
    headers = client.get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self';" in client.get("/runs/a").headers["content-security-policy"]


def test_a_report_has_no_rights_here(client, folder):
    (folder / "a" / "report.html").write_text("<script>fetch('/')</script>")
    answer = client.get("/runs/a/report.html")
    policy = answer.headers["content-security-policy"]
    assert answer.text == "<script>fetch('/')</script>"
    assert policy.startswith("sandbox allow-scripts ")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy


@pytest.mark.parametrize(
    "name", ["%2e%2e", "..%2fsecret", "%2e%2e%2fsecret", "a%2f..%2f..%2fsecret", ".hidden", "a%00"]
)
def test_no_path_leads_out_of_the_folder(client, folder, name):
    write_run(folder.parent / "secret")
    (folder.parent / "secret" / "report.html").write_text("secret")
    write_run(folder / ".hidden")
    for end in ("", "/report.html", "/curve.json"):
        answer = client.get(f"/runs/{name}{end}")
        assert answer.status_code == 404
        assert "secret" not in answer.text.replace(name, "")
    for place in ("static", "assets"):
        assert client.get(f"/{place}/..%2f..%2f..%2fpyproject.toml").status_code == 404


def test_a_report_that_is_a_link_out_of_its_run_is_not_followed(client, folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (folder / "a" / "report.html").symlink_to(tmp_path / "secret")
    answer = client.get("/runs/a/report.html")
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_it_listens_on_loopback_alone_and_says_where(folder, monkeypatch):
    said = []

    def run(self, sockets):
        (listener,) = sockets
        assert listener.getsockname()[0] == "127.0.0.1"
        raise KeyboardInterrupt

    monkeypatch.setattr("uvicorn.Server.run", run)
    for _ in range(2):
        server.serve(folder, 0, said.append)
    assert all(address.startswith("http://127.0.0.1:") for address in said)
    tokens = {address.split("token=")[1] for address in said}
    assert len(tokens) == 2
    assert min(map(len, tokens)) >= 32


def test_a_port_in_use_is_told(folder):
    with server._listening(0) as taken, pytest.raises(InputError, match=r"--port: 127.0.0.1:\d+ cannot be listened on"):
        server.serve(folder, taken.getsockname()[1], print)
