"""Brings images of one data set into the shape of another."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from simulator.data.dataset import shape_text
from simulator.data.stored import to_tensor

_CHUNK = 1024
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def conversion(images: NDArray[np.uint8], shape: tuple[int, ...]) -> str:
    """What `conform` does to ``images``, in words for the user; empty where they have the shape already."""
    if images.shape[1:] == shape:
        return ""
    return f"converted from {shape_text(images.shape[1:])} to {shape_text(shape)}"


def conform(images: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Convert images to another size and number of channels.

    Colour becomes gray by ITU-R BT.601 luma, gray becomes colour by repetition. Sides that shrink are averaged over
    areas; where a side grows, interpolation is bilinear (with antialiasing, for the case that the other side shrinks).

    Args:
        images: uint8 [N, height, width, channels], with 1 or 3 channels.
        shape: height, width and channels to convert to.

    Returns:
        uint8 [N, *shape]; ``images`` itself where it has that shape already.
    """
    if images.shape[1:] == shape:
        return images
    starts = range(0, len(images), _CHUNK)
    return np.concatenate([_convert(images[start : start + _CHUNK], shape) for start in starts])


def resize(values: Tensor, height: int, width: int) -> Tensor:
    """From float [N, channels, *, *] to float [N, channels, height, width], in the way that `conform` describes."""
    if height <= values.shape[2] and width <= values.shape[3]:
        return interpolate(values, (height, width), mode="area")
    return interpolate(values, (height, width), mode="bilinear", antialias=True)


def _convert(images: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    height, width, channels = shape
    values = _recolour(to_tensor(images).permute(0, 3, 1, 2).float(), channels)
    values = resize(values, height, width)
    converted: NDArray[np.uint8] = values.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return converted


def _recolour(values: Tensor, channels: int) -> Tensor:
    """From float [N, 1 or 3, height, width] to float [N, channels, height, width]."""
    if channels == 1 and values.shape[1] == 3:
        return torch.einsum("nchw,c->nhw", values, torch.tensor(_LUMA))[:, None]
    return values.expand(-1, channels, -1, -1)
