"""What a method may read of a finished run, and the data of which it makes its section of the report."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from topologies import Topology

ARTIFACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # what may name an artifact: its file's name begins with it

AWAY = "away"  # the metric of a node that was away in a round of a deployment
LOST = "lost/node-"  # and the sender's number: the exchange in which its message did not come, at its receiver
STATISTICS = "statistics.json"  # of a run directory, and of what a deployed node lays out: what sites have agreed on
REFUSED = "refused/node-"  # and the sender's number: the metric that counts refused messages, at their receiver


def is_of_the_network(name: str) -> bool:
    """Whether the metric of that ``name`` tells of messages and absences in a deployment, and nothing of data."""
    return name == AWAY or name.startswith((LOST, REFUSED))


class Metric(NamedTuple):
    """One line of ``metrics.jsonl``; ``node`` is None for the whole network, ``round`` counts finished rounds."""

    round: int
    node: int | None
    name: str
    value: float


class Artifact(NamedTuple):
    """Arrays that a method saved at one node after ``round`` finished rounds."""

    round: int
    node: int
    arrays: Mapping[str, NDArray[Any]]


class FinishedRun(Protocol):
    """A finished (or stopped) run, read from its directory."""

    def metrics(self) -> Sequence[Metric]:
        """All metrics, in the order written."""
        ...

    def artifacts(self, name: str) -> Sequence[Artifact]:
        """Everything saved under ``name``, by round and node."""
        ...

    def partition(self) -> Mapping[str, NDArray[Any]]:
        """``partition.npz``: which sample is where, and what is known of the public set."""
        ...


@dataclass(frozen=True)
class Table:
    """Rows of cells; numbers are formatted by the report. ``title`` says what is in it, where no text does."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]
    title: str = ""


@dataclass(frozen=True)
class BarChart:
    """Grouped bars: one group a category, one bar a series."""

    title: str
    categories: Sequence[str]
    series: Mapping[str, Sequence[float]]
    y_label: str


class Band(NamedTuple):
    """The area between two lines: ``low`` and ``high`` at ``x``, [N] each.

    It is in the colour of the line ``of``; where that is its ``label`` too, it is that line's interval and needs no
    place of its own in the legend.
    """

    label: str
    x: NDArray[Any]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    of: str


@dataclass(frozen=True)
class LineChart:
    """Lines over a common axis, or ``points``.

    Attributes:
        series: name to (x, y), [N] each.
        log: the axes with a logarithmic scale.
        bands: behind the lines.
        names: what each point of a series is, such as the names of nodes or of runs, to be read beside the pointer.
    """

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    log: Literal["", "y", "xy"] = ""
    points: bool = False
    bands: Sequence[Band] = ()
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class HeatMap:
    """Values as depth of colour.

    Attributes:
        values: [rows, columns]; NaN stays empty.
        rows: their names, ``columns`` likewise.
        label: what the values are.
        lowest: the value without colour.
        levels: names of the values 0, 1, 2, ..., where there are no others; NaN is then crossed out.
    """

    title: str
    x_label: str
    y_label: str
    values: NDArray[np.int64] | NDArray[np.float64]
    rows: Sequence[str]
    columns: Sequence[str]
    label: str
    lowest: float = 0.0
    levels: Sequence[str] = ()


@dataclass(frozen=True)
class ImageGrid:
    """Images in rows, each above its caption.

    Attributes:
        images: uint8 [N, height, width, channels]: 1 channel (gray) or 3 (RGB); N is at least 1.
        captions: one an image; a line break begins a new line.
        columns: images in a row.
    """

    title: str
    images: NDArray[np.uint8]
    captions: Sequence[str]
    columns: int = 6


class Measured(NamedTuple):
    """What was measured at all nodes, or on all links, round by round.

    Attributes:
        label: what it is.
        rounds: when, [T]; empty of what stays as it is, which is then a single row.
        values: float [T, nodes] or [T, links]; NaN where nothing is known.
        notes: one a node, to be read beside its value.
    """

    label: str
    rounds: Sequence[int]
    values: NDArray[np.float64]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class GraphChart:
    """A graph, its nodes coloured by ``values``.

    Attributes:
        values: one finite number a node; none where they are not known.
        label: what they are.
        attackers: nodes that lied.
        links: of what ``on_links`` tells, in its order: sender and receiver, or of an undirected graph either.
        at_nodes: further values to colour nodes by, and over rounds; where there are scripts, they can be chosen.
        on_links: likewise of links.
    """

    title: str
    topology: Topology
    values: Sequence[float] | None
    label: str
    attackers: Collection[int] = ()
    links: Sequence[tuple[int, int]] = ()
    at_nodes: Sequence[Measured] = ()
    on_links: Sequence[Measured] = ()


Chart = BarChart | LineChart | HeatMap | ImageGrid | GraphChart


class Link(NamedTuple):
    """An address to read more at."""

    name: str
    address: str


class Source(NamedTuple):
    """What a part of the run is, and the papers that it is from."""

    text: str
    papers: Sequence[Link] = ()


@dataclass(frozen=True)
class Finding:
    """What the numbers of an audit mean, for readers who do not know them: a few plain sentences each.

    Attributes:
        told: who can tell what of whom.
        certainty: how sure that is.
        unseen: what the test could not have seen.
        remedies: what would lower it.
        question: that ``told`` answers.
        wish: that ``remedies`` answers.
    """

    told: str
    certainty: str
    unseen: str
    remedies: str
    question: str = "Who can tell what of whom"
    wish: str = "What would lower it"

    def answers(self) -> tuple[tuple[str, str], ...]:
        """Question and answer, in the order in which they are asked."""
        return (
            (self.question, self.told),
            ("How sure that is", self.certainty),
            ("What this test could not have seen", self.unseen),
            (self.wish, self.remedies),
        )


@dataclass(frozen=True)
class Section:
    """One part of the report.

    ``verdict`` is its one-sentence result, repeated at the report's top; ``finding`` says in words what that means.
    """

    title: str
    paragraphs: Sequence[str] = ()
    verdict: str = ""
    tables: Sequence[Table] = field(default=())
    charts: Sequence[Chart] = field(default=())
    finding: Finding | None = None
    sources: Sequence[Source] = ()
