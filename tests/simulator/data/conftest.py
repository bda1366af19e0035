from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Writer = Callable[..., Path]


@pytest.fixture
def write_npz(tmp_path: Path) -> Writer:
    """Writes a labelled data set in which every image, of training and test, is different: it spells its number."""

    def write(name: str, train: int = 300, test: int = 60, shape: tuple[int, ...] = (4, 4, 3), first: int = 0) -> Path:
        count = train + test
        images = np.zeros((count, *shape), dtype=np.uint8)
        numbers = first + np.arange(count)
        images.reshape(count, -1)[:, 0], images.reshape(count, -1)[:, 1] = numbers % 256, numbers // 256
        labels = np.arange(count) % 5
        path = tmp_path / name
        np.savez(path, x_train=images[:train], y_train=labels[:train], x_test=images[train:], y_test=labels[train:])
        return path

    return write
