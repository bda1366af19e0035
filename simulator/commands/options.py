"""What several commands take: paths, overrides, where a run goes and who follows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.core.paths import located


def located_paths(param: typer.CallbackParam, given: Any) -> Any:
    """A path of the command line, or several, or none."""
    where = (param.opts[0] if param.opts[0].startswith("-") else param.human_readable_name).rstrip(".")
    if isinstance(given, list | tuple):
        return [located(path, where=where) for path in given]
    return given if given is None else located(given, where=where)


def completed(kind: str) -> Callable[[str], Iterator[tuple[str, str]]]:
    """What shells complete with names of a kind, as in `rumormill list`, and the line on each."""

    def complete(incomplete: str) -> Iterator[tuple[str, str]]:
        from simulator.listing import LISTED

        return ((name, text) for name, text in LISTED[kind]().items() if name.startswith(incomplete))

    return complete


Experiment = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE_OR_FILE",
        help="See `rumormill list recipes`; - reads standard input.",
        autocompletion=completed("recipes"),
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.", callback=located_paths)]
Out = Annotated[Path, typer.Option("--out", help="Where to make the run directory.", callback=located_paths)]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[PATH=VALUE]...", help="For example rounds=10 or methods.0.beta=0.5.")
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        help="Also log to tensorboard, wandb or mlflow, or this machine's energy by codecarbon; repeatable.",
        autocompletion=completed("trackers"),
    ),
]


def given(**settings: Any) -> dict[str, Any]:
    """Those of ``settings`` that the command line gives."""
    return {name: value for name, value in settings.items() if value is not None}
