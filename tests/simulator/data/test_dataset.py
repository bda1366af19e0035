from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.core.channel import Channel
from simulator.core.errors import InputError
from simulator.core.registry import PartSettings
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.kinds.images import Images
from simulator.data.loading import load
from simulator.data.stored import to_tensor

CHANNELS = (Channel("mv", horizontal=True), Channel("mv"), *[Channel("residual")] * 3, *[Channel("iframe")] * 3)


def image_data(**changes: Any) -> ArrayData:
    arrays: dict[str, Any] = {
        "x_train": np.zeros((6, 4, 5, 3), dtype=np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": np.zeros((2, 4, 5, 3), dtype=np.uint8),
        "y_test": np.array([2, 0]),
        "class_names": ("a", "b", "c"),
    }
    return ArrayData(**(arrays | changes))


def test_sound_data_pass() -> None:
    image_data().validate()
    image_data(y_train=None, y_test=None, class_names=()).validate()
    image_data(y_train=None, x_test=None, y_test=None, class_names=()).validate()
    images = {name: np.zeros((count, 4, 5, 8), dtype=np.uint8) for name, count in (("x_train", 6), ("x_test", 2))}
    image_data(**images, kind=Images(CHANNELS)).validate()
    assert image_data().num_classes == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"x_train": np.zeros((6, 4, 5, 3), dtype=np.float32)}, "x_train has type float32"),
        ({"x_test": np.zeros((2, 4, 5, 3), dtype=np.int64)}, "x_test has type int64"),
        ({"x_train": np.zeros((6, 4, 5), dtype=np.uint8)}, r"x_train has shape \(6, 4, 5\)"),
        ({"x_train": np.zeros((6, 4, 5, 4), dtype=np.uint8)}, r"x_train has shape \(6, 4, 5, 4\)"),
        ({"kind": Images(CHANNELS[:2])}, r"x_train has shape \(6, 4, 5, 3\)"),
        (
            {"x_train": np.zeros((6, 4, 5, 9), dtype=np.uint8), "kind": Images(CHANNELS)},
            r"x_train has shape \(6, 4, 5, 9\)",
        ),
        ({"x_train": np.zeros((0, 4, 5, 3), dtype=np.uint8)}, "x_train holds no images"),
        ({"x_test": np.zeros((2, 5, 4, 3), dtype=np.uint8)}, "x_train has samples of 4x5x3, but x_test of 5x4x3"),
        ({"y_train": np.zeros(6)}, "y_train has type float64"),
        ({"y_train": np.zeros(5, dtype=np.int64)}, r"y_train has shape \(5,\), but x_train has 6"),
        ({"y_test": np.zeros((2, 1), dtype=np.int64)}, r"y_test has shape \(2, 1\)"),
        ({"x_test": None}, r"y_test has shape \(2,\), but x_test has 0"),
        ({"y_train": np.array([0, 1, 2, 0, 1, 3])}, "y_train runs from 0 to 3, but there are 3 classes"),
        ({"y_test": np.array([-1, 2])}, "y_test runs from -1 to 2"),
    ],
)
def test_each_flaw_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        image_data(**changes).validate()
    assert all(problem.advice for problem in caught.value.problems)


def test_tensors_share_memory_and_take_read_only_arrays_without_a_warning() -> None:
    array = np.arange(6)
    to_tensor(array)[0] = 9
    assert array[0] == 9
    array.setflags(write=False)
    to_tensor(array)[0] = 7
    assert array[0] == 9


@pytest.mark.parametrize("drawn", ["numpy", None])
def test_data_that_are_drawn_from_a_global_generator_are_told(drawn: str | None, register: Any, tmp_path: Path) -> None:
    class Drawn(Dataset):
        """Is another one each time, unless it has a generator of its own."""

        def load(self, root: Path) -> ArrayData:
            drawing: Any = np.random if drawn else np.random.default_rng(0)
            return image_data(x_train=(drawing.random((6, 4, 5, 3)) * 255).astype(np.uint8))

    register("datasets", "drawn", Drawn)
    notes = [note for note in load(PartSettings(name="drawn"), tmp_path, "").notes if "global generator" in note]
    assert len(notes) == (drawn is not None)
    assert all("of numpy: the next run may have other samples" in note for note in notes)
