"""The IDX file format of MNIST and its relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.core.capacity import check_memory
from simulator.core.errors import wrong

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTES = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes.

    The format: two zero bytes, a byte for the type, a byte for the number of dimensions, the dimensions as big-endian
    32-bit integers, then the values in row-major order (http://yann.lecun.com/exdb/mnist).

    Raises:
        InputError: the file is cut short, or is not an IDX file of unsigned bytes.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP_MAGIC
        with gzip.open(path) if packed else path.open("rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:3] != bytes([0, 0, _UNSIGNED_BYTES]):
                raise wrong("", f"{path} is not an IDX file of unsigned bytes.", "Fetch the file again.")
            sides = file.read(4 * start[3])
            shape = tuple(int.from_bytes(sides[i : i + 4], "big") for i in range(0, 4 * start[3], 4))
            check_memory(prod(shape), f"{path}, which says that it holds {shape} bytes,", "Fetch the file again.")
            raw = bytearray(file.read(prod(shape) + 1))
    except (OSError, EOFError, MemoryError, zlib.error) as error:
        raise wrong("", f"{path} cannot be read: {error}.", "Fetch the file again.") from error
    if len(sides) != 4 * len(shape) or len(raw) != prod(shape):
        raise wrong("", f"{path} does not hold the {shape} bytes that it declares.", "Fetch the file again.")
    return np.frombuffer(raw, dtype=np.uint8).reshape(shape)
