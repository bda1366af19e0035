"""The command ``rumormill``: its commands, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from simulator.commands.audit import audit_command
from simulator.commands.deploy import deploy
from simulator.commands.installed import doctor_command, list_command
from simulator.commands.new import new_command
from simulator.commands.results import compare_command, report_command
from simulator.commands.run import resume_command, run_command, sweep_command
from simulator.commands.runs import clean_command, runs_command
from simulator.commands.schema import schema_command
from simulator.commands.topology import topology_command
from simulator.commands.trace import trace_command
from simulator.commands.ui import ui_command
from simulator.core.blame import blaming_parts
from simulator.core.errors import RumormillError
from simulator.deployment.site.cli import site
from simulator.results.terminal import OutputLost, Terminal, guard_streams, show_error


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"rumormill {version('rumormill')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Simulate decentralized federated learning and measure what it leaks."""


COMMANDS: Mapping[str, Callable[..., None] | typer.Typer] = {
    "topology": topology_command,
    "run": run_command,
    "resume": resume_command,
    "sweep": sweep_command,
    "compare": compare_command,
    "audit": audit_command,
    "report": report_command,
    "runs": runs_command,
    "clean": clean_command,
    "ui": ui_command,
    "trace": trace_command,
    "new": new_command,
    "schema": schema_command,
    "list": list_command,
    "doctor": doctor_command,
    "deploy": deploy,
    "site": site,
}


@cache
def _command(name: str) -> click.Command:
    match COMMANDS[name]:
        case typer.Typer() as group:
            command: click.Command = get_group(group)
        case function:
            alone = typer.Typer(add_completion=False)
            alone.command(name)(function)
            command = get_command(alone)
    command.name = name
    return command


class _Commands(Mapping[str, click.Command]):
    """Reads what a command takes when it is asked for: of all of them, it takes as long as to list what there is."""

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __getitem__(self, name: str) -> click.Command:
        return _command(name)


class _Rumormill(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()  # type: ignore[assignment]  # none is ever set


# Click suggests the nearest command by itself.
app = typer.Typer(
    cls=_Rumormill,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    suggest_commands=False,
    callback=_options,
)


def main() -> None:
    """Run the command line: errors as where, what, what to do; exit code 2 for bad input, 1 for a failed run."""
    guard_streams()
    try:
        try:
            with blaming_parts():
                app()
        finally:
            sys.stdout.flush()
    except RumormillError as error:
        if not (isinstance(error, OutputLost) and error.closed):
            show_error(error, Terminal(stderr=True))
        sys.exit(error.exit_code)
