"""The command ``rumormill schema``: what editors know an experiment file by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.options import located_paths
from simulator.results.terminal import Terminal


def schema_command(
    out: Annotated[Path | None, typer.Option("--out", help="Write it into this file.", callback=located_paths)] = None,
) -> None:
    """Print the JSON schema of an experiment file, by which editors complete and check it; with --out, write it."""
    from simulator.config.editor import modeline, schema_text, write_schema

    if out is None:
        print(schema_text(), end="")
        return
    print(write_schema(out))
    Terminal(stderr=True).print(f"First line of an experiment beside it: {modeline(out.name)}", soft_wrap=True)
