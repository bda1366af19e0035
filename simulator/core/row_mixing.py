"""Mixing of all nodes of a worker at once, for mixers that take a weighted sum of what neighbours send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class MixedRows(NamedTuple):
    """Some nodes of a round, as rows.

    Attributes:
        total: float [k, parameters]: sum_j w_ij s_j, in order of j; may be written to.
        parameters: float [k, parameters]: what they hold after training.
        sent: float [k, parameters]: s_i, what they have sent.
    """

    total: Tensor
    parameters: Tensor
    sent: Tensor


@dataclass(frozen=True)
class RowMixing:
    """What a mixer does where every node sends all its neighbours the same vector, "parameters", and nothing else.

    The results are those of its hooks, bit by bit: operations are those that `Mixer.mix` applies to one node, applied
    to several.

    Attributes:
        early: whether nodes send their parameters as they are before local training, and not after it.
        mixed: float [k, parameters], what the nodes hold after mixing.
    """

    early: bool
    mixed: Callable[[MixedRows], Tensor]
