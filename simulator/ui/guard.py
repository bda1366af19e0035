"""Who is let in: the browser that was given the token, at this machine's own address, and no page of anybody else's."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 2**20  # bytes of a form
FIELD = "form_token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
WITH_CHARTS = {
    "Content-Security-Policy": POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
}  # of Plot
# A page of a run may be of a stranger's making: its scripts run, as nobody, and reach nothing.
OF_A_RUN = {
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-downloads allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
        "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
}


class Guard:
    """ASGI middleware: the token comes once in the address, and afterwards as a cookie that no script can read.

    Args:
        app: what is guarded.
        token: the secret.
        port: that is listened on; requests that were meant for another host or port are refused (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token, self._port = app, token, port
        self._hosts = {f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
        self._cookie = f"rumormill_{port}"  # other ports of this machine have the same cookies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have the application answer."""
        if scope["type"] == "http":
            answer = self._refusal(Request(scope))
            await (answer or self._app)(scope, receive, _with_headers(send))
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """What to answer instead of the page; None where it may be seen."""
        if request.headers.get("host") not in self._hosts:
            return PlainTextResponse("This is not the address that `rumormill ui` printed.\n", 403)
        if "token" in request.query_params:
            return self._entrance(request)
        if not self._known(request.cookies.get(self._cookie, "")):
            return PlainTextResponse("Open the address that `rumormill ui` printed: it has a token in it.\n", 403)
        if request.method not in ("GET", "HEAD") and not _from_here(request.headers):
            return PlainTextResponse("This was sent by another page.\n", 403)
        return None

    def _entrance(self, request: Request) -> Response:
        if not self._known(request.query_params["token"]):
            return PlainTextResponse("This token is not, or no longer, the right one.\n", 403)
        others = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
        query = f"?{urlencode(others)}" if others else ""
        answer = RedirectResponse(f"{request.url.path}{query}", 303)
        # Not "strict": the address may be opened from a page of another site, as in a web terminal, and then the cookie
        # would not come along. What changes something is held by its origin and its form's token.
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax")
        return answer

    def _known(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


def form_token(token: str) -> str:
    """What each form carries: it shows that it was read from a page of ours, and does not give the token away."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()


async def read_form(request: Request, expected: str) -> list[tuple[str, str]]:
    """The fields of a form that was sent, in their order.

    Raises:
        HTTPException: it is too long, or is no form of ours.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            raise HTTPException(413, "No form here is as long.")
    fields = parse_qsl(content.decode(errors="replace"), keep_blank_values=True)
    if not hmac.compare_digest(dict(fields).get(FIELD, "").encode(), expected.encode()):
        raise HTTPException(403, "This form is not of this page. Load the page again, and send it once more.")
    return fields


def _from_here(headers: Headers) -> bool:
    """Whether a browser says that one of our own pages asks; it says nothing where there is none."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    return origin in (None, f"http://{headers['host']}") and site in (None, "same-origin")


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            _fill(headers, HEADERS)
        await send(message)

    return answer


def _fill(headers: MutableHeaders, given: Mapping[str, str]) -> None:
    for name, value in given.items():
        headers.setdefault(name, value)
