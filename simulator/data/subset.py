"""A coreset chosen by the scores of another run: what transfers a choice to another network, or to a fresh start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simulator.core.damage import read_arrays, reading
from simulator.core.errors import did_you_mean, wrong
from simulator.core.paths import located
from simulator.data.content import Content
from simulator.data.coreset import CCS, coreset
from simulator.data.partition import Indices
from simulator.data.settings import SubsetSettings

WHERE = "data.subset.run"
ADVICE = "Name the directory of a run with the method ltc, or a folder with one for each seed."


def restricted(settings: SubsetSettings | None, content: Content, train: Sequence[Indices], seed: int) -> list[Indices]:
    """What the nodes train on, without the rows that the coreset lacks.

    Each node of the other run chooses among its own samples; a sample that it did not train on is in no coreset. How
    many nodes it had, and which, makes no difference to who may keep what they chose.

    Args:
        settings: the other run, and how to choose; None: nothing is left out.
        content: of the data set, which must be that run's, whatever its settings and root.
        train: each node's rows, in order of node id.
        seed: tells which run is meant, where there is a folder of them.

    Raises:
        InputError: there is no such run, or no such score; or a node is left without samples.
    """
    if settings is None:
        return list(train)
    run = _run(located(settings.run, where=WHERE), seed)
    _check_content(run, content)
    chosen = np.concatenate([_of_node(file, settings) for file in _scores(run)])
    left = [rows[np.isin(rows, chosen)] for rows in train]
    for node, rows in enumerate(left):
        if not len(rows):
            what = f"node {node} trains on none of the {len(chosen)} samples that the nodes of {run} chose."
            raise wrong("data.subset", what, "Take the partition and the seed of that run, or a larger share.")
    return left


def _run(path: Path, seed: int) -> Path:
    """The run at ``path``, or that of this seed in the folder ``path``."""
    if (path / "experiment.yaml").is_file():
        return path
    found = [file.parent for file in sorted(path.glob(f"[!.]*-s{seed}/experiment.yaml"))]
    if len(found) == 1:
        return found[0]
    how_many = f"{len(found)} runs" if found else "no run"
    raise wrong(WHERE, f"{path} is not a run, and has {how_many} of seed {seed} in it.", ADVICE)


def _check_content(run: Path, content: Content) -> None:
    file = run / "partition.npz"
    partition = read_arrays(file)
    with reading(file):
        same = content.is_that_of(partition)
    if not same:
        what = f"{run} is about another data set: its images or labels are not those of this one."
        raise wrong(WHERE, what, "Take a run on the same data set: the same settings, and the same files in data.root.")


def _scores(run: Path) -> list[Path]:
    files = sorted((run / "artifacts").glob("scores-round-*-node-*.npz"))
    if not files:
        raise wrong(WHERE, f"no node of {run} has saved scores.", ADVICE)
    return files


def _of_node(file: Path, settings: SubsetSettings) -> Indices:
    """The rows that one node's samples are reduced to."""
    arrays = read_arrays(file)
    index, labels = arrays["index"], arrays["label"]
    scores = {name.removeprefix("score/"): arrays[name] for name in arrays if name.startswith("score/")}
    if settings.score not in (*scores, CCS):
        what = f"unknown score '{settings.score}'."
        raise wrong("data.subset.score", what, did_you_mean(settings.score, [*scores, CCS], "scores"))
    if settings.leading not in scores:
        what = f"ccs goes by the score {settings.leading}, which {file} does not have."
        raise wrong("data.subset.margin", what, "Score the samples again, or take the other margin.")
    with reading(file):  # where arrays do not fit together
        rows: Indices = index[coreset(scores, labels, settings)]
    return rows
