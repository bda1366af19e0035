"""Many clip files to samples, through the cache, with an account of what could not be taken as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.data.compressed_video.cache import Arrays, Cache
from simulator.data.compressed_video.encoder import reencode
from simulator.data.compressed_video.reader import BrokenClip, Clip, UnsupportedCoding
from simulator.data.compressed_video.views import VideoViews


class ClipReader:
    """Reads clips as `VideoViews` sees them, and remembers which were re-encoded or left out.

    Args:
        views: how a clip becomes a sample.
        cache: where samples are kept.
        reencodes: whether clips whose motion cannot be followed are encoded anew, rather than refused.
        skips: whether broken clips are left out, rather than refused.
    """

    def __init__(self, views: VideoViews, cache: Cache, *, reencodes: bool, skips: bool) -> None:
        self._views, self._cache, self._reencodes, self._skips = views, cache, reencodes, skips
        self._read, self._reencoded = 0, 0
        self._left_out: list[Path] = []

    def samples(self, files: Sequence[Path]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Uint8 [N, size, size, channels], and int64 [N], which of the ``files`` each sample comes from.

        Raises:
            BrokenClip: a clip cannot be decoded.
            UnsupportedCoding: a clip's motion cannot be followed.
        """
        size = self._views.size
        samples = np.empty((len(files), size, size, len(self._views.channels)), dtype=np.uint8)
        kept: list[int] = []
        for place, file in enumerate(files):
            try:
                samples[len(kept)] = self._sample(file)
            except BrokenClip:
                if not self._skips:
                    raise
                self._left_out.append(file)
            else:
                kept.append(place)
        return samples[: len(kept)], np.array(kept, dtype=np.int64)

    def notes(self) -> Iterator[str]:
        """What the user should know about the clips read so far."""
        if self._reencoded:
            yield f"{self._reencoded} of {self._read} clips were re-encoded, as their motion could not be followed"
        if self._left_out:
            names = ", ".join(file.name for file in self._left_out[:3])
            more = ", ..." if len(self._left_out) > 3 else ""
            yield f"{len(self._left_out)} clips are missing or broken and were left out: {names}{more}"

    def _sample(self, file: Path) -> NDArray[np.generic]:
        clip = Clip.read(file)
        key = clip.content, self._views.model_dump_json().encode(), str(self._reencodes).encode()
        arrays = self._cache.arrays(key, lambda: self._compute(clip))
        self._read += 1
        self._reencoded += int(arrays["reencoded"])
        return arrays["sample"]

    def _compute(self, clip: Clip) -> Arrays:
        try:
            return {"sample": self._views.sample(clip), "reencoded": np.array(0)}
        except UnsupportedCoding:
            if not self._reencodes:
                raise
        return {"sample": self._views.sample(reencode(clip)), "reencoded": np.array(1)}
