"""The command ``rumormill trace``: others' traces of devices, as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.core.paths import located


def trace_command(
    source: Annotated[Path, typer.Argument(metavar="PICKLE", help="FedScale's devices, or when they are there.")],
    out: Annotated[Path, typer.Argument(metavar="CSV", help="The file to write.")],
    rows: Annotated[int | None, typer.Option("--rows", help="Take so many clients, drawn at random.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of that draw.")] = 0,
) -> None:
    """Convert a trace in FedScale's format into one for clock.devices or topology.failures.trace."""
    from simulator.core import atomic
    from simulator.core.errors import wrong
    from simulator.traces.fedscale import converted

    out = located(out, where="CSV")
    names, table = converted(located(source, where="PICKLE"), rows, seed)
    lines = [f"# from {source.name}", ",".join(names), *(",".join(f"{value:.10g}" for value in row) for row in table)]
    try:
        atomic.write(out, "\n".join(lines) + "\n")
    except OSError as error:
        raise wrong(str(out), f"cannot be written: {error.strerror}.", "Choose another place.") from error
    print(out)
