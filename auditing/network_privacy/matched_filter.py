"""What an observer makes of the messages that it gets: the most that can be told of one node's contributions.

All that it learns is, after whitening, o ~ N(w, I), where w = V g is what a pattern g of contributions leaves in the
directions V of `auditing.network_privacy.linear_gossip.Exposure`. The best test of whether they were there is the
matched filter <o, w>, with log-likelihood ratio <o, w> - |w|^2 / 2 (Neyman-Pearson). As |w|^2 = g' M g is also the
accountant's mu^2, what the filter shows and what the accountant allows are one number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Adversary, Exposure
from auditing.network_privacy.linear_rounds import Round

Floats = NDArray[np.float64]


def injected(rounds: Sequence[Round], sent: Floats, start: Floats | float = 0.0) -> Floats:
    """What each node injected in each round, to one who sees all messages. float64 [T, n, m].

    Args:
        rounds: of one injection each, that is seen in what is sent.
        sent: float64 [T, n, m], what the nodes sent in each round, in m coordinates.
        start: float64 [m], what all nodes' models are in them at first; all else that nodes keep is 0 then.
    """
    held, found = np.zeros((rounds[0].maps.slots, *sent.shape[1:])), np.zeros_like(sent)
    held[0] = start
    for round, messages, of_round in zip(rounds, sent, found, strict=True):
        work = round.carried(held)
        of_round[:] = (messages - work[-1]) / round.columns[-1]
        of_round[~round.links.active] = 0
        held = round.mixed(work + round.columns[:, :, None] * of_round)
    return found


def learnt(rounds: Sequence[Round], observer: Adversary, exposure: Exposure, sent: Floats, own: Floats) -> Floats:
    """The whitened numbers that an observer learns, float64 [D, m].

    Round by round it takes off what it hears what it could expect by all that it has heard before, as a Kalman filter
    does.

    Args:
        rounds: as for `injected`.
        observer: who.
        exposure: the observer's, to these rounds.
        sent: as for `injected`, of coordinates that are 0 at all nodes at first, in units in which an injection's
            signal is 1 at most.
        own: float64 [T, k, m], what the nodes inside the observer injected, in their order.
    """
    held, inside = np.zeros((rounds[0].maps.slots, *sent.shape[1:])), sorted(observer.inside)
    found = []
    for place, (round, news) in enumerate(zip(rounds, exposure.learnt, strict=True)):
        work = round.carried(held)
        work[:, inside] += round.columns[:, :, None] * own[place]
        seen = observer.seen(round.links, last=place == len(rounds) - 1)
        found.append(news.weights @ (seen @ (sent[place] - work[-1])))
        held = round.mixed(work + (news.gain @ found[-1]).reshape(work.shape))
    return np.concatenate(found)


def matched(seen: Floats, exposure: Exposure, node: int, pattern: Floats) -> tuple[Floats, float]:
    """Log-likelihood ratios of contributions of a node, float64 [m], and mu, what they weigh beside the noise.

    Args:
        seen: float64 [D, m], what the observer has learnt.
        exposure: the observer's.
        node: whose contributions.
        pattern: float64 [T], what it contributes in each round, as a share of the most that a signal may be.
    """
    mark = pattern @ exposure.directions[node]
    energy = float(mark @ mark)
    return mark @ seen - energy / 2, energy**0.5
