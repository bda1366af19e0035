"""Whose updates an observer computes whatever rule mixes, and whatever attackers send.

Where weights depend on models, or nodes lie, messages are no linear functions of updates, and the algebra of
`auditing.reconstruction.solvability` ends. This much is sure all the same. All nodes begin with one model that is
known; whoever knows the model that a node began a round with, and hears what it sends, knows its update; and whoever
knows all that a node has mixed knows the model that it begins the next round with, for a rule is a function of that.
What is not sure may be estimated, so this is a lower bound of what an observer learns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Adversary
from topologies import Links

Floats = NDArray[np.float64]


def certain(links: Sequence[Links], observers: Sequence[Adversary], lying: Collection[int]) -> Iterator[Floats]:
    """Which updates each of ``observers`` computes for certain, in turn, float64 [nodes, rounds].

    1 where it does, 0 where that is not sure, NaN of nodes inside it, of those that lie, and of those that are away.

    Args:
        links: of every round.
        observers: who; they keep all that they hear.
        lying: nodes that may tell each neighbour something else, and have no update that anybody could ask for.
    """
    for observer in observers:
        nodes = links[0].num_nodes
        asked = ~np.isin(np.arange(nodes), [*observer.inside, *lying])
        began, found = np.ones(nodes, dtype=np.bool_), np.full((nodes, len(links)), np.nan)
        for round, each in enumerate(links):
            heard = _heard(each, observer, lying)
            made = asked & each.active
            found[made, round] = (began & heard.diagonal())[made]
            mixes = (each.weights > 0) | np.eye(nodes, dtype=np.bool_)
            began = np.where(each.active, (heard | ~mixes).all(1), began)
        yield found


def _heard(links: Links, observer: Adversary, lying: Collection[int]) -> NDArray[np.bool_]:
    """Whether the observer knows what a node was sent, or kept of its own, by a sender: bool [nodes, senders]."""
    senders = np.isin(np.arange(links.num_nodes), [*observer.hears(links), *observer.inside])
    heard = np.tile(senders, (links.num_nodes, 1))
    heard[:, sorted(set(lying) - observer.inside)] = observer.overhears  # what it told others may be something else
    return heard
