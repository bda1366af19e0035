"""Documents cut into windows of one length, before anything is divided; each window keeps its document's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.data.kinds.tokens import IDS, LENGTHS

IGNORED = -100  # a target that no loss counts


@dataclass(frozen=True)
class Windows:
    """Samples of tokens.

    Attributes:
        inputs: ids [N, T] and lengths [N], as `simulator.data.kinds.tokens.Tokens` has them.
        document: int64 [N], from which document each was cut.
        following: int64 [N, T], the token that follows each, and `IGNORED` at padding.
    """

    inputs: dict[str, NDArray[Any]]
    document: NDArray[np.int64]
    following: NDArray[np.int64]


def cut(documents: Sequence[NDArray[np.int64]], length: int, padding: int, vocabulary: int, shift: bool) -> Windows:
    """Windows of ``length`` tokens; the last of a document may be shorter, and is padded.

    Args:
        documents: their tokens; one that is too short for a single sample gives none.
        length: of windows, T.
        padding: the token that fills short windows up.
        vocabulary: how many tokens there are; it decides how they are stored.
        shift: whether each token needs another that follows it in its document, so that the last one is no input.
    """
    spans = [
        (number, start, min(start + length, usable))
        for number, tokens in enumerate(documents)
        for usable in [len(tokens) - shift]
        for start in range(0, usable, length)
    ]
    ids = np.full((len(spans), length), padding, dtype=np.uint16 if vocabulary <= 2**16 else np.int32)
    following = np.full((len(spans) if shift else 0, length), IGNORED, dtype=np.int64)
    for row, (number, start, end) in enumerate(spans):
        ids[row, : end - start] = documents[number][start:end]
        if shift:
            following[row, : end - start] = documents[number][start + 1 : end + 1]
    lengths = np.array([end - start for _, start, end in spans], dtype=np.int32)
    return Windows({IDS: ids, LENGTHS: lengths}, np.array([number for number, *_ in spans], dtype=np.int64), following)
