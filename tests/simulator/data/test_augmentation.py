from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simulator.core.channel import Channel
from simulator.data.augmentation import Augmentation

RIGHT, DOWN, GRAY = Channel("mv", 0, zero=128, horizontal=True), Channel("mv", 0, zero=128), Channel("iframe")


def random_batch(batch: int, height: int, width: int, channels: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (batch, height, width, channels), dtype=np.uint8))


def one_by_one(images: Tensor, crop: int, flip: bool, rng: np.random.Generator) -> Tensor:
    """The plain loop: mirror each image, pad it with black, cut a window."""
    batch, height, width, channels = images.shape
    mirrored = rng.random(batch) < 0.5 if flip else np.zeros(batch, dtype=bool)
    offsets = rng.integers(2 * crop + 1, size=(2, batch, 1))[..., 0] if crop else np.zeros((2, batch), dtype=int)
    out = torch.empty_like(images)
    for i in range(batch):
        padded = torch.zeros(height + 2 * crop, width + 2 * crop, channels, dtype=torch.uint8)
        padded[crop : crop + height, crop : crop + width] = images[i]
        top, left = offsets[:, i]
        window = padded[top : top + height, left : left + width]
        out[i] = window.flip(1) if mirrored[i] else window
    return out


@given(
    crop=st.integers(0, 4),
    flip=st.booleans(),
    batch=st.integers(1, 9),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32),
)
def test_batches_come_out_as_from_the_plain_loop(
    crop: int, flip: bool, batch: int, height: int, width: int, channels: int, seed: int
) -> None:
    images = random_batch(batch, height, width, channels)
    untouched = images.clone()
    augmented = Augmentation(crop=crop, flip=flip)(images, np.random.default_rng(seed))
    assert torch.equal(augmented, one_by_one(untouched, crop, flip, np.random.default_rng(seed)))
    assert augmented.dtype == torch.uint8
    assert torch.equal(images, untouched)


def test_off_returns_the_input_and_draws_nothing() -> None:
    images, rng = random_batch(4, 5, 5, 3), np.random.default_rng(3)
    assert Augmentation()(images, rng) is images
    assert rng.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize("settings", [{"crop": 2}, {"flip": True}])
def test_draws_are_fair(settings: dict[str, int]) -> None:
    images = torch.zeros(4000, 5, 5, 1, dtype=torch.uint8)
    images[:, 2, 1] = 255
    seen = Augmentation(**settings)(images, np.random.default_rng(0)).float().mean(0)[..., 0] / 255
    if "flip" in settings:
        assert seen[2].tolist() == pytest.approx([0, 0.5, 0, 0.5, 0], abs=0.05)
    else:  # down by -2..2 leaves the image never, right by -2 does in a fifth of the cases
        assert seen.sum() == pytest.approx(0.8, abs=0.03)
        assert seen[:, :4].flatten().tolist() == pytest.approx([0.04] * 20, abs=0.02)


@given(crop=st.integers(0, 3), flip=st.booleans(), seed=st.integers(0, 2**32))
def test_declared_channels_are_those_of_the_plain_loop_padded_with_their_zero_and_turned(
    crop: int, flip: bool, seed: int
) -> None:
    """Shifted so that zero is black, channels that have a sign are pictures like others, but for the turn."""
    images = random_batch(5, 4, 6, 3).clamp(min=1)  # 0 has no opposite
    zeros = torch.tensor([128, 128, 0], dtype=torch.uint8)
    augmented = Augmentation(crop=crop, flip=flip)(images, np.random.default_rng(seed), (RIGHT, DOWN, GRAY))
    expected = one_by_one(images - zeros, crop, flip, np.random.default_rng(seed)) + zeros
    mirrored = np.random.default_rng(seed).random(5) < 0.5 if flip else np.zeros(5, dtype=bool)
    turned = torch.from_numpy(mirrored)
    expected[turned, ..., 0] = (256 - expected[turned, ..., 0].int()).to(torch.uint8)
    assert torch.equal(augmented, expected)


def test_the_furthest_motion_to_the_left_becomes_the_furthest_to_the_right() -> None:
    images = torch.zeros(50, 1, 1, 1, dtype=torch.uint8)
    assert set(Augmentation(flip=True)(images, np.random.default_rng(0), (RIGHT,)).flatten().tolist()) == {0, 255}
