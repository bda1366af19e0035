"""Classes that samples to train or to test with lack."""

from pathlib import Path

import numpy as np
import pytest

from simulator.data.loading import load_private
from simulator.data.npz import Npz


def notes(folder: Path, train: list, test: list, **needs: bool) -> list[str]:
    pixels = np.zeros((len(train), 2, 2), dtype=np.uint8)
    arrays = {"x_train": pixels, "y_train": np.array(train), "x_test": pixels[: len(test)], "y_test": np.array(test)}
    np.savez(folder / "data.npz", **arrays)
    told = load_private(Npz.Config(path=folder / "data.npz"), Path("/nowhere"), **needs).notes
    return [note for note in told if "in this order" not in note]


def test_labels_that_begin_with_0_on_one_side_and_with_1_on_the_other_are_told(tmp_path):
    unknown, untested = notes(tmp_path, [1, 2, 3, 3], [0, 1, 2, 0])
    assert unknown == "2 of 4 test samples are of classes that no training sample is of: 0"
    assert untested == "no test sample is of these classes: 3"


@pytest.mark.parametrize("test", [["cat", "cat"], ["cat"]])
def test_a_single_class_is_told_by_its_name(tmp_path, test):
    assert notes(tmp_path, ["cat"] * 3, test) == ["every sample is of the class 'cat': there is nothing to predict"]


def test_nothing_is_said_of_classes_that_are_all_there_or_of_quantities(tmp_path):
    assert not notes(tmp_path, [0, 1, 1], [1, 0])
    assert not notes(tmp_path, [0.5, 0.5], [1.5])


def test_nothing_is_said_of_a_test_set_that_is_not_used(tmp_path):
    assert not notes(tmp_path, [0, 1, 1], [1], needs_test=False)
