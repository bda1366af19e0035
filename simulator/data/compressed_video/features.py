"""What each frame of a clip adds to its I-frame: motion and residual (CoViAR: Wu et al. 2018, arXiv:1712.00636)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from simulator.data.compressed_video.motion import accumulate, motion, sources
from simulator.data.compressed_video.reader import Frame


@dataclass(frozen=True)
class Features:
    """One frame, told in terms of its I-frame.

    Attributes:
        motion: int32 [height, width, 2], displacements (x, y) since the frame before, in quarter pixels.
        accumulated: int32 [height, width, 2], displacements since the I-frame, likewise.
        iframe: uint8 [height, width, 3], the I-frame in RGB.
        frame: the decoded frame itself.
    """

    motion: NDArray[np.int32]
    accumulated: NDArray[np.int32]
    iframe: NDArray[np.uint8]
    frame: Frame

    @cached_property
    def residual(self) -> NDArray[np.int16]:
        """int16 [height, width, 3]: the frame minus the I-frame moved along the accumulated motion.

        As in CoViAR, it is taken in RGB from decoded pictures; it is not the codec's own residual, which is against the
        frame before.
        """
        moved = self.iframe.reshape(-1, 3).take(sources(self.accumulated), axis=0)
        return np.subtract(_rgb(self.frame.picture), moved, dtype=np.int16)


def follow(frames: Iterable[Frame]) -> Iterator[Features]:
    """The features of consecutive frames, beginning with an I-frame; after a gap, an I-frame must come next."""
    iframe, accumulated = np.empty((0, 0, 3), dtype=np.uint8), np.empty((0, 0, 2), dtype=np.int32)
    for frame in frames:
        height, width = frame.picture.height, frame.picture.width
        if frame.is_intra:
            iframe, accumulated = _rgb(frame.picture), np.zeros((height, width, 2), dtype=np.int32)
        step = motion(frame.vectors, height, width)  # an I-frame has no vectors
        accumulated = accumulate(accumulated, step)
        yield Features(step, accumulated, iframe, frame)


def _rgb(picture: av.VideoFrame) -> NDArray[np.uint8]:
    pixels = picture.to_ndarray(format="rgb24", threads=1)  # more would only wait for each other
    return cast(NDArray[np.uint8], pixels)
