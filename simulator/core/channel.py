"""What the channels of an image hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Channel:
    """What one channel holds, where images are more than a gray or RGB picture.

    Attributes:
        group: the kind of picture that it is part of, for example "residual"; a group's channels are neighbours.
        picture: which of the group's pictures, from 0 on.
        zero: the value that stands for nothing: 0 for black, 128 for channels whose values have a sign.
        horizontal: whether it holds displacements to the right, which turn their sign in a mirror image.
    """

    group: str
    picture: int = 0
    zero: int = 0
    horizontal: bool = False
