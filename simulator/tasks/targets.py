"""What targets look like, for the refusal of those that do not fit a task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simulator.core.errors import InputError, wrong


def refused(what: str, advice: str) -> InputError:
    """The error for targets that the task of the experiment cannot take."""
    return wrong("task", what, advice)


def described(targets: Tensor) -> str:
    """Their type and shape, as in "float32 of shape (100, 3)"."""
    return f"{str(targets.dtype).removeprefix('torch.')} of shape {tuple(targets.shape)}"


def is_one_hot(targets: Tensor) -> bool:
    """Whether every row has a single 1, of several columns, and is 0 elsewhere."""
    if targets.dim() != 2 or targets.shape[1] < 2:
        return False
    return bool(((targets == 0) | (targets == 1)).all() and (targets.sum(dim=1) == 1).all())


def is_whole(targets: Tensor) -> bool:
    """Whether all of them are whole numbers, of whatever type."""
    return not targets.is_floating_point() or bool((targets.isfinite() & (targets == targets.round())).all())


def check_present(targets: Tensor) -> None:
    """Refuse none at all.

    Raises:
        InputError: there are no targets.
    """
    if targets.numel() == 0:
        raise refused(f"targets are {described(targets)}: there are none.", "Give training samples with targets.")


def check_finite(targets: Tensor, names: Sequence[str]) -> None:
    """Refuse NaN and infinity, counted by column.

    Raises:
        InputError: some target is not finite.
    """
    lost = ~targets.isfinite()
    if lost.any():
        columns = lost.reshape(len(targets), -1).sum(dim=0).tolist()
        by_name = ", ".join(f"{number} of {called(k, names)}" for k, number in enumerate(columns) if number)
        what = f"{int(lost.sum())} of {targets.numel()} targets are NaN or infinite"
        where = f": {by_name}" if targets.dim() > 1 else ""
        raise refused(f"{what}{where}.", "Leave those samples out, or fill in what is missing.")


def check_labels(targets: Tensor, names: Sequence[str]) -> None:
    """Refuse what is neither 0 nor 1, and say which.

    Raises:
        InputError: a target is missing, or another number.
    """
    check_finite(targets, names)
    if (others := targets[(targets != 0) & (targets != 1)]).numel() == 0:
        return
    found = [f"{value:g}" for value in torch.unique(targets).tolist()]
    if len(found) == 2:
        raise refused(f"targets are {found[0]} and {found[1]}.", f"Write 0 for {found[0]}, and 1 for {found[1]}.")
    what = f"{others.numel()} of {targets.numel()} targets are neither 0 nor 1: {others[0].item():g} is the first."
    whole = "classification, where they are classes, or task: " if is_whole(targets) else ""
    raise refused(what, f"Write 1 where a label holds, and 0 where not; or set task: {whole}regression.")


def called(column: int, names: Sequence[str]) -> str:
    """The name of a label or quantity, or its number where it has none."""
    return names[column] if names else str(column)


def check_names(columns: int, names: Sequence[str], noun: str) -> None:
    """Refuse names that are not one a column; there may be none.

    Raises:
        InputError: there are more or fewer names than columns of targets.
    """
    if names and columns == 1:
        if len(names) > 1:
            what = f"the data take the target for {len(names)} classes, and no {noun}: {', '.join(names[:10])}."
            advice = "Set meaning: quantity in the data set, where it has this setting, or give numbers with fractions"
            raise refused(what, f"{advice} (floats); or set task: classification.")
    elif names and len(names) != columns:
        what = f"targets have {columns} {noun}, and the data name {len(names)}: {', '.join(names[:10])}."
        raise refused(what, "Give one name a column, or set task: classification, where these are classes.")
