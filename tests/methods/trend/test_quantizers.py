"""The quantizers' grids in closed form, and the gradients that attackers get of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.trend.quantizers import Halftone, Uniform
from simulator.core.normalizer import Normalizer

EVERY = torch.arange(256.0, dtype=torch.float64)[None, None, :, None]


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_levels_are_evenly_spaced_from_black_to_white(bits):
    levels = Uniform(bits)(EVERY).unique()

    torch.testing.assert_close(levels, torch.linspace(0, 255, 2**bits, dtype=torch.float64))


@given(pixel=st.floats(0, 255), bits=st.integers(1, 8))
def test_no_pixel_moves_by_more_than_a_cell(pixel, bits):
    moved = Uniform(bits)(torch.tensor(pixel, dtype=torch.float64)).item()

    assert abs(moved - pixel) <= 255 / 2**bits + 1e-9
    assert 0 <= moved <= 255


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_eight_bits_leave_eight_bit_images_as_they_are(dtype):
    assert torch.equal(Uniform(8)(EVERY.to(dtype)), EVERY.to(dtype))


def test_pixels_beyond_the_range_stay_on_the_grid():
    assert Uniform(2)(torch.tensor([-7.0, 300.0])).tolist() == [0, 255]


def test_a_pixel_does_not_depend_on_the_other_images():
    image = torch.rand(1, 4, 4, 3) * 255
    beside = torch.cat([image, torch.full_like(image, 17)])

    for quantizer in (Uniform(2), Halftone()):
        assert torch.equal(quantizer(beside)[:1], quantizer(image))


def test_halftone_keeps_dark_and_bright_areas_apart():
    """A kernel that sums to 0 would show the edge between them and nothing else."""
    image = torch.full((1, 6, 8, 3), 60.0)
    image[:, :, 4:] = 200

    seen = Halftone()(image) / 255
    assert seen[0, :, :, 0].tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]] * 6
    assert torch.equal(seen, Halftone()(image.double()).float() / 255)
    assert torch.equal(Halftone()(image / 4 + 20) / 255, seen)


def test_halftone_is_that_of_the_released_kernel():
    """(16 x - 2 sides - corners) on x = (pixel - mean of the image) / its range, 0 beyond the border; 0.001 on top."""
    pixels = torch.randint(0, 256, (2, 5, 5, 2), generator=torch.Generator().manual_seed(0)).double()
    spread = (pixels.amax((1, 2, 3)) - pixels.amin((1, 2, 3)))[:, None, None, None]
    x = (pixels - pixels.mean((1, 2, 3))[:, None, None, None]) / spread
    weights, around = {(0, 0): 16, (0, 1): -2, (1, 0): -2, (1, 1): -1}, torch.zeros(2, 7, 7, 2).double()
    around[:, 1:6, 1:6] = x
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    outcome = sum(weights[abs(a), abs(b)] * around[:, 1 + a : 6 + a, 1 + b : 6 + b] for a, b in shifts) + 1e-3

    assert torch.equal(Halftone()(pixels), 255.0 * (outcome > 0))
    torch.testing.assert_close(Halftone().stand_in(pixels), 255 * torch.sigmoid(outcome))


def test_halftone_sharpens_and_makes_an_image_of_one_colour_white():
    image = torch.full((1, 5, 5, 1), 77.0)
    assert Halftone()(image).eq(255).all()
    image[0, 2, 2] = 80

    assert Halftone()(image)[0, :, :, 0].nonzero().tolist() == [[2, 2]]


@pytest.mark.parametrize("quantizer", [Uniform(1), Uniform(3), Halftone()])
def test_the_true_gradient_is_zero_and_that_of_the_stand_in_is_not(quantizer):
    images = (torch.rand(2, 6, 6, 1, generator=torch.Generator().manual_seed(0)) * 255).requires_grad_()
    preparation = Normalizer(torch.tensor([0.4]), torch.tensor([0.2]), quantizer)
    weights = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    seen, smooth = (preparation.of_pixels(images, smooth=smooth) for smooth in (False, True))

    torch.testing.assert_close(seen, smooth)
    masked = torch.autograd.grad((seen * weights).sum(), images, allow_unused=True)[0] if seen.requires_grad else None
    assert masked is None or masked.eq(0).all()
    assert torch.autograd.grad((smooth * weights).sum(), images)[0].norm() > 0


@pytest.mark.parametrize("quantizer", [None, Uniform(1), Uniform(5), Halftone()])
def test_pixels_are_normalized_as_images_are(quantizer):
    images = torch.randint(0, 256, (3, 5, 5, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    preparation = Normalizer(torch.tensor([0.4, 0.5]), torch.tensor([0.2, 0.1]), quantizer)

    torch.testing.assert_close(preparation.of_pixels(images.float()), preparation(images))
