"""What bare arrays are taken for, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.core.errors import InputError
from simulator.data.kinds.images import Images
from simulator.data.kinds.plain import Plain
from simulator.data.kinds.recognition import recognised

PIXELS = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)


def test_pixels_stay_what_they_are_without_a_word() -> None:
    found = recognised("x", PIXELS, PIXELS[:1])
    assert found.inputs[0] is PIXELS
    assert (found.kind, found.notes) == (Images(), ())
    assert recognised("x", PIXELS[..., 0]).inputs[0].shape == (2, 5, 6, 1)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        ((PIXELS / 255).astype(np.float32), "x is float32 from 0 to 1: taken as images"),
        (PIXELS.astype(np.float64), "x is float64 from 0 to 255: taken as images"),
        (PIXELS.astype(np.int64), "x is int64 from 0 to 255: taken as images"),
        (PIXELS.transpose(0, 3, 1, 2) / 255, "x is float64 from 0 to 1, channels first: taken as images"),
    ],
)
def test_pixels_as_other_numbers_are_recognised_and_told(array: Any, says: str) -> None:
    found = recognised("x", array)
    assert np.array_equal(found.inputs[0], PIXELS)
    assert (found.kind, found.notes) == (Images(), (says,))


@pytest.mark.parametrize(("one", "other"), [(PIXELS, PIXELS / 255), (PIXELS / 255, PIXELS.astype(np.float64))])
def test_pixels_by_two_scales_are_refused_unless_they_are_none(one: Any, other: Any) -> None:
    with pytest.raises(InputError, match=r"values from 0 to \S+ and to \S+, and are images by one scale"):
        recognised("x", one, other)
    assert recognised("x", one, other, wanted="arrays").kind == Plain()


def test_what_is_lost_by_rounding_is_told() -> None:
    (note,) = recognised("x", PIXELS / 255 * 0.999).notes
    assert note.endswith("taken as images, rounded to 256 steps")


@pytest.mark.parametrize(
    "array",
    [PIXELS / 255 - 0.5, PIXELS * 2.0, np.zeros((2, 5, 6)), np.zeros((2, 5, 6, 7)), np.zeros((4, 7)), np.arange(3)],
)
def test_other_numbers_are_given_to_networks_as_they_are(array: Any) -> None:
    found = recognised("x", array)
    assert found.kind == Plain()
    assert np.allclose(found.inputs[0], array)
    assert "networks are given it as it is" in found.notes[0]
    found.kind.check("x", found.inputs[0])


def test_numbers_to_test_with_are_told_beside_those_to_train_on() -> None:
    (note,) = recognised("x", np.linspace(-2, 3, 14).reshape(2, 7), np.linspace(0, 900, 7).reshape(1, 7)).notes
    assert "samples of 7 from -2 to 3 to train on, and from 0 to 900 to test with" in note


def test_the_user_decides_where_types_do_not() -> None:
    gray = np.linspace(0, 1, 60).reshape(2, 5, 6)
    assert recognised("x", gray, wanted="images").kind == Images()
    assert recognised("x", PIXELS, wanted="arrays").kind == Plain()
    with pytest.raises(InputError, match=r"x holds no images: float64 of shape .*, from -1 to 0"):
        recognised("x", gray - 1, wanted="images")


def test_objects_and_gaps_are_refused_with_their_number() -> None:
    with pytest.raises(InputError, match=r"x is an array of Python objects \(list\).\n.* from 1 to 2: pad them"):
        recognised("x", np.array([[1], [1, 2]], dtype=object))
    holes = np.zeros((4, 3), dtype=np.float32)
    holes[1, :2] = np.nan
    with pytest.raises(InputError, match=r"x\['a'\] holds 2 values that are NaN or infinite, in 1 of 4 samples"):
        Plain().check("x", {"a": holes})
