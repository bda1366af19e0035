"""The audit of models that were trained elsewhere, from the command line's files to a folder of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from auditing.trained_elsewhere.audit import audit_models
from simulator.core.errors import InputError, wrong
from simulator.results.terminal import Terminal
from simulator.runs.trained_elsewhere import TrainedElsewhere

USABLE = ("attacks", "signals")
NAMES = {"views": "--view", "replicas": "--replicas"}


def audit_files(given: TrainedElsewhere, options: Mapping[str, Any]) -> Path:
    """Audit the models and write what is found; returns the folder.

    Raises:
        InputError: a file cannot be read, what is in them does not fit together, or an option is of no use here.
    """
    if useless := [name for name in options if name not in USABLE]:
        what = "there is no use for it: models that were trained elsewhere are references for each other."
        raise wrong(NAMES[useless[0]], what, "Leave it out.")
    masks, data = _read(given.members, "--members"), _read(given.data, "--data")
    if "members" not in masks:
        what = f"{given.members} has no array members, but {', '.join(masks) or 'none'}."
        raise wrong("--members", what, "Save it as numpy.savez(file, members=mask), bool [models, samples].")
    if both := [name for name in given.normalisation if name in data]:
        raise wrong(f"--{both[0]}", f"{given.data} has a {both[0]}, too.", "Give it once.")
    audited = audit_models(
        list(given.models),
        masks["members"],
        data | {name: np.array(values) for name, values in given.normalisation.items()},
        given.network,
        given.network_settings,
        task=given.task,
        **options,
    )
    for note in audited.result["notes"]:
        Terminal(stderr=True).print(f"note: {note}", soft_wrap=True)
    return audited.save(given.out)


def _read(file: Path, where: str) -> dict[str, NDArray[Any]]:
    """The arrays in an ``.npz`` file."""
    if not file.is_file():
        raise wrong(where, f"there is no file {file}.", "Correct the path.")
    if not is_zipfile(file):
        raise wrong(where, f"{file} is no .npz file.", "Write it with numpy.savez, which names arrays.")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError) as error:
        raise _unreadable(file, where, error) from error


def _unreadable(file: Path, where: str, error: Exception) -> InputError:
    if "allow_pickle" in str(error):
        what = f"{file} holds an array of Python objects."
        return wrong(where, what, "Give numbers: numpy.stack joins arrays of one shape.")
    return wrong(where, f"{file} cannot be read: {error}.", "Write it anew.")
