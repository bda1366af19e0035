"""What noise that protects a node is drawn from, where nobody else may be able to draw it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Secrets:
    """A node's, in place of the experiment's seed, which everybody knows.

    Attributes:
        own: known to the node alone.
        links: by neighbour or other node that shares a receiver, known to the two and nobody else.
    """

    own: int
    links: Mapping[int, int]
