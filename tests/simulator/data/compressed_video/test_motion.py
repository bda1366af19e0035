from __future__ import annotations

from math import ceil

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.data.compressed_video.motion import QUARTERS, accumulate, motion, sources

VECTORS = np.dtype(
    [(name, "u1") for name in ("w", "h")]
    + [(name, "i2") for name in ("dst_x", "dst_y")]
    + [(name, "i4") for name in ("motion_x", "motion_y")]
    + [("motion_scale", "u2")]
)
PARTITIONS = ((16, 16), (16, 8), (8, 16), (8, 8))


def some_blocks(height: int, width: int, rng: np.random.Generator) -> NDArray[np.void]:
    """Vectors for about three quarters of a frame's macroblocks, cut up in every way a codec may."""
    rows = []
    for top in range(0, height, 16):
        for left in range(0, width, 16):
            if rng.random() < 0.75:
                wide, high = PARTITIONS[rng.integers(4)]
                corners = [(x, y) for y in range(0, 16, high) for x in range(0, 16, wide)]
                rows += [
                    (
                        wide,
                        high,
                        left + x + wide // 2,
                        top + y + high // 2,
                        *rng.integers(-60, 61, 2),
                        2 ** rng.integers(3),
                    )
                    for x, y in corners
                ]
    return np.array(rows, dtype=VECTORS)


def plain_motion(vectors: NDArray[np.void], height: int, width: int) -> NDArray[np.int32]:
    """Block by block."""
    field = np.zeros((height, width, 2), dtype=np.int32)
    for wide, high, x, y, motion_x, motion_y, scale in vectors.tolist():
        block = field[y - high // 2 : y + high // 2, x - wide // 2 : x + wide // 2]
        block[...] = -(motion_x * QUARTERS // scale), -(motion_y * QUARTERS // scale)
    return field


def plain_accumulate(before: NDArray[np.int32], step: NDArray[np.int32]) -> NDArray[np.int32]:
    """Pixel by pixel; of two nearest sources, the one further left or up."""
    height, width, _ = before.shape
    total = np.empty_like(before)
    for y in range(height):
        for x in range(width):
            from_x, from_y = (ceil(at - d / QUARTERS - 0.5) for at, d in zip((x, y), step[y, x].tolist(), strict=True))
            source = before[min(max(from_y, 0), height - 1), min(max(from_x, 0), width - 1)]
            total[y, x] = step[y, x] + source
    return total


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_blocks_of_every_size_cover_their_pixels(height: int, width: int, seed: int) -> None:
    vectors = some_blocks(height, width, np.random.default_rng(seed))
    assert np.array_equal(motion(vectors, height, width), plain_motion(vectors, height, width))


@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_accumulation_is_that_of_the_plain_loop(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, step = rng.integers(-90, 91, (2, height, width, 2)).astype(np.int32)
    assert np.array_equal(accumulate(before, step), plain_accumulate(before, step))


def test_slow_motion_is_not_rounded_away() -> None:
    """A quarter pixel a frame is two pixels after eight frames; rounding each step would leave nothing."""
    step = np.zeros((16, 16, 2), dtype=np.int32)
    step[..., 0] = 1
    total = np.zeros_like(step)
    for _ in range(8):
        total = accumulate(total, step)
    assert (total == [8, 0]).all()
    assert sources(total)[0].tolist() == [0, 0, *range(14)]


def test_motion_adds_up_beyond_what_a_step_can_hold() -> None:
    """Twelve steps of the largest vectors of H.264, 2048 pixels: more quarter pixels than int16 counts."""
    far = 2048 * QUARTERS
    step = np.full((16, 16, 2), far, dtype=np.int32)
    total = np.zeros_like(step)
    for _ in range(12):
        total = accumulate(total, step)
    assert (total == 12 * far).all()
    block = np.array([(16, 16, 8, 8, -9000 * QUARTERS, 9000 * QUARTERS, QUARTERS)], dtype=VECTORS)
    assert (motion(block, 16, 16) == [9000 * QUARTERS, -9000 * QUARTERS]).all()
    assert (sources(total) == 0).all()
