"""The command ``rumormill``: its commands, and how it ends."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

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


# Click suggests the nearest command by itself.
app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    suggest_commands=False,
    callback=_options,
)
app.command(name="topology")(topology_command)
app.command(name="run")(run_command)
app.command(name="resume")(resume_command)
app.command(name="sweep")(sweep_command)
app.command(name="compare")(compare_command)
app.command(name="audit")(audit_command)
app.command(name="report")(report_command)
app.command(name="runs")(runs_command)
app.command(name="clean")(clean_command)
app.command(name="ui")(ui_command)
app.command(name="trace")(trace_command)
app.command(name="new")(new_command)
app.command(name="schema")(schema_command)
app.command(name="list")(list_command)
app.command(name="doctor")(doctor_command)
app.add_typer(deploy, name="deploy")
app.add_typer(site, name="site")


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
