"""Keeps computed arrays on disk, keyed by all that they depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from simulator.core import atomic
from simulator.core.errors import wrong
from simulator.data import conform

Arrays = Mapping[str, NDArray[np.generic]]


class Cache:
    """A folder of safetensors files, one a key; several programs may use it at once."""

    def __init__(self, folder: Path | None) -> None:
        """``folder`` is made when it is needed; with None nothing is kept."""
        self._folder = folder

    def arrays(self, key: tuple[bytes, ...], compute: Callable[[], Arrays]) -> Arrays:
        """What ``compute`` returned for this key, now or in an earlier run.

        Args:
            key: all that the result depends on, beside this program and its libraries, which are always part of it.
            compute: makes the arrays; what it raises is passed on, and nothing is kept.

        Raises:
            InputError: the folder cannot be written to.
        """
        if self._folder is None:
            return compute()
        path = self._folder / f"{_digest(_program(), *key)}.safetensors"
        try:
            return load_file(path)
        except (FileNotFoundError, SafetensorError):  # not there yet, or damaged
            arrays = compute()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(path, save({name: np.asarray(array, order="C") for name, array in arrays.items()}))
        except OSError as error:
            advice = "Name another folder, or set cache: null to compute everything anew at each run."
            raise wrong("cache", f"{self._folder} cannot be written to: {error.strerror}.", advice) from error
        return arrays


def _digest(*parts: bytes) -> str:
    whole = hashlib.blake2b(digest_size=20)
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


@cache
def _program() -> bytes:
    """The code that makes samples and the libraries that it calls: a change of either makes old files unused."""
    sources = [*sorted(Path(__file__).parent.glob("*.py")), Path(conform.__file__)]
    versions = [*map(version, ("numpy", "torch")), *(str(each) for each in sorted(av.library_versions.items()))]
    return _digest(*(source.read_bytes() for source in sources), *(each.encode() for each in versions)).encode()
