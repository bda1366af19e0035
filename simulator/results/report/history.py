"""What a network of few nodes went through, round by round, to be played in the report."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from simulator.core.report import GraphChart, Measured, Section, is_of_the_network
from simulator.results.formatting import MEGABYTE
from simulator.results.run_directory import RunDirectory

MOST_NUMBERS = 60_000  # in all: of a run that was measured more often, some rounds are left out


class History:
    """What was measured at every node, and what went over every link.

    Attributes:
        links: sender and receiver; of an undirected graph one of two directions, which count together.
        at_nodes: metrics in the rounds that are shown, the headline first, and what stays as it is: what nodes hold,
            and what audits found.
    """

    def __init__(self, graph: nx.Graph, at_nodes: Sequence[Measured], rounds: Sequence[int]) -> None:
        self._directed = graph.is_directed()
        links = sorted(graph.edges() if self._directed else map(_one_way, graph.edges()))
        self.links, self.at_nodes, self._rounds = links, at_nodes, rounds
        self._place = {link: place for place, link in enumerate(links)}
        self._bytes = np.zeros((len(rounds), len(links)))
        self._heard = np.zeros((len(rounds), len(links)))  # rounds with a message
        self._last = dict[tuple[int, int], int]()  # the last of these, by link

    @classmethod
    def of(cls, run: RunDirectory, sections: Sequence[Section]) -> History:
        """That of ``run``, before any of its messages is added; ``sections`` may have charts of its graph."""
        graph, measured = run.topology.graph, list(_metrics(run))
        every = measured[0].rounds if measured else ()
        a_round = graph.number_of_nodes() * len(measured) + 2 * graph.number_of_edges()
        rounds = _spread(every, MOST_NUMBERS // max(1, a_round))
        charts = (chart for section in sections for chart in section.charts if isinstance(chart, GraphChart))
        thinned = [_thinned(each, len(rounds)) for each in measured if each.rounds]
        return cls(graph, [*thinned, *_held(run), *_found(run, charts)], rounds)

    def count(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Add ``messages``, which come in the order of rounds."""
        for message in messages:
            self._add(message)

    def _add(self, message: Mapping[str, Any]) -> None:
        link = message["sender"], message["receiver"]
        place = self._place.get(link if self._directed else _one_way(link))
        stop = bisect_left(self._rounds, message["round"])
        if place is None or stop == len(self._rounds):  # of a link that only some rounds have, or after the last
            return
        self._bytes[stop, place] += sum(message["parts"].values())
        if self._last.get(self.links[place]) != message["round"]:
            self._last[self.links[place]] = message["round"]
            self._heard[stop, place] += 1

    @property
    def on_links(self) -> list[Measured]:
        """Traffic and silence since the round that is shown before."""
        if not self._bytes.any():
            return []
        length = np.diff(self._rounds, prepend=0)[:, None]
        return [
            Measured("MB since the stop before", self._rounds, self._bytes / MEGABYTE),
            Measured("rounds without a message since the stop before", self._rounds, length - self._heard),
        ]


def _metrics(run: RunDirectory) -> Iterator[Measured]:
    """Every metric of nodes, the headline first."""
    headline = run.headline
    names = dict.fromkeys(metric.name for metric in run.metrics() if metric.node is not None)
    for name in sorted((name for name in names if not is_of_the_network(name)), key=lambda n: n != headline.of_node):
        rounds, values = run.series(name)
        label = f"test {headline.label}" if name == headline.of_node else name.replace("/", " ").replace("_", " ")
        scale = headline.scale if name == headline.of_node else 1
        yield Measured(label, rounds.tolist(), scale * values)


def _held(run: RunDirectory) -> Iterator[Measured]:
    """How many training samples a node holds, and how uneven their classes are, as far as that is known."""
    partition, nodes = run.partition(), run.topology.num_nodes
    sizes = np.bincount(partition["train_node"], minlength=nodes).astype(np.float64)
    if not sizes.any():
        return
    yield Measured("training samples", (), sizes[None])
    if "train_label" in partition and len(names := partition["class_names"]):
        flat = partition["train_label"] * nodes + partition["train_node"]
        counts = np.bincount(flat, minlength=len(names) * nodes).reshape(len(names), nodes)
        shares = 100 * counts.max(axis=0) / np.where(sizes > 0, sizes, np.nan)
        notes = [f"most of class {names[commonest]}" for commonest in counts.argmax(axis=0)]
        yield Measured("commonest class, % of samples", (), shares[None], notes)


def _found(run: RunDirectory, charts: Iterator[GraphChart]) -> Iterator[Measured]:
    """What audits and methods show on the graph of the run."""
    for chart in charts:
        if chart.values is not None and chart.topology.num_nodes == run.topology.num_nodes:
            yield Measured(f"{chart.title}: {chart.label}", (), np.array([chart.values], dtype=np.float64))


def _spread(rounds: Sequence[int], number: int) -> Sequence[int]:
    """At most so many of ``rounds``, though two at least, evenly spread; the last is among them."""
    if len(rounds) <= max(2, number):
        return rounds
    places = np.unique(np.linspace(0, len(rounds) - 1, max(2, number)).round().astype(int))
    return [rounds[place] for place in places]


def _thinned(each: Measured, number: int) -> Measured:
    """In so many of its own rounds: what methods log need not be measured when the network is."""
    kept: NDArray[np.bool_] = np.isin(each.rounds, _spread(each.rounds, number))
    return each._replace(
        rounds=[round for round, keep in zip(each.rounds, kept, strict=True) if keep], values=each.values[kept]
    )


def _one_way(link: tuple[int, int]) -> tuple[int, int]:
    return min(link), max(link)
