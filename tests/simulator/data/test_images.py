from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulator.data.conform import conform, conversion
from simulator.data.normalization import measure


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(count=st.integers(1, 40), channels=st.sampled_from([1, 3]), seed=st.integers(0, 2**32))
def test_mean_and_deviation_are_those_of_numpy(count: int, channels: int, seed: int) -> None:
    images = random_images(50, 3, 4, channels, seed=seed)
    rows = np.random.default_rng(seed).permutation(50)[:count]
    preparation = measure(images, rows)
    values = images[rows].astype(np.float64) / 255
    assert preparation.mean.numpy() == pytest.approx(values.mean(axis=(0, 1, 2)), abs=1e-6)
    assert preparation.std.numpy() == pytest.approx(values.std(axis=(0, 1, 2)), abs=1e-6)


def test_measuring_is_the_same_across_chunks_and_takes_only_the_rows_asked_for() -> None:
    images = random_images(3000, 2, 2, 3)
    rows = np.arange(0, 2700)
    images[2700:] = 255
    values = images[:2700] / 255
    assert measure(images, rows).mean.numpy() == pytest.approx(values.mean(axis=(0, 1, 2)), abs=1e-6)
    assert torch.equal(measure(images, rows).std, measure(images, rows[::-1].copy()).std)


def test_normalized_images_have_mean_zero_and_deviation_one() -> None:
    images = random_images(200, 4, 4, 3)
    out = measure(images, np.arange(200))(torch.from_numpy(images))
    assert out.mean((0, 2, 3)).abs().max() < 1e-4
    assert (out.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-4


def test_a_constant_channel_becomes_zeros() -> None:
    images = np.full((5, 2, 2, 1), 7, dtype=np.uint8)
    preparation = measure(images, np.arange(5))
    assert preparation.std.item() == pytest.approx(1e-6)
    assert torch.isfinite(preparation(torch.from_numpy(images))).all()


def test_images_of_the_right_shape_are_left_alone() -> None:
    images = random_images(3, 4, 4, 3)
    assert conform(images, (4, 4, 3)) is images
    assert conversion(images, (4, 4, 3)) == ""


def test_gray_becomes_colour_by_repetition_and_back() -> None:
    gray = random_images(1500, 3, 5, 1)
    colour = conform(gray, (3, 5, 3))
    assert (colour == gray).all()
    assert np.array_equal(conform(colour, (3, 5, 1)), gray)
    assert conversion(gray, (3, 5, 3)) == "converted from 3x5x1 to 3x5x3"


def test_colour_becomes_gray_by_luma() -> None:
    images = random_images(20, 3, 3, 3)
    luma = images.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(conform(images, (3, 3, 1))[..., 0] - luma).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_shrinking_averages_areas(channels: int) -> None:
    images = random_images(7, 32, 32, channels)
    areas = images.reshape(7, 8, 4, 8, 4, channels).astype(np.float64).mean(axis=(2, 4))
    shrunk = conform(images, (8, 8, channels))
    assert shrunk.dtype == np.uint8
    assert np.abs(shrunk - areas).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("shape", [(9, 9, 1), (9, 3, 1)])
def test_growing_interpolates(shape: tuple[int, int, int]) -> None:
    image = np.zeros((1, 4, 4, 1), dtype=np.uint8)
    image[:, 2:] = 240
    grown = conform(image, shape)
    profile = grown[0, :, 0, 0].astype(int)
    assert grown.shape == (1, *shape)
    assert profile[0] == 0
    assert profile[-1] == 240
    assert (np.diff(profile) >= 0).all()
    assert np.unique(profile).size > 2
    assert (grown == grown[:, :, :1]).all()
