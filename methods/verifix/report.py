"""What Verifix has to say in the report of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from methods.verifix.projection import importance
from methods.verifix.settings import VerifixSettings
from simulator.core.report import Artifact, BarChart, FinishedRun, HeatMap, Section, Table

SHARES, RANK = "shares/", "rank/"  # of a layer, in a node's artifact
BINS = 20

Found = Mapping[tuple[int | None, str], float]


class CorrectionRow(NamedTuple):
    """One node at the last correction, as in the report's table; NaN where the copy was not evaluated."""

    node: int
    alpha: str
    select_before: float
    select_after: float
    test_before: float
    test_after: float
    short_of_rank: int


HEADER = (
    *("node", "alpha", "select, before", "select, after", "test, before", "test, after"),
    "layers short of rank",
)
LAYER_HEADER = ("layer", "inputs", "smallest rank", "nodes short of rank", "directions kept")


def sections(settings: VerifixSettings, record: FinishedRun) -> Sequence[Section]:
    """One section on the last correction; none before."""
    artifacts = record.artifacts("verifix")
    if not artifacts:
        return ()
    last = max(artifact.round for artifact in artifacts)
    nodes = [artifact for artifact in artifacts if artifact.round == last]
    found = {(metric.node, metric.name): metric.value for metric in record.metrics() if metric.round == last}
    rows = [_row(artifact, found) for artifact in nodes]
    times = len({artifact.round for artifact in artifacts})
    return [
        Section(
            "Correction by verified samples",
            (*_paragraphs(settings, last, times), *_warnings(nodes)),
            _verdict(settings, rows, found, times),
            (Table(HEADER, rows), Table(LAYER_HEADER, [_layer_row(name, nodes) for name in _layers(nodes)])),
            (_accuracies(settings, rows, found), *_importances(nodes)),
        )
    ]


def _row(artifact: Artifact, found: Found) -> CorrectionRow:
    alpha, node = float(artifact.arrays["alpha"]), artifact.node
    return CorrectionRow(
        node,
        f"{alpha:g}" if isfinite(alpha) else "no correction",
        found[node, "verifix/select/accuracy/before"],
        found[node, "verifix/select/accuracy/after"],
        found.get((node, "test/accuracy"), nan),
        found.get((node, "verifix/test/accuracy"), nan),
        int(found[node, "verifix/layers_short_of_rank"]),
    )


def _layers(nodes: Sequence[Artifact]) -> list[str]:
    return [name.removeprefix(SHARES) for name in nodes[0].arrays if name.startswith(SHARES)]


def _layer_row(name: str, nodes: Sequence[Artifact]) -> tuple[str, int, int, int, float]:
    ranks = np.array([int(artifact.arrays[RANK + name]) for artifact in nodes])
    kept = [_kept(artifact, name) for artifact in nodes]
    inputs = len(kept[0])
    return name, inputs, int(ranks.min()), int((ranks < inputs).sum()), float(np.mean(kept) * inputs)


def _kept(artifact: Artifact, name: str) -> NDArray[np.float64]:
    """float [d]: the importance of each direction under the alpha that the node chose."""
    shares, alpha = artifact.arrays[SHARES + name], float(artifact.arrays["alpha"])
    kept: NDArray[np.float64] = importance(torch.from_numpy(shares), alpha).numpy()
    return kept if isfinite(alpha) else np.ones(len(shares))


def _paragraphs(settings: VerifixSettings, last: int, times: int) -> Iterator[str]:
    yield (
        f"After round {last} each node put the samples of its verified fit set through its model and reduced the "
        "weights of every linear and convolutional layer to the directions of their inputs. Alpha says how strongly, "
        "the smaller the more; each node took the one of highest accuracy on its select set, or none."
    )
    if settings.feeds_back:
        yield f"This was done {times} times, {settings.use.replace('_', ' ')}; training went on with what came of it."
    yield (
        "Short of rank: the samples put fewer independent rows into the layer than it has inputs. Directions kept: the "
        "sum of the importances of all directions, from 0 to 1 each; mean over the nodes."
    )


def _warnings(nodes: Sequence[Artifact]) -> Iterator[str]:
    for name in _layers(nodes):
        _, inputs, rank, short, _ = _layer_row(name, nodes)
        if short:
            yield (
                f"Warning: at {short} of {len(nodes)} nodes the fit set has too little in it for {name}: rank {rank} "
                f"of {inputs} at worst. What lies in the other directions is lost under every alpha. If new samples "
                "have something there, verify more."
            )


def _verdict(settings: VerifixSettings, rows: Sequence[CorrectionRow], found: Found, times: int) -> str:
    kept = sum(row.alpha == "no correction" for row in rows)
    left = f"{kept} of {len(rows)} nodes found nothing better than their model as it was"
    if settings.use in ("copy", "probe"):
        nodes, consensus = (_change(found, name) for name in ("test/accuracy/mean", "consensus/test/accuracy"))
        return (
            f"Verifix: correcting copies of the models took the nodes' mean test accuracy from {nodes}, and that of "
            f"the consensus model, which is the average of the nodes' copies, from {consensus}; {left}."
        )
    before, after = (float(np.mean([getattr(row, f"select_{when}") for row in rows])) for when in ("before", "after"))
    return (
        f"Verifix: the {'last' if times > 1 else 'only'} of {times} corrections took the mean accuracy on the nodes' "
        f"own select sets, which chose it, from {before:.1%} to {after:.1%}; {left}."
    )


def _change(found: Found, name: str) -> str:
    return f"{found.get((None, name), nan):.1%} to {found.get((None, f'verifix/{name}'), nan):.1%}"


def _accuracies(settings: VerifixSettings, rows: Sequence[CorrectionRow], found: Found) -> BarChart:
    nodes = [str(row.node) for row in rows]
    if settings.use not in ("copy", "probe"):
        series = {"before": [row.select_before for row in rows], "after": [row.select_after for row in rows]}
        return BarChart("Accuracy on each node's select set", nodes, series, "accuracy")
    together = (None, "consensus/test/accuracy"), (None, "verifix/consensus/test/accuracy")
    before, after = (found.get(key, nan) for key in together)
    series = {
        "before": [*(row.test_before for row in rows), before],
        "after": [*(row.test_after for row in rows), after],
    }
    return BarChart("Test accuracy of each node and of the consensus model", [*nodes, "consensus"], series, "accuracy")


def _importances(nodes: Sequence[Artifact]) -> Iterator[HeatMap]:
    """What the nodes that corrected their model kept, on average; none if nobody did."""
    changed = [artifact for artifact in nodes if isfinite(float(artifact.arrays["alpha"]))]
    if changed:
        names = _layers(changed)
        values = np.array([np.mean([_binned(_kept(artifact, name)) for artifact in changed], axis=0) for name in names])
        yield HeatMap(
            f"How much of each direction was kept, mean over {len(changed)} nodes",
            "directions from the strongest to the weakest, %",
            "weight",
            values,
            names,
            [f"{100 * (place + 0.5) / BINS:g}" for place in range(BINS)],
            "importance",
        )


def _binned(values: NDArray[Any]) -> NDArray[np.float64]:
    """float [bins]: values at evenly spaced places, between which they run straight."""
    centres = (np.arange(len(values)) + 0.5) / len(values)
    binned: NDArray[np.float64] = np.interp((np.arange(BINS) + 0.5) / BINS, centres, values)
    return binned
