from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from simulator.core.errors import InputError
from simulator.core.user_code.names import pinned
from simulator.data.dataset import DATASETS, ArrayData
from simulator.data.kinds.images import Images

CODE = """
import torch
from torch.utils.data import Dataset

class Squares(Dataset):
    def __init__(self, count=10, first=0):
        self.numbers = torch.arange(first, first + count)
        self.sites = ["even" if n % 2 == 0 else "odd" for n in self.numbers]
        self.groups = self.numbers // 2

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, i):
        return {"a": self.numbers[i].float(), "b": torch.tensor([i, i])}, float(self.numbers[i]) ** 2
"""


class Items(Dataset[Any]):
    """Whatever is handed over."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        item = self.items[number]
        return item() if callable(item) else item


def load(source: type, **settings: Any) -> ArrayData:
    part: Any = DATASETS.as_part(source)
    data: ArrayData = part(**settings).load(Path("/nowhere"))
    data.validate()
    return data


def test_a_class_in_a_file_is_a_data_set_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    part = DATASETS.load(pinned("mine.py:Squares", tmp_path))
    config: Any = part.Config(name="mine.py:Squares", arguments={"count": 6}, test_arguments={"count": 2, "first": 100})
    data = part(config).load(tmp_path)
    data.validate()
    assert not isinstance(data.x_train, np.ndarray)
    assert data.x_train["a"].tolist() == [0, 1, 2, 3, 4, 5]
    assert data.x_train["b"].shape == (6, 2)
    assert (data.y_train.dtype, data.y_test.tolist()) == (np.float32, [10_000, 10_201])
    assert (data.site_names, data.sites.tolist()) == (("even", "odd"), [0, 1] * 3)
    assert data.groups is not None
    assert len(set(data.groups.tolist())) == 3


def test_tensors_as_torchvision_makes_them_are_recognised_as_images() -> None:
    pixels = torch.arange(20 * 3 * 4 * 5).remainder(256).reshape(20, 3, 4, 5)
    items = [(image / 255, label % 2) for label, image in enumerate(pixels)]
    data = load(Items, arguments={"items": items}, test=0.2)
    assert data.kind == Images()
    assert isinstance(data.x_train, np.ndarray)
    assert data.x_train.shape == (16, 4, 5, 3)
    assert data.notes == ("inputs is float32 from 0 to 1, channels first: taken as images",)
    assert data.x_test is not None
    assert len(data.x_test) == 4


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ([(np.zeros(2), 0), (np.zeros(3), 1)], r"the input of item 1 has shape \(3,\), and that of item 0 \(2,\)"),
        ([(np.zeros(2), 0, 5)], "item 0 is a tuple of 3, and no input with its target"),
        ([("some text", 0)] * 2, "inputs is text"),
        ([(object(), 0)], "item 0 holds a object"),
        ([], "Items has no items"),
        ([lambda: 1 / 0], "item 0 cannot be read: ZeroDivisionError"),
    ],
)
def test_items_that_make_no_arrays_are_named(items: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load(Items, arguments={"items": items})
    assert all(problem.advice for problem in caught.value.problems)


def test_random_items_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"item 0 of Items is another one when it is read again\.\n.*data\.augment"):
        load(Items, arguments={"items": [lambda: (rng.random(2), 0)] * 3})


def test_what_has_no_numbered_items_is_refused() -> None:
    class Stream(IterableDataset[Any]):
        """Endless."""

    with pytest.raises(InputError, match="Stream is an IterableDataset"):
        DATASETS.as_part(Stream)
    with pytest.raises(InputError, match="Items cannot be made: TypeError"):
        load(Items)
