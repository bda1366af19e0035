"""How far rounding in messages is amplified where an observer computes an update.

What is solvable is a combination of messages, and each message was rounded when it was sent. The smallest combination a
has the norm that tells how far: the error of the update is about ||a|| times that of a message. On a path it grows by
a factor of three to four a hop, so that what algebra calls solvable may not be there in float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import RESOLVED, Adversary, Noise
from auditing.network_privacy.linear_rounds import Round

Floats = NDArray[np.float64]
FOUND = 1e-3  # of a unit vector, up to which a combination of messages may miss it
SMALL = 320  # updates, of all nodes together, of which combinations are worked out: those of the first rounds


def heard(rounds: Sequence[Round], observer: Adversary) -> Floats:
    """The messages to ``observer`` as functions of the updates that it does not know, float64 [messages, updates].

    Updates are ordered by injection, then by node; those of nodes that are away, or inside the observer, are 0.
    """
    nodes, slots = rounds[0].links.num_nodes, rounds[0].maps.slots
    state = np.zeros((slots, nodes, nodes * sum(round.maps.injections for round in rounds)))
    rows, begun = [np.zeros((0, state.shape[2]))], 0
    for round in rounds:
        unknown = np.sqrt(Noise(1.0).unknown(round.links, observer.inside))
        work = round.worked(state, unknown, begun)
        rows.append(observer.seen(round.links) @ work[-1])
        state, begun = round.mixed(work), begun + nodes * round.maps.injections
    return np.concatenate(rows)


def amplification(rounds: Sequence[Round], observer: Adversary, solved: NDArray[np.bool_]) -> Floats:
    """||a|| of each update that ``observer`` computes, float64 [nodes, updates]; NaN of others.

    Where float64 cannot find a, it is 1 / `RESOLVED` or more, and that is what is said.

    Args:
        rounds: what there was; as many of the first ones are followed as `SMALL` allows.
        observer: who.
        solved: bool [nodes, updates], which it computes.
    """
    found = np.full(solved.shape, np.nan)
    first = _first(rounds)
    updates = sum(round.maps.injections for round in first)
    if solved[:, :updates].any():
        messages = heard(first, observer)
        inverse = np.linalg.pinv(messages, rcond=RESOLVED)
        off = np.abs(inverse @ messages - np.eye(len(inverse))).max(1)
        sizes = np.where(off < FOUND, np.linalg.norm(inverse, axis=1), 1 / RESOLVED).reshape(updates, len(solved)).T
        found[:, :updates][solved[:, :updates]] = sizes[solved[:, :updates]]
    return found


def _first(rounds: Sequence[Round]) -> Sequence[Round]:
    updates = np.cumsum([round.links.num_nodes * round.maps.injections for round in rounds])
    return rounds[: int((updates <= SMALL).sum())]
