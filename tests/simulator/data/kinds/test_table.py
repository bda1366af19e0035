from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from simulator.core.errors import InputError
from simulator.data.kinds.table import Table

KIND = Table(("age", "weight"), ("weight",), (("sex", ("f", "m")),))
NAN = np.nan


def inputs(numbers: Any, codes: Any) -> dict[str, Any]:
    return {"numbers": np.array(numbers, dtype=np.float32), "codes": np.array(codes, dtype=np.int16)}


def prepared(stored: dict[str, Any], rows: Any) -> torch.Tensor:
    return KIND.preparation(stored, np.array(rows))({name: torch.from_numpy(each) for name, each in stored.items()})


def test_numbers_are_scaled_by_the_rows_given_and_gaps_become_zero_and_marked() -> None:
    stored = inputs([[0, 1], [2, NAN], [100, 3]], [[0], [1], [3]])
    KIND.check("x_train", stored)
    features = prepared(stored, [0, 1])
    # age: mean 1, deviation 1; weight: one value alone, 1, so that nothing is scaled.
    assert features.tolist() == [
        [-1, 0, 0, 1, 0, 0, 0],
        [1, 0, 1, 0, 1, 0, 0],
        [99, 2, 0, 0, 0, 0, 1],
    ]
    assert KIND.specification(stored).columns == (
        "age", "weight", "weight is missing", "sex=f", "sex=m", "sex=other", "sex=missing",
    )  # fmt: skip
    assert KIND.specification(stored).shape == (7,)


def test_moments_of_large_numbers_do_not_cancel() -> None:
    days = np.array([20_000_000, 20_000_002, 20_000_004, 20_000_006], dtype=np.float32)
    kind = Table(("days",))
    stored = {"numbers": days[:, None], "codes": np.empty((4, 0), dtype=np.int16)}
    scaled = kind.preparation(stored, np.arange(4))({name: torch.from_numpy(each) for name, each in stored.items()})
    assert isinstance(scaled, torch.Tensor)
    assert scaled.std(correction=0).item() == pytest.approx(1, abs=0.01)


def test_a_preparation_can_be_copied_and_sent_and_takes_leading_dimensions() -> None:
    stored = inputs([[0, 1], [2, NAN]], [[0], [2]])
    preparation = KIND.preparation(stored, np.arange(2))
    tensors = {name: torch.from_numpy(each) for name, each in stored.items()}
    expected = preparation(tensors)
    assert isinstance(expected, torch.Tensor)
    for twin in (pickle.loads(pickle.dumps(preparation)), copy.deepcopy(preparation)):
        assert torch.equal(twin(tensors), expected)
    pairs = preparation({name: each[torch.tensor([[0, 1], [1, 0]])] for name, each in tensors.items()})
    assert isinstance(pairs, torch.Tensor)
    assert torch.equal(pairs[1], expected.flip(0))
    half = preparation(tensors, torch.bfloat16)
    assert isinstance(half, torch.Tensor)
    assert half.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (inputs([[NAN, 1], [2, 3], [NAN, NAN]], [[0]] * 3), "2 NaN in 'age', where nothing may be missing"),
        (inputs([[1, np.inf]], [[0]]), "1 infinite values in 'weight'"),
        (inputs([[1, 1]], [[4]]), "codes from 4 to 4 in 'sex', which has 2 categories"),
        (inputs([[1]], [[0]]), r"x\['numbers'\] is float32 of shape \(1, 1\)"),
        (np.zeros((2, 2)), "x is no table"),
    ],
)
def test_each_flaw_is_named(stored: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        KIND.check("x", stored)
    assert all(problem.advice for problem in caught.value.problems)
