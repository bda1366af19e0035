from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits, load_sample_images
from sklearn.model_selection import train_test_split

from simulator.data.offline import Digits, PhotoPatches

NOWHERE = Path("/nonexistent")


def test_digits_are_split_once_and_for_all_by_class() -> None:
    data = Digits(Digits.Config()).load(NOWHERE)
    data.validate()
    assert data.x_train.shape == (1437, 8, 8, 1)
    assert data.x_test is not None
    assert data.y_train is not None
    assert data.y_test is not None
    assert data.x_test.shape == (360, 8, 8, 1)
    assert data.x_train.max() == 255
    digits = load_digits()
    original = np.round(digits.images[..., None] * (255 / 16)).astype(np.uint8)
    split = train_test_split(original, digits.target, test_size=0.2, stratify=digits.target, random_state=0)
    for drawn, theirs in zip((data.x_train, data.x_test, data.y_train, data.y_test), split, strict=True):
        assert np.array_equal(drawn, theirs)
    assert data.class_names == tuple(map(str, digits.target_names))
    shares = np.bincount(data.y_test) / np.bincount(np.concatenate([data.y_train, data.y_test]))
    assert np.abs(shares - 0.2).max() < 0.01
    again = Digits(Digits.Config()).load(NOWHERE)
    assert np.array_equal(data.x_train, again.x_train)


def test_what_one_does_to_the_digits_nobody_else_sees():
    first = Digits(Digits.Config()).load(NOWHERE)
    before = [array.copy() for array in (first.x_train, first.y_train, first.x_test, first.y_test)]
    for array in (first.x_train, first.y_train, first.x_test, first.y_test):
        array[:] = 0
    again = Digits(Digits.Config()).load(NOWHERE)

    for kept, found in zip(before, (again.x_train, again.y_train, again.x_test, again.y_test), strict=True):
        assert np.array_equal(kept, found)


def test_patches_at_full_size_are_cut_from_the_photographs() -> None:
    height = 427  # of both photographs: patches of this size span it, and are not resized
    patches = PhotoPatches(PhotoPatches.Config(size=height, count=6)).load(NOWHERE)
    patches.validate()
    assert patches.x_train.shape == (6, height, height, 3)
    assert patches.y_train is patches.x_test is patches.y_test is None
    photos = load_sample_images().images
    for i, patch in enumerate(patches.x_train):
        photo = photos[i % 2]
        assert any(np.array_equal(photo[:, left : left + height], patch) for left in range(640 - height + 1))


@pytest.mark.parametrize("size", [8, 32])
def test_patches_are_deterministic_and_differ_from_each_other(size: int) -> None:
    settings = PhotoPatches.Config(size=size, count=100)
    first, second = (PhotoPatches(settings).load(NOWHERE).x_train for _ in range(2))
    assert np.array_equal(first, second)
    assert len(set(map(bytes, first))) > 95
    assert np.median(first.std(axis=(1, 2))) > 10  # content, not flat colour


def test_patches_larger_than_the_photographs_are_refused() -> None:
    with pytest.raises(ValidationError, match="427"):
        PhotoPatches.Config(size=428)
