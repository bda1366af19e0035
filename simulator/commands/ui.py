"""The command ``rumormill ui``: a local page over a folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.runs import Folder


def ui_command(
    folder: Folder = Path("runs"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="To listen on; default: one that is free.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show a folder of runs as a page on this machine, whose address it prints; Ctrl-C ends it."""
    from simulator.ui.server import serve

    serve(folder, port, lambda address: print(address, flush=True), open_browser)
