"""What a run would send from a node, and what has left a site, in words for who answers for its data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isinf

from simulator.core.message import MASKED
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.open_settings import OpenSettings
from simulator.deployment.site.asked import Asked, AskedStatistics
from simulator.deployment.site.ledger import Line

COLUMNS = ("time (UTC)", "run", "node", "what", "round", "to", "names", "bytes", "epsilon")
WHOSE = {"sample": "one training sample", "group": "all samples of one group", "node": "all data of this node"}


def plan_in_words(folder: NodeFolder, experiment: OpenSettings, asked: Asked) -> Iterator[str]:
    """Paragraphs: what would be sent, how often, to whom, how it is protected, and what else would leave."""
    yield f"Experiment {experiment.name}, {asked.rounds} rounds. This is node {folder.node}: {asked.samples} samples."
    yield from _sent(folder, asked)
    yield from _told_beforehand(asked)
    yield _protection(asked)
    if asked.labels:
        yield f"Its messages tell how this node labels public samples ({', '.join(asked.labels)})."
    yield from _collected(experiment, asked)
    yield (
        "Flower's router learns which node this is, its versions, how many rounds it has done, and of an error who has "
        "it and of which kind."
    )


def _sent(folder: NodeFolder, asked: Asked) -> Iterator[str]:
    if not asked.receivers:
        yield "It sends no messages: it has no neighbours."
        return
    to = ", ".join(f"node-{node} ({folder.neighbours[node]})" for node in asked.receivers)
    messages = asked.rounds * asked.exchanges * len(asked.receivers)
    each = "a message" if asked.exchanges == 1 else f"{asked.exchanges} messages"
    yield f"In every round it sends {each} to each of: {to}."
    parts = "; ".join(f"{name}, {size:,} bytes" for name, size in asked.parts.items())
    yield f"A message holds at most: {parts}. In all, {messages:,} messages of at most {asked.largest:,} bytes."
    if MASKED in asked.parts:
        yield "They are masked: a receiver makes out the sum over all who send to it, and not what this node has sent."


def _told_beforehand(asked: Asked) -> Iterator[str]:
    """What is told before round 1, to whom, and what that gives away."""
    if (told := asked.statistics) is None:
        return
    if told.parent is None:
        of = ", ".join(told.quantities)
        yield f"Before round 1 it hears the sums of all others of {of}, and tells its neighbours the total of all."
    else:
        yield _to_the_parent(told)
    if not told.below:
        yield "These are its own count, mean and deviation, for that node to see."
    if told.parent is None and len(told.children) == 1:
        yield f"node-{told.children[0]} can take away what it has told, and is left with this node's own sums."
    if told.noise_multiplier is None:
        yield "NO NOISE IS ADDED TO THESE SUMS."
    else:
        of = f"{WHOSE[told.unit or '']}: an epsilon of {told.epsilon:.4g} at a delta of {told.delta:.3g}"
        yield f"Its own sums have noise first, which makes them differentially private for {of}."


def _to_the_parent(told: AskedStatistics) -> str:
    whose = ", ".join(f"node-{node}" for node in told.below)
    over = f"added to those of {whose}" if told.below else "and over no others"
    return (
        f"Before round 1 it tells node-{told.parent} the count, the sum and the sum of squares of each of "
        f"{', '.join(told.quantities)}, over the samples that it trains on, {over}. Everybody learns the total of all."
    )


def _protection(asked: Asked) -> str:
    if asked.promise is None:
        return (
            "NOTHING PROTECTS WHAT IT SENDS: models tell something of the samples that they were trained on. How much, "
            "`rumormill audit` measures in a simulation of the run."
        )
    cost = "no finite epsilon" if isinf(asked.epsilon) else f"an epsilon of {asked.epsilon:.4g}"
    of = f"{cost} at a delta of {asked.promise.delta:.3g} for the whole run"
    return f"What it sends is differentially private ({asked.mechanism}) for {WHOSE[asked.promise.unit]}: {of}."


def _collected(experiment: OpenSettings, asked: Asked) -> Iterator[str]:
    if not asked.collects:
        yield "For collecting, it lays out the sizes of its messages and nothing else."
        return
    every = experiment.evaluate.every
    when = (
        f"every {every} rounds, before the first and after the last"
        if every
        else "before the first round and after the last"
    )
    yield (
        f"For collecting, it lays out {when}: its model, scores on test samples, its training loss, and what its "
        "methods measure; none of these numbers is protected. Its state is laid out at checkpoints and at the end."
    )
    if asked.recordings:
        rounds = len(experiment.record.among(experiment.rounds))
        yield f"Of {rounds} rounds it lays out recordings for audits: what it sent, and its models before and after."


def as_row(line: Line) -> Sequence[str]:
    """A line of the ledger: when, which run and node, what, in which round, to whom, names, bytes, epsilon so far."""
    epsilon = line.get("epsilon", line.get("planned"))
    names = ", ".join(line.get("settings", line.get("names", ()))) or line.get("text", line.get("mechanism", ""))
    cells = (
        line["time"][:19].replace("T", " "),
        line["run"][:8],
        line["node"],
        f"{line['what']}{' again' if line.get('again') else ''}",
        line.get("round", ""),
        line.get("to", ""),
        names,
        f"{line['bytes']:,}" if "bytes" in line else "",
        "" if epsilon is None else f"{epsilon:.4g}",
    )
    return [str(cell) for cell in cells]


def table(lines: Sequence[Line]) -> Iterator[str]:
    """The lines of a ledger below each other, however wide."""
    rows = [COLUMNS, *map(as_row, lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
