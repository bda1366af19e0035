from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.core.errors import InputError
from simulator.data.targets import read_targets


@pytest.mark.parametrize(
    ("values", "classes", "names", "notes"),
    [
        (np.array(["no", "yes", "no"]), [0, 1, 0], ("no", "yes"), ("y: no, yes are classes 0 to 1, in this order",)),
        (np.array([True, False]), [1, 0], ("False", "True"), ("y: False, True are classes 0 to 1, in this order",)),
        (np.array([2, 0, 1]), [2, 0, 1], ("0", "1", "2"), ()),
        (np.array([-1, 1]), [0, 1], ("-1", "1"), ("y: -1, 1 are classes 0 to 1, in this order",)),
        (np.array([[0.0, 1], [1, 0]]), [1, 0], ("0", "1"), ("y is one-hot: taken as 2 classes",)),
        (np.array([[1], [0]]), [1, 0], ("0", "1"), ()),
    ],
)
def test_classes(values: Any, classes: Any, names: Any, notes: Any) -> None:
    found = read_targets("y", values)
    assert found.values.dtype == np.int64
    assert (found.values.tolist(), found.names, found.notes) == (classes, names, notes)


def test_quantities_stay_numbers() -> None:
    found = read_targets("y", np.array([0.5, 2]))
    assert (found.values.dtype, found.values.tolist(), found.names) == (np.float32, [0.5, 2], ("y",))
    assert read_targets("y", np.array([3, 0]), "quantity").values.tolist() == [3, 0]
    several = read_targets("y", np.array([[1, 1], [0, 1]]), columns=("a", "b"))
    assert (several.values.dtype, several.names) == (np.float32, ("a", "b"))
    assert read_targets("y", np.array([7.0, 3.0]), "classes").values.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.array([1.0, np.nan, np.inf]), "y has 2 values that are missing or infinite"),
        (np.array([1, "a", None], dtype=object), r"y holds Python objects \(NoneType, int, str\)"),
        (np.arange(50_001), "y has 50,001 different values"),
        (np.zeros((2, 2, 2)), r"y has shape \(2, 2, 2\)"),
    ],
)
def test_what_cannot_be_predicted_is_refused(values: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_targets("y", values)
