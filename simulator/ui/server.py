"""Serves the page on loopback until Ctrl-C."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from simulator.core.errors import InputError, wrong
from simulator.results.runs_folder.folder import RunsFolder
from simulator.ui.application import application

LOOPBACK = "127.0.0.1"
SECONDS_TO_END = 3  # that answers on their way get


def serve(folder: Path, port: int, say: Callable[[str], None], open_browser: bool = False) -> None:
    """Serve a page over the runs in ``folder`` on loopback, until the process is interrupted.

    Args:
        folder: the runs.
        port: to listen on; 0: one that is free.
        say: is told the address, with its token, once it can be opened.
        open_browser: whether to open it, too.

    Raises:
        InputError: there is no such folder, or the port cannot be had.
    """
    runs, token = RunsFolder(folder), secrets.token_urlsafe(32)
    with _listening(port) as listener:
        bound: int = listener.getsockname()[1]
        address = f"http://{LOOPBACK}:{bound}/?token={token}"
        config = uvicorn.Config(
            application(runs, token, bound),
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=SECONDS_TO_END,
        )
        say(address)  # whoever connects from now on is waited for
        if open_browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):  # which is how it is meant to end
            uvicorn.Server(config).run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        raise _cannot_listen(port, error) from error
    return listener


def _cannot_listen(port: int, error: Exception) -> InputError:
    what = f"{LOOPBACK}:{port} cannot be listened on: {getattr(error, 'strerror', None) or error}."
    return wrong("--port", what, "Choose another port, or leave it out.")
