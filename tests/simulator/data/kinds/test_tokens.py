from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from simulator.core.errors import InputError
from simulator.data.kinds.tokens import Tokens


def inputs(ids: Any, lengths: Any, dtype: Any = np.uint16) -> dict[str, Any]:
    return {"ids": np.array(ids, dtype=dtype), "lengths": np.array(lengths, dtype=np.int32)}


def test_a_batch_has_int64_tokens_and_a_mask() -> None:
    stored = inputs([[1, 2, 0], [3, 4, 5]], [2, 3])
    kind = Tokens(6)
    kind.check("x_train", stored)
    tensors = {name: torch.from_numpy(each) for name, each in stored.items()}
    batch = kind.preparation(stored, np.arange(2))(tensors, torch.bfloat16)
    assert not isinstance(batch, torch.Tensor)
    assert batch["ids"].dtype == torch.int64
    assert batch["ids"].tolist() == stored["ids"].tolist()
    assert batch["mask"].tolist() == [[True, True, False], [True, True, True]]
    spec = kind.specification(stored)
    assert (spec.kind, spec.shape, spec.vocabulary) == ("tokens", (3,), 6)


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (inputs([[1, 9], [7, 0]], [2, 1]), "x holds 2 tokens outside of the vocabulary of 6, such as 9"),
        (inputs([[1, -1]], [2], np.int64), "1 tokens outside of the vocabulary of 6, such as -1"),
        (inputs([[1, 2]], [3]), "lengths from 3 to 3, of 2 tokens"),
        (inputs([[1, 2]], [0]), "lengths from 0 to 0"),
        (inputs([[1.5, 2]], [2], np.float32), "is float32 of shape"),
        ({"ids": np.array([[1], [1, 2]], dtype=object), "lengths": np.ones(2, np.int32)}, "lengths from 1 to 2: pad"),
        (np.zeros((2, 2), dtype=np.int64), "x holds no tokens"),
    ],
)
def test_each_flaw_is_named(stored: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Tokens(6).check("x", stored)
    assert all(problem.advice for problem in caught.value.problems)
