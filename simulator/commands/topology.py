"""The command ``rumormill topology``: what a graph means for mixing and traffic, and against attackers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from simulator.commands.options import completed
from simulator.core.paths import located
from simulator.results.terminal import Terminal

RESNET20 = 272_474  # parameters, for 10 classes
ATTACKERS_HELP = "Who attacks: nodes, as 3,7; with --place, how many, as 2 or 20%. Shows what theory promises then."
PLACES_HELP = "How attackers are chosen: random, apart, degree, betweenness; apart: no two linked."


def topology_command(
    graph: Annotated[
        str,
        typer.Argument(metavar="GRAPH", help="See `rumormill list graphs`.", autocompletion=completed("graphs")),
    ],
    nodes: Annotated[int | None, typer.Option("--nodes", help="Number of nodes.")] = None,
    weights: Annotated[
        str,
        typer.Option("--weights", help="See `rumormill list weights`.", autocompletion=completed("weights")),
    ] = "metropolis_hastings",
    seed: Annotated[int | None, typer.Option("--seed", help="For random graphs, and for --place.")] = None,
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[OPTION=VALUE]...", help="For example rows=4.")
    ] = None,
    parameters: Annotated[int, typer.Option("--parameters", help="Of the model, to count bytes for.")] = RESNET20,
    adversaries: Annotated[str | None, typer.Option("--adversaries", help=ATTACKERS_HELP)] = None,
    place: Annotated[str | None, typer.Option("--place", help=PLACES_HELP)] = None,
    draw: Annotated[Path | None, typer.Option("--draw", help="Draw the graph into this SVG file.")] = None,
) -> None:
    """Show what a graph means for mixing, traffic and attacks: links, degrees, spectral gap, bytes, what is proved."""
    from rich.table import Table

    from simulator.topology_facts import facts_of
    from topologies.drawing import draw as draw_topology

    draw = draw and located(draw, where="--draw")
    topology, attackers, facts = facts_of(graph, nodes, weights, seed, options or [], parameters, adversaries, place)
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(Text(name), Text(value))
    terminal, stderr = Terminal(), Terminal(stderr=True)
    terminal.print(table)
    for note in topology.notes:
        stderr.print(f"note: {note}", soft_wrap=True)
    if draw:
        draw_topology(topology, draw, attackers=attackers)
        print(draw)
