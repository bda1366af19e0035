"""The chapters of a report, each made of one part of the run directory."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from simulator.core.report import REFUSED, GraphChart, HeatMap, LineChart, Section, Table
from simulator.results.formatting import describe, duration, names_of, significant
from simulator.results.headline import Headline
from simulator.results.report.chapter import Chapter, Details
from simulator.results.report.charts import chart_picture
from simulator.results.report.curves import curves
from simulator.results.report.figures import Picture
from simulator.results.report.history import History
from simulator.results.report.ledger import TrafficCount
from simulator.results.run_directory import RunDirectory
from topologies import diameter_in_words, expected_rounds_to_halve, spectral_gap

NODES = 400  # at most, that are told of one by one
LINKS = 2000  # likewise
SHOWN = 100  # nodes, where there are more
QUANTILES = 201
UNKNOWN = "unknown"  # in a table, of what a run does not tell
MAIN_SETTINGS = (
    "rounds",
    "topology",
    *("data.dataset", "data.partition", "data.public"),
    "model",
    *("training.optimizer", "training.schedule", "training.batch_size", "training.local_steps"),
    "mixer",
    "methods",
    "adversaries",
    "backend",
)


def setting(run: RunDirectory) -> Chapter:
    """The main settings, and all of them as YAML."""
    main = {path.replace(".", " · "): describe(_look_up(run.experiment, path)) for path in MAIN_SETTINGS}
    everything = yaml.safe_dump(dict(run.experiment), sort_keys=False, allow_unicode=True)
    return Chapter("Setting", tables=[_facts(main)], details=[Details("The whole experiment as YAML", everything)])


def network(run: RunDirectory, scores: Sequence[float], history: History | None) -> Chapter:
    """The graph, its nodes coloured by their headline score, and how fast it mixes."""
    topology, headline = run.topology, run.headline
    known = all(map(isfinite, scores))
    caption = f"Nodes by final test {headline.words}" if known else "The network"
    values = [headline.scale * score for score in scores] if known else None
    chart = GraphChart(caption, topology, values, f"test {headline.label}", run.attackers)
    if history:
        chart = replace(chart, links=history.links, at_nodes=history.at_nodes, on_links=history.on_links)
    facts = {
        "graph": topology.graph_name,
        "mixing matrix": topology.weights_name,
        "nodes": str(topology.num_nodes),
        "directed links": str(len(topology.edges())),
        "degree": _degree(topology.degrees),
        **({"components": str(topology.components)} if topology.components > 1 else {}),
        "diameter": diameter_in_words(topology.graph),
        **_mixing(run),
    }
    return Chapter("Network", pictures=[chart_picture("topology", chart)], tables=[_facts(facts)])


def _mixing(run: RunDirectory) -> dict[str, str]:
    """How fast the nodes agree, where all rounds mix by one W: of others, the mean matrix does not tell."""
    settings = run.experiment["topology"]
    fixed = settings.get("schedule", {"name": "static"})["name"] == "static"
    fixed &= not any(settings.get("failures", {}).get(cause) for cause in ("links", "nodes", "absences", "trace"))
    if not fixed or run.experiment.get("mode") == "asynchronous":
        return {"spectral gap": "none: the mixing matrix is not the same in every round"}
    gap = spectral_gap(run.topology.matrix)
    halve = f"{significant(expected_rounds_to_halve(gap), 3)} by mixing alone"
    return {"spectral gap": significant(gap), "rounds to halve disagreement": halve}


def failures(run: RunDirectory, ledger: TrafficCount) -> Iterator[Chapter]:
    """How much of the network failed, where anything could."""
    rounds, lost = run.network_series("network/links_lost")
    _, away = run.network_series("network/away")
    if len(rounds):
        sent = ledger.messages.total()
        text = (
            f"Of {sent + int(lost.sum()):,} messages that the schedule had, {lost.sum():,.0f} were lost "
            f"({lost.sum() / max(1.0, sent + lost.sum()):.1%}), those of absent nodes included; nodes were away in "
            f"{away.mean() / run.topology.num_nodes:.1%} of their rounds. What is lost goes back to a node's own "
            "weight: the receiver's, so that rows of the mixing matrix still sum to 1, or with push weights the "
            "sender's, so that its columns do. Both do, and the mean is kept, where the matrix is symmetric and links "
            "fail in both directions together."
        )
        series = {"directed links lost": lost, "nodes away": away}
        chart = LineChart(
            "Failures in each round",
            "round",
            "number",
            {name: (rounds.astype(np.float64), values) for name, values in series.items()},
        )
        yield Chapter("Failures", (text,), [chart_picture("failures", chart)])


def refusals(run: RunDirectory) -> Iterator[Chapter]:
    """Whose messages were refused, by whom and how often, where any were."""
    found: dict[tuple[int, int], list[int]] = {}
    for metric in run.metrics():
        if metric.node is not None and metric.name.startswith(REFUSED):
            found.setdefault((int(metric.name.removeprefix(REFUSED)), metric.node), []).append(metric.round)
    if found:
        rows = [(*link, len(rounds), min(rounds), max(rounds)) for link, rounds in sorted(found.items())]
        text = (
            f"{sum(map(len, found.values())):,} messages were refused by the nodes that received them, since they were "
            "not what mixer and methods declare; they count as lost. Why is in the log of the node that refused."
        )
        yield Chapter(
            "Refused messages",
            (text,),
            tables=[Table(("sender", "refused by", "messages", "first round", "last round"), rows)],
        )


def training(run: RunDirectory) -> Chapter:
    """Curves over rounds, of what was measured."""
    return Chapter("Training", pictures=list(curves(run)))


def data(run: RunDirectory) -> Chapter:
    """How many samples each node trains on, of each class where there are classes."""
    partition, nodes = run.partition(), run.topology.num_nodes
    if not len(partition["train_node"]):
        return Chapter("Data", ("What each node holds is known to that node alone.",))
    if "train_label" not in partition:
        sizes = np.bincount(partition["train_node"], minlength=nodes)
        return Chapter("Data", (f"{sizes.sum():,} training samples; {_sizes(sizes)}.",))
    names = [str(name) for name in partition["class_names"]]
    flat = partition["train_label"] * nodes + partition["train_node"]
    counts = np.bincount(flat, minlength=len(names) * nodes).reshape(len(names), nodes)
    texts = (f"{counts.sum():,} training samples; {_sizes(counts.sum(axis=0))}.", *_corruption(partition))
    if nodes > NODES:
        return Chapter("Data", texts, [_commonest(counts)])
    columns = names_of(run.topology.labels)
    chart = HeatMap("Training samples by class and node", "node", "class", counts, names, columns, "samples")
    return Chapter("Data", texts, [chart_picture("classes", chart)])


def _commonest(counts: NDArray[np.int64]) -> Picture:
    """How uneven the classes of many nodes are, from ``counts`` [classes, nodes]."""
    sizes = counts.sum(axis=0)
    shares = counts.max(axis=0)[sizes > 0] / sizes[sizes > 0]
    of_nodes = np.linspace(0, 100, QUANTILES)
    chart = LineChart(
        "The commonest class of each node",
        "% of the nodes, those with the most even classes first",
        "% of its samples",
        {"": (of_nodes, 100 * np.quantile(shares, of_nodes / 100))},
    )
    return chart_picture("classes", chart)


def _sizes(sizes: NDArray[np.int64]) -> str:
    """How many samples nodes have."""
    return f"a node has {sizes.mean():,.0f} on average, {sizes.min():,} to {sizes.max():,}"


def _corruption(partition: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    """How many samples have wrong labels, where some were made wrong on purpose."""
    if "train_flipped" in partition:
        flipped = {split: partition[f"{split}_flipped"] for split in ("train", "validation", "held_out")}
        parts = [
            f"{mask.mean():.1%} of {split.replace('_', '-')} labels" for split, mask in flipped.items() if len(mask)
        ]
        copies = int((partition["train_duplicate_of"] >= 0).sum())
        yield (
            f"Corrupted on purpose, before training: {', '.join(parts)} are wrong, and {copies:,} training samples are "
            "copies of others with another label. Classes are counted as labelled."
        )


def traffic(ledger: TrafficCount, carried: Mapping[str, int], before: str = "") -> Chapter:
    """What was sent, by part and by link, what was ``before`` in a sentence, and the bytes that others ``carried``."""
    others = tuple(f"{number:,} bytes in all went through {who}." for who, number in carried.items())
    others = (before, *others) if before else others
    if not ledger.messages:
        return Chapter("Messages", ("No messages were sent.", *others))
    text = "Bytes are those of the tensors, part by part; names, types and shapes add the encoding on the wire."
    if len(ledger.messages) > LINKS:
        others = (*others, f"What each of {len(ledger.messages):,} links carried is in messages.arrow.")
        return Chapter("Messages", (text, *others), tables=[ledger.part_table()])
    edges = Details("What each node handed to each neighbour", ledger.edge_table())
    return Chapter("Messages", (text, *others), tables=[ledger.part_table()], details=[edges])


def nodes(run: RunDirectory, scores: Sequence[float], ledger: TrafficCount) -> Chapter:
    """One row for each node; of many nodes, for those that score worst."""
    topology, headline, sent = run.topology, run.headline, ledger.by_sender()
    samples = np.bincount(run.partition()["train_node"], minlength=topology.num_nodes)
    others = {name: final(run, f"test/{name}") for name in _other_scores(run)}
    rows: list[tuple[str | int | float, ...]] = [
        (
            f"{name}{' (attacker)' if node in run.attackers else ''}",
            int(samples[node]) if samples.any() else UNKNOWN,
            headline.scale * scores[node],
            *(values[node] for values in others.values()),
            UNKNOWN if node in run.not_collected else sent[node],
        )
        for node, name in enumerate(names_of(topology.labels))
    ]
    ends = [run.network_series(name)[1][-1:] for name in (headline.worst, headline.best)]
    sign = -1 if (ends[0] > ends[1]).any() else 1  # of an error, the largest is worst
    rows = [rows[node] for node in np.argsort(sign * np.array(scores), kind="stable")]
    told: tuple[str, ...] = ()
    if topology.num_nodes > NODES:
        rows = rows[:SHOWN]
        told = (f"The {SHOWN} worst of {topology.num_nodes:,} nodes; all are in metrics.jsonl.",)
    elif topology.num_nodes > 1:
        told = ("Those with the worst score first.",)
    further = (f"test {Headline(name).words}" for name in others)
    return Chapter(
        "Nodes", told, tables=[Table(("node", "samples", f"test {headline.label}", *further, "bytes sent"), rows)]
    )


def _other_scores(run: RunDirectory) -> Sequence[str]:
    """What nodes are tested by beside the headline, the loss last."""
    measured = (metric.name.split("/") for metric in run.metrics() if metric.node is not None)
    names = dict.fromkeys(parts[1] for parts in measured if len(parts) == 2 and parts[0] == "test")
    return [*(name for name in names if name not in (run.headline.name, "loss")), "loss"]


def contributed(number: int, section: Section) -> Chapter:
    """A section that a method or an audit brought along; what is found comes first, and how is folded away."""
    pictures = [chart_picture(f"section-{number}-{place}", chart) for place, chart in enumerate(section.charts, 1)]
    chapter = Chapter(
        section.title,
        section.paragraphs,
        pictures,
        section.tables,
        verdict=section.verdict,
        finding=section.finding,
        sources=section.sources,
    )
    if section.finding is None:
        return chapter
    tables = [Details(f"Table: {table.title or ', '.join(table.header[:4])}", table) for table in section.tables]
    how = [Details("How this was measured", section.paragraphs)] if section.paragraphs else []
    return replace(chapter, paragraphs=(), tables=(), details=[*how, *tables])


def timing(run: RunDirectory, node_steps_a_second: float) -> Chapter:
    """How fast it ran."""
    intervals = run.timing()
    seconds, steps = (sum(interval[key] for interval in intervals) for key in ("seconds", "node_steps"))
    rates = [interval["node_steps"] / interval["seconds"] for interval in intervals if interval["node_steps"]]
    facts = {
        "training time": duration(seconds),
        "node-steps": f"{steps:,}",
        "node-steps a second": significant(node_steps_a_second),
        "slowest interval": significant(min(rates, default=nan)),
        "fastest interval": significant(max(rates, default=nan)),
    }
    text = (
        "A node-step is one local step of one node. The time includes mixing and messages, and leaves evaluations out."
    )
    return Chapter("Speed", (text,), tables=[_facts(facts)])


def origin(provenance: Mapping[str, Any]) -> Chapter:
    """Where the run comes from, as far as it is known."""
    known = {**provenance, "command": shlex.join(provenance.get("command", []))}
    return Chapter("Provenance", tables=[_facts({key.replace("_", " "): describe(known[key]) for key in known})])


def final(run: RunDirectory, name: str) -> list[float]:
    """A metric of each node at the last evaluation, NaN where it is not known."""
    _, values = run.series(name)
    return [float(value) for value in values[-1]] if len(values) else [nan] * run.topology.num_nodes


def _degree(degrees: NDArray[np.int64]) -> str:
    low, high = degrees.min(), degrees.max()
    return str(low) if low == high else f"{low} to {high}, {degrees.mean():.3g} on average"


def _facts(facts: Mapping[str, str]) -> Table:
    """Two columns; what is not set is left out."""
    return Table((), [(name, text) for name, text in facts.items() if text])


def _look_up(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree
