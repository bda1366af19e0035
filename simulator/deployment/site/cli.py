"""The commands ``rumormill site``, for the owner of a site's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from simulator.core.paths import located
from simulator.deployment.keys.commands import init_command, join_command, renew_command
from simulator.deployment.site.policy_commands import approve_command, ledger_command, policy_command
from simulator.deployment.site.serve_command import serve_command
from simulator.results.terminal import Terminal

if TYPE_CHECKING:
    from simulator.deployment.site.check import Findings

site = typer.Typer(
    no_args_is_help=True,
    suggest_commands=False,
    help="On the host of a site's data: make its keys, declare and check the data, and say what may leave it.",
)
site.command(name="init")(init_command)
site.command(name="renew")(renew_command)
site.command(name="join")(join_command)
site.command(name="policy")(policy_command)
site.command(name="approve")(approve_command)
site.command(name="ledger")(ledger_command)
site.command(name="serve")(serve_command)


@site.command(name="schema")
def schema_command(
    examples: Annotated[
        list[str],
        typer.Argument(metavar="EXAMPLE... [SETTING=VALUE]...", help="Files or a folder; for example target=outcome."),
    ],
    agreed: Annotated[
        bool, typer.Option("--agreed", help="Leave out mean and std, for the sites to agree on before round 1.")
    ] = False,
) -> None:
    """Print a schema for data like the EXAMPLEs: CSV, TSV, JSON lines, Parquet, .npz, or a folder of image files.

    Settings are those of the data set that reads them, such as target=outcome group=patient missing=impute of tables.
    Save it beside the experiment, edit it, and name it there: data.sites.data_schema.
    """
    from simulator.deployment.site.example import schema_file

    print(schema_file(examples, agreed), end="")


@site.command(name="check")
def check_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The node's, from `rumormill deploy init`.")],
) -> None:
    """Check this host's own data against the experiment's schema; what is found is printed here and goes nowhere.

    Exits with 1 where the site cannot take part.
    """
    from simulator.deployment.site.check import examined

    found = examined(located(folder, where="FOLDER"))
    _show(found, Terminal())
    if found.problems:
        raise typer.Exit(1)


def _show(found: Findings, terminal: Terminal) -> None:
    from rich.table import Table

    terminal.print(f"site {found.site}: {found.path or 'no data named'}", soft_wrap=True)
    if found.counts:
        table = Table(show_header=False, box=None)
        for name, value in found.counts.items():
            table.add_row(Text(name), Text(value))
        terminal.print(table)
    for note in found.notes:
        terminal.print(Text(f"note: {note}"), soft_wrap=True)
    for problem in found.problems:
        terminal.print(Text(str(problem)), soft_wrap=True)
    ending = "It cannot take part as it is." if found.problems else "It can take part."
    terminal.print(f"{ending} These lines are for the owner of the data: they go nowhere.", soft_wrap=True)
