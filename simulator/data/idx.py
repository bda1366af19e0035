"""The IDX file format of MNIST and its relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
        content = path.read_bytes()
        raw = bytearray(gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content)
    except (OSError, EOFError, zlib.error) as error:
        raise wrong("", f"{path} cannot be read: {error}.", "Fetch the file again.") from error
    if len(raw) < 4 or raw[:3] != bytes([0, 0, _UNSIGNED_BYTES]):
        raise wrong("", f"{path} is not an IDX file of unsigned bytes.", "Fetch the file again.")
    start = 4 + 4 * raw[3]
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4))
    if len(raw) != start + np.prod(shape, dtype=np.int64):
        raise wrong("", f"{path} does not hold the {shape} bytes that it declares.", "Fetch the file again.")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
