"""Made-up action clips: a shape that moves, grows, turns or blinks, before a drifting texture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

ACTIONS = ("left", "right", "up", "down", "rotate", "grow", "blink")
_TEXEL = 4  # pixels a side of a square of the background
_DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

# Shapes in their own coordinates, of about the same area; as many as there are actions.
_SHAPES: tuple[Callable[[Floats, Floats], Mask], ...] = (
    lambda u, v: u**2 + v**2 < 1,  # disc
    lambda u, v: np.maximum(abs(u), abs(v)) < 0.9,  # square
    lambda u, v: (v < 0.8) & (2 * abs(u) < v + 1.2),  # triangle
    lambda u, v: (np.minimum(abs(u), abs(v)) < 0.4) & (np.maximum(abs(u), abs(v)) < 1.2),  # cross
    lambda u, v: (u**2 + v**2 < 1.4) & (u**2 + v**2 > 0.4),  # ring
    lambda u, v: (abs(u) < 1.5) & (abs(v) < 0.5),  # bar
    lambda u, v: abs(u) + abs(v) < 1.3,  # diamond
)


@dataclass(frozen=True)
class Track:
    """A shape's way through a clip; each float or bool [frames, 1, 1].

    Attributes:
        x: centre, in pixels from the left.
        y: centre, in pixels from the top.
        angle: in radians.
        radius: in pixels.
        visible: whether it is there.
    """

    x: Floats
    y: Floats
    angle: Floats
    radius: Floats
    visible: Mask


def render(
    action: str, frames: int, side: int, *, hint: float, nuisance: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A clip of one of the `ACTIONS`.

    Args:
        action: what the shape does.
        frames: number of pictures.
        side: their height and width in pixels.
        hint: the chance that the shape is the one typical of the action; otherwise it is any of them.
        nuisance: how much else moves: the background drifts, the shape sways, a smaller one wobbles; 0 for nothing.
        rng: everything that differs from clip to clip.

    Returns:
        uint8 [frames, side, side, 3], RGB.
    """
    pictures = _background(frames, side, nuisance, rng)
    if nuisance:
        _paint(pictures, _any_shape(rng), _swaying(frames, side, side / 12, 2 * nuisance, rng), rng)
    shape = ACTIONS.index(action) if rng.random() < hint else _any_shape(rng)
    _paint(pictures, shape, _acting(action, _swaying(frames, side, side / 6, nuisance, rng), side, rng), rng)
    return pictures


def _background(frames: int, side: int, nuisance: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A texture of squares that drifts in one direction, by whole pixels."""
    drift = np.outer(np.arange(frames) / frames, rng.uniform(-1, 1, 2) * nuisance * side / 6).round().astype(np.int64)
    corners = drift - drift.min(axis=0)
    count = (side + corners.max()) // _TEXEL + 1
    texture = rng.integers(64, 192, (count, count, 3), dtype=np.uint8).repeat(_TEXEL, axis=0).repeat(_TEXEL, axis=1)
    return np.stack([texture[top : top + side, left : left + side] for top, left in corners])


def _any_shape(rng: np.random.Generator) -> int:
    return int(rng.integers(len(_SHAPES)))


def _swaying(frames: int, side: int, radius: float, sway: float, rng: np.random.Generator) -> Track:
    """A shape that stays about where it is."""
    time = np.arange(frames)[:, None, None]
    x, y = (
        side * rng.uniform(0.35, 0.65) + sway * np.sin(2 * np.pi * (time / rng.uniform(6, 12) + rng.random()))
        for _ in "xy"
    )
    same = np.ones((frames, 1, 1))
    return Track(x, y, same * rng.uniform(-0.3, 0.3), same * radius * rng.uniform(0.8, 1.2), same > 0)


def _acting(action: str, track: Track, side: int, rng: np.random.Generator) -> Track:
    """The same shape, with the action on top."""
    frames = len(track.x)
    time = np.linspace(-0.5, 0.5, frames)[:, None, None]
    if action == "rotate":
        return replace(track, angle=track.angle + rng.choice((-1, 1)) * rng.uniform(np.pi, 2 * np.pi) * time)
    if action == "grow":
        return replace(track, radius=track.radius * (1 + time))
    if action == "blink":
        period = rng.integers(2, 5)
        return replace(track, visible=(np.arange(frames)[:, None, None] + rng.integers(8)) // period % 2 == 0)
    right, down = _DIRECTIONS[action]
    way = side * rng.uniform(0.4, 0.7) * time
    return replace(track, x=track.x + right * way, y=track.y + down * way)


def _paint(pictures: NDArray[np.uint8], shape: int, track: Track, rng: np.random.Generator) -> None:
    """Draw a chequered shape in two colours, so that turning shows on round ones too."""
    side = pictures.shape[1]
    turned = np.cos(track.angle) / track.radius, np.sin(track.angle) / track.radius
    x, y, cos, sin = (values.astype(np.float32) for values in (track.x, track.y, *turned))
    right, down = np.arange(side, dtype=np.float32) - x, np.arange(side, dtype=np.float32)[:, None] - y
    u, v = right * cos + down * sin, down * cos - right * sin
    covered = _SHAPES[shape](u, v) & track.visible
    chequers = (np.floor(2 * u[covered]) + np.floor(2 * v[covered])).astype(np.int64) % 2
    pictures[covered] = rng.integers(0, 256, (2, 3), dtype=np.uint8)[chequers]
