"""The statistics by which images become model input."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.normalizer import Normalizer

_CHUNK = 1024
_SMALLEST_STD = 1e-6  # a constant channel becomes zeros, not NaN


def measure(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Normalizer:
    """Mean and standard deviation of each channel over the chosen images, scaled to [0, 1].

    They come from the counts of the 256 pixel values: exact, whatever the order, and without a float copy of the
    images.

    Args:
        images: uint8 [N, height, width, channels].
        rows: int64 [M], the images to measure.
    """
    channels = images.shape[3]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(rows), _CHUNK):
        pixels = images[rows[start : start + _CHUNK]].reshape(-1, channels)
        counts += np.stack([np.bincount(pixels[:, channel], minlength=256) for channel in range(channels)])
    shares = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = shares @ values
    std = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(axis=1))
    return Normalizer(_float32(mean), _float32(np.maximum(std, _SMALLEST_STD)))


def _float32(values: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
