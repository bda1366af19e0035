"""What noise that protects a node is drawn from, where nobody else may be able to draw it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Secrets:
    """A node's, in place of the experiment's seed, which everybody knows.

    Attributes:
        own: known to the node alone.
        links: by neighbour, known to both ends of the link and nobody else.
    """

    own: int
    links: Mapping[int, int]
