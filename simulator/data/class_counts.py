"""Classes that samples to train or to test with lack: told before a run, whose scores would hide it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.data.dataset import ArrayData
from simulator.data.targets import shortened


def told_classes(data: ArrayData, tested: bool) -> Iterator[str]:
    """What the user should know about the classes of labelled ``data``; nothing where targets are no classes.

    Args:
        data: of training and, perhaps, of testing.
        tested: whether its test samples are used.
    """
    train, test = data.y_train, data.y_test if tested else None
    if train is None or train.ndim != 1 or train.dtype.kind != "i" or not len(train):
        return
    trained = np.unique(train)
    if len(trained) == 1 and (test is None or not len(test) or (test == trained[0]).all()):
        yield f"every sample is of the class '{_name(data, trained[0])}': there is nothing to predict"
    if test is None or not len(test):
        return
    unknown, untested = np.setdiff1d(test, trained), np.setdiff1d(trained, test)
    if len(unknown):
        count, named = int(np.isin(test, unknown).sum()), shortened(_name(data, each) for each in unknown)
        yield f"{count:,} of {len(test):,} test samples are of classes that no training sample is of: {named}"
    if len(untested):
        yield f"no test sample is of these classes: {shortened(_name(data, each) for each in untested)}"


def _name(data: ArrayData, number: int) -> str:
    return data.class_names[number] if data.class_names else str(number)
