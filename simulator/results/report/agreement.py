"""What the report says of statistics that the nodes agreed on before round 1, and of what that has told whom."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.core.report import Table
from simulator.results.report.chapter import Chapter
from simulator.results.run_directory import RunDirectory

SUMS, FLOAT = 3, 8  # of each quantity: the count, the sum and the sum of squares, in bytes each


def statistics(run: RunDirectory) -> Iterator[Chapter]:
    """What was agreed on, and who saw what of it, where anything was."""
    if found := run.statistics():
        noise = run.experiment["data"]["sites"]["statistics"]["noise_multiplier"]
        text = (
            "Before round 1, sums went up a breadth-first tree from node 0 over the links of the network, and their "
            "total came down again: all nodes have the same. Each node has seen the sums of those below it in that "
            "tree, all added up; of a neighbour below which nobody is, those are that node's own count, mean and "
            "deviation."
        )
        protected = (
            f"Each node's own sums had noise of {noise:g} times what one unit can change before they left it."
            if noise
            else "No noise was added to them."
        )
        rows = list(zip(found["names"], found["count"], found["mean"], found["std"], strict=True))
        columns = ("quantity", "numbers", "mean", "standard deviation")
        paragraphs = (text, protected, exchanged(run))
        yield Chapter("Agreed statistics", paragraphs, tables=[Table(columns, rows)])


def exchanged(run: RunDirectory) -> str:
    """What agreeing took, as a sentence; empty where nothing was agreed on."""
    found, nodes = run.statistics(), run.topology.num_nodes
    if not found:
        return ""
    messages, size = 2 * (nodes - 1), SUMS * FLOAT * len(found["names"])
    return (
        f"Agreeing on statistics took {messages:,} messages of {size:,} bytes before round 1, {messages * size:,} in "
        "all; they are in no round, and not among the messages of rounds."
    )
