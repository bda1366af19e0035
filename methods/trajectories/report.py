"""What the recorder has to say in the report of a run: how samples fared, and how well that finds corrupted ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.core.report import Artifact, FinishedRun, HeatMap, LineChart, Section, Table
from simulator.training.trajectories import NEVER, suspicion

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
MAIN = "cumulative loss"
BINS = 20
NODES = ("node", "samples", "observations a sample", "mean loss", "mean margin", "EL2N", "forgotten", "never learned")
PEAK = "weights largest after round"
AREAS = ("all nodes", "mean over nodes", "worst node", "best node")
LOOKS = {
    "byproduct": "as it passed through training, augmented",
    "eval_pass": "in forward passes after local training, as it is",
}


class Target(NamedTuple):
    """Samples to be found among others, as masks over the training samples of all nodes, in order of node."""

    name: str
    wanted: Mask
    others: Mask


def sections(mode: str, record: FinishedRun) -> Sequence[Section]:
    """One section, with a table for each kind of corruption; none before the run has ended."""
    artifacts, partition = record.artifacts("trajectories"), record.partition()
    if not artifacts:
        return ()
    each = [suspicion(artifact.arrays) for artifact in artifacts]
    scores = {name: np.concatenate([found[name] for found in each]) for name in each[0]}
    wanted = list(targets(partition))
    found = {target.name: areas(scores, target, partition["train_node"]) for target in wanted}
    norms = [artifact.arrays["norm"] for artifact in record.artifacts("trajectories_weights")]  # older runs have none
    of_nodes = [_row(artifact) for artifact in artifacts]
    if norms:
        of_nodes = [(*row, _peak(norm)) for row, norm in zip(of_nodes, norms, strict=True)]
    tables = [Table((*NODES, PEAK) if norms else NODES, of_nodes)]
    for name, rows in found.items():
        tables.append(Table((f"AUROC for {name}", *AREAS), [(score, *values) for score, values in rows.items()]))
    node = np.repeat([artifact.node for artifact in artifacts], [len(own[MAIN]) for own in each])
    charts: list[HeatMap | LineChart] = [_by_node(scores[MAIN], node)]
    charts += [_apart(scores[MAIN], target) for target in wanted]
    charts += [_norms(norms)] if norms else []
    return [Section("Trajectories of training samples", _paragraphs(mode), _verdict(found, artifacts), tables, charts)]


def targets(partition: Arrays) -> Iterator[Target]:
    """What was corrupted: flipped labels, and both samples of each pair of duplicates; each against untouched ones."""
    if "train_flipped" not in partition:
        return
    flipped, copied = partition["train_flipped"], partition["train_duplicate_of"]
    paired = (copied >= 0) | np.isin(partition["train_index"], copied)
    for name, wanted in (("flipped labels", flipped & ~paired), ("duplicates with different labels", paired)):
        if wanted.any():
            yield Target(name, wanted, ~flipped & ~paired)


def areas(scores: Mapping[str, Floats], target: Target, node: NDArray[np.int64]) -> Mapping[str, Sequence[float]]:
    """Areas under the ROC curve by score: over the samples of all nodes; then mean, least and largest over nodes."""
    found = {}
    for name, values in scores.items():
        by_node = [area(values[node == i], target.wanted[node == i], target.others[node == i]) for i in np.unique(node)]
        known = [value for value in by_node if value == value] or [nan]
        found[name] = (area(values, *target[1:]), float(np.mean(known)), min(known), max(known))
    return found


def area(scores: Floats, wanted: Mask, others: Mask) -> float:
    """Probability that a wanted sample scores above another; NaN where there is none of either. NaN scores are out."""
    from sklearn.metrics import roc_auc_score  # takes a second to import, and a run starts without it

    known = (wanted | others) & ~np.isnan(scores)
    truth = wanted[known]
    return float(roc_auc_score(truth, scores[known])) if truth.any() and not truth.all() else nan


def _row(artifact: Artifact) -> tuple[float, ...]:
    found = artifact.arrays
    learned = found["learned_in"] != NEVER
    return (
        artifact.node,
        len(learned),
        float(found["observations"].mean()),
        float(found["cumulative_loss"].sum() / max(1, found["observations"].sum())),
        *(float(np.nanmean(found[name])) for name in ("mean_margin", "el2n")),
        float((found["forgetting"] > 0)[learned].sum() / len(learned)),
        float(1 - learned.mean()),
    )


def _paragraphs(mode: str) -> tuple[str, ...]:
    return (
        f"Each node looked at its training samples {LOOKS[mode]}, with the labels it was given. Of the samples, "
        "forgotten: the share that was classified correctly and then wrongly at least once; never learned: the share "
        "that was never classified correctly, which counts as forgotten most often.",
        "Scores are high for samples that look mislabelled or memorized. Which samples truly are is known to this "
        "report only, never to a node.",
        "The norm of a node's weights has been proposed for stopping early without a validation set, where it is "
        "largest (CSG, ICLR 2026); if that is after the last round, it was still growing.",
    )


def _verdict(found: Mapping[str, Mapping[str, Sequence[float]]], artifacts: Sequence[Artifact]) -> str:
    if not found:
        never = float(np.concatenate([a.arrays["learned_in"] == NEVER for a in artifacts]).mean())
        return f"Trajectories: {never:.1%} of the training samples were never classified correctly in training."
    parts = (f"the {name} with AUROC {rows[MAIN][0]:.3f}" for name, rows in found.items())
    return f"Trajectories: of the samples of all nodes together, the {MAIN} finds {' and '.join(parts)}."


def _by_node(loss: Floats, node: NDArray[np.int64]) -> HeatMap:
    edges = np.histogram_bin_edges(loss[~np.isnan(loss)], BINS)
    nodes = [str(i) for i in np.unique(node)]
    counts = np.stack([np.histogram(loss[node == i], edges)[0] for i in np.unique(node)], axis=1)
    rows = [f"{low:.2g}" for low in edges[:-1]]
    return HeatMap("Training samples by loss and node", "node", "mean loss, from", counts, rows, nodes, "samples")


def _apart(loss: Floats, target: Target) -> LineChart:
    edges = np.histogram_bin_edges(loss[~np.isnan(loss)], BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    shares = {}
    for name, mask in ((target.name, target.wanted), ("untouched samples", target.others)):
        counts = np.histogram(loss[mask], edges)[0]
        shares[name] = (middles, counts / max(1, counts.sum()))
    return LineChart(f"Mean loss over training: {target.name}", "mean loss", "share of samples", shares)


def _peak(norm: Floats) -> float:
    """After which round it is largest; NaN of a node that was never there."""
    return nan if np.isnan(norm).all() else 1 + int(np.nanargmax(norm))


def _norms(norms: Sequence[Floats]) -> LineChart:
    """Over rounds, the mean over nodes that were there."""
    known = ~np.isnan(norms).all(axis=0)
    mean: Floats = np.nanmean(np.array(norms)[:, known], axis=0)
    rounds: Floats = (1 + np.flatnonzero(known)).astype(np.float64)
    return LineChart("Norm of the weights", "round", "mean over nodes", {"norm": (rounds, mean)})
