"""Scores of memorization that others have measured of the same samples, such as those of Feldman and Zhang (2020)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from auditing.memorization.samples import TrainingSamples
from auditing.memorization.score import Floats, MemorizationScore, PublishedFile, ScoreSettings
from simulator.core.damage import reading
from simulator.core.errors import Problem, wrong
from simulator.core.paths import located
from simulator.runs.run import Run

WHERE = "published"


class Published(MemorizationScore):
    """What others have measured of the same samples, from a file: ``published.file=cifar100_infl_matrix.npz``."""

    needs: ClassVar[frozenset[str]] = frozenset({"classes"})

    def lacking(self, run: Run, settings: ScoreSettings) -> Iterator[Problem]:
        """A file, where one is named, whose labels are those of the run's samples before any were made wrong."""
        if settings.published is None:
            return
        labels, samples = _labels(settings.published), TrainingSamples.of(run.directory.partition())
        known = samples.index < len(labels)
        others = int((labels[samples.index[known]] != samples.true_label[known]).sum())
        if others or not known.any():
            has = f"{others:,} have another class" if known.any() else "none is"
            what = f"of the run's {len(samples):,} training samples, {has} in {settings.published.file}."
            yield Problem(WHERE, what, "Give scores of the same data set, in its own order.")

    def scores(self, run: Run, settings: ScoreSettings) -> dict[str, Floats]:
        """``published``, NaN of samples that the run has added to the data set's; nothing where no file is named."""
        if settings.published is None:
            return {}
        given, index = _scores(settings.published), TrainingSamples.of(run.directory.partition()).index
        found, known = np.full(len(index), np.nan), index < len(given)
        found[known] = given[index[known]]
        return {"published": found}


def _scores(given: PublishedFile) -> Floats:
    values = _array(given.file, "scores", given.scores).astype(np.float64)
    if bad := int((~np.isfinite(values)).sum()):
        raise wrong(f"{WHERE}.scores", f"{given.scores} is not finite of {bad:,} samples.", "Give a number for each.")
    return values


def _labels(given: PublishedFile) -> NDArray[np.generic]:
    """As many as scores.

    Raises:
        InputError: they are not, or either is missing.
    """
    scores, labels = _scores(given), _array(given.file, "labels", given.labels)
    if len(scores) != len(labels):
        raise wrong(WHERE, f"{given.file} has {len(scores):,} scores and {len(labels):,} labels.", "Give as many.")
    return labels


def _array(path: Path, setting: str, name: str) -> NDArray[np.generic]:
    """The one called ``name``, and no other: files of influences are large."""
    if not (file := located(path, where=f"{WHERE}.file")).is_file():
        raise wrong(f"{WHERE}.file", f"there is no file {file.absolute()}.", "Correct the path.")
    with reading(file), file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        found: NDArray[np.generic] | None = arrays[name] if name in arrays.files else None
        names = ", ".join(arrays.files)
    if found is None:
        raise wrong(f"{WHERE}.{setting}", f"{file} has no array {name}; it has {names}.", "Name the one that it is.")
    if found.ndim != 1 or found.dtype.kind not in "iuf":
        raise wrong(f"{WHERE}.{setting}", f"{name} is not one number a sample.", "Name the array that is.")
    return found
