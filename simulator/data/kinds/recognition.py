"""Which kind bare arrays are of: pictures, also such as floats, or arrays of no kind in particular."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.data.kinds.images import Images
from simulator.data.kinds.kind import InputKind, StoredArrays
from simulator.data.kinds.plain import Plain, called, refuse_objects

Wanted = Literal["auto", "images", "arrays"]
_DEPTHS = (1, 3)  # gray and RGB


@dataclass(frozen=True)
class Recognised:
    """Arrays of a known kind.

    Attributes:
        inputs: what they have become, in the order that they were given in.
        kind: of all of them.
        notes: how they were read, where that is not plain.
    """

    inputs: tuple[StoredArrays, ...]
    kind: InputKind
    notes: tuple[str, ...] = ()


def recognised(name: str, *inputs: StoredArrays, wanted: Wanted = "auto") -> Recognised:
    """The same of training and test inputs: images, where they are, else `Plain`.

    uint8 [N, height, width] and [N, height, width, channels] are images. Other numbers are images if they have 4
    dimensions, the last (or, as PyTorch has it, the second) being 1 or 3, and values from 0 to 1 or from 0 to 255.

    Args:
        name: what to call the arrays in notes.
        inputs: of training, and of testing if there are any.
        wanted: "images" also takes 3 dimensions of numbers for gray images; "arrays" takes nothing for an image.

    Raises:
        InputError: images are wanted, and these are none; or they are no arrays of numbers, or images by other scales.
    """
    for each in inputs:
        for title, array in called(name, each):
            refuse_objects(title, array)
            if array.dtype.kind in "US":
                raise wrong("", f"{title} is text.", "Give numbers; the data set 'text' makes tokens of text.")
    arrays = [array for array in inputs if isinstance(array, np.ndarray)]
    if len(arrays) < len(inputs) or wanted == "arrays":
        return Recognised(tuple(_storable(each) for each in inputs), Plain())
    if all(array.dtype == np.uint8 and array.ndim in (3, 4) for array in arrays):
        return Recognised(tuple(_with_channels(array) for array in arrays), Images())
    last = wanted == "images" and arrays[0].ndim == 3
    pixels = [_with_channels(array) if last else array for array in arrays]
    scale, first = _scale(pixels), _channels_first(pixels)
    if scale is None or first is None:
        if wanted == "images":
            what = f"{name} holds no images: {arrays[0].dtype} of shape {arrays[0].shape}, {_range(arrays)}."
            raise wrong("", what, "Pixels are from 0 to 255, or fractions from 0 to 1; or set kind: arrays.")
        return Recognised(tuple(_storable(each) for each in inputs), Plain(), tuple(_as_they_are(name, arrays)))
    _check_ranges(name, pixels)
    images = tuple(_rounded(array.transpose(0, 2, 3, 1) if first else array, scale) for array in pixels)
    order = ", channels first" if first else ""
    note = f"{name} is {arrays[0].dtype} from 0 to {255 // scale}{order}: taken as images"
    exact = all(np.allclose(new, old * scale, atol=1e-3) for new, old in zip(images, _last(pixels, first), strict=True))
    return Recognised(images, Images(), (note if exact else f"{note}, rounded to 256 steps",))


def _scale(arrays: list[NDArray[Any]]) -> int | None:
    """By what values are multiplied to be pixels; None where they are none."""
    if any(array.dtype.kind not in "iuf" or not array.size for array in arrays):
        return None
    low, high = min(array.min() for array in arrays), max(array.max() for array in arrays)
    if not (low >= 0 and high <= 255):  # NaN is neither
        return None
    return 255 if high <= 1 and arrays[0].dtype.kind == "f" else 1


def _check_ranges(name: str, arrays: list[NDArray[Any]]) -> None:
    """Refuse arrays of which some seem to be from 0 to 1 and others from 0 to 255: by one scale some are all black.

    Raises:
        InputError: they are such.
    """
    highest = [float(array.max()) for array in arrays]
    if min(highest) <= 1 < max(highest):
        shown = " and ".join(f"to {high:.3g}" for high in highest)
        what = f"{name} and what is tested with have values from 0 {shown}, and are images by one scale."
        raise wrong("", what, "Give both from 0 to 255, or both from 0 to 1; or set kind: arrays.")


def _channels_first(arrays: list[NDArray[Any]]) -> bool | None:
    """Whether channels are the second dimension instead of the last; None where there are none."""
    if any(array.ndim != 4 for array in arrays):
        return None
    if all(array.shape[3] in _DEPTHS for array in arrays):
        return False
    return True if all(array.shape[1] in _DEPTHS for array in arrays) else None


def _last(arrays: list[NDArray[Any]], first: bool) -> list[NDArray[Any]]:
    return [array.transpose(0, 2, 3, 1) if first else array for array in arrays]


def _rounded(array: NDArray[Any], scale: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.round(array.astype(np.float64) * scale).astype(np.uint8))


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    return images[..., None] if images.ndim == 3 else images


def _storable(inputs: StoredArrays) -> StoredArrays:
    if isinstance(inputs, Mapping):
        return {name: _number(array) for name, array in inputs.items()}
    return _number(inputs)


def _number(array: NDArray[Any]) -> NDArray[Any]:
    """Types that torch calculates with: other whole numbers become int64, float64 becomes float32."""
    if array.dtype == np.float64:
        return array.astype(np.float32)
    return array.astype(np.int64) if array.dtype.name in ("bool", "int8", "uint16", "uint32") else array


def _range(arrays: list[NDArray[Any]]) -> str:
    if arrays[0].dtype.kind not in "iuf" or not arrays[0].size:
        return "which are no numbers"
    return f"from {min(array.min() for array in arrays):.6g} to {max(array.max() for array in arrays):.6g}"


def _as_they_are(name: str, arrays: list[NDArray[Any]]) -> Iterator[str]:
    shape = "x".join(map(str, arrays[0].shape[1:])) or "single numbers"
    ranges = [_range([array]) for array in arrays]
    shown = ranges[0] if len(set(ranges)) == 1 else " to train on, and ".join(ranges) + " to test with"
    yield f"{name} is {arrays[0].dtype}, samples of {shape} {shown}: networks are given it as it is"
