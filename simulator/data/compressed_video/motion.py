"""Where each pixel has come from: block vectors spread over pixels, and chained from frame to frame.

Displacements are (x, y), from where a pixel was to where it is, in quarter pixels: the finest unit of both codecs, so
nothing is rounded until a pixel is looked up. They are int32: sums over a long group of frames leave int16 at 8192
pixels, although each step is within it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

QUARTERS = 4  # units a pixel
_CELL = 8  # pixels; no exported block is smaller
_PARTS = 2  # cells a side of a macroblock
_BLOCK = _CELL * _PARTS


def motion(vectors: NDArray[np.void], height: int, width: int) -> NDArray[np.int32]:
    """The displacement of each pixel since the frame before.

    Args:
        vectors: structured [k], a P-frame's `Frame.vectors`.
        height: of the frame, in pixels.
        width: of the frame, in pixels.

    Returns:
        int32 [height, width, 2]. Blocks coded without prediction count as unmoved, as in CoViAR.
    """
    rows, columns = (-(-side // _BLOCK) * _PARTS for side in (height, width))  # blocks may reach beyond the frame
    cells = np.zeros((rows, columns, 2), dtype=np.int32)
    if len(vectors):
        _fill(cells, vectors)
    return cells.repeat(_CELL, axis=0)[:height].repeat(_CELL, axis=1)[:, :width]


def _fill(cells: NDArray[np.int32], vectors: NDArray[np.void]) -> None:
    wide, high = (vectors[side].astype(np.int64) // _CELL for side in ("w", "h"))
    left, top = (vectors[f"dst_{axis}"] // _CELL - size // 2 for axis, size in (("x", wide), ("y", high)))
    scale = vectors["motion_scale"].astype(np.int64)
    moved = np.stack([-(vectors[f"motion_{axis}"] * QUARTERS // scale) for axis in "xy"], axis=1)
    for down in range(_PARTS):
        for right in range(_PARTS):
            covered = (down < high) & (right < wide)
            cells[top[covered] + down, left[covered] + right] = moved[covered]


def accumulate(before: NDArray[np.int32], step: NDArray[np.int32]) -> NDArray[np.int32]:
    """One frame more: d_t(p) = m_t(p) + d_{t-1}(p - m_t(p)) (CoViAR: Wu et al. 2018, arXiv:1712.00636, section 3.1).

    Args:
        before: int32 [height, width, 2], displacements of the frame before since its I-frame, where they are zero.
        step: int32 [height, width, 2], this frame's `motion`.

    Returns:
        int32 [height, width, 2], displacements since the I-frame. Sources outside the frame are moved to its edge.
    """
    pairs = before.view(np.int64)[..., 0]  # (x, y) in one word, looked up together
    return step + pairs.take(sources(step)).view(np.int32).reshape(before.shape)


def sources(displacements: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 [height, width]: the place, row after row, of the pixel nearest to where each pixel came from."""
    height, width, _ = displacements.shape
    whole = (displacements + QUARTERS // 2) // QUARTERS
    columns = np.clip(np.arange(width, dtype=np.int32) - whole[..., 0], 0, width - 1)
    rows = np.clip(np.arange(height, dtype=np.int32)[:, None] - whole[..., 1], 0, height - 1)
    places: NDArray[np.int32] = rows * np.int32(width) + columns
    return places
