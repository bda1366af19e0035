"""Noise that differs by receiver and cancels at one mixing (`methods.differential_privacy.zip_dl`): what messages tell.

The rounds are those of `linear_gossip`, but node i sends y_i + n_j to each receiver j and mixes y_i + n_i itself::

    x_{t+1}[j] = sum_i W[j, i] (y_t[i] + n_j of i),   sum_j W[j, i] n_j = 0,   n of covariance s^2 (I - a a' / |a|^2)

with a = W[:, i] over the receivers of i and itself. Signals and noise are followed as columns of one matrix, each
round's after those before: the noise of different messages is of full rank, so that the covariance of all that
anybody hears can be inverted as it is.

Signals are taken as given, and here that is all there is: in the nodes' own models the noise cancels, so that what they
do later depends on what they did before without any noise in between, and every later message tells of it again. Even
of one who sees all messages nothing is known for updates that depend on models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Adversary, Exposure
from auditing.network_privacy.linear_rounds import Round
from topologies import Links

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinkNoise:
    """What nodes add to what each receiver gets, and keep for themselves.

    Attributes:
        multiplier: s, the standard deviation of what it is made of.
    """

    multiplier: float

    def factor(self, links: Links, node: int) -> tuple[list[int], Floats]:
        """Who gets noise of ``node``, itself last, and s (I - a a' / |a|^2), float64 [k + 1, k + 1]."""
        whose = [*links.out_neighbours(node), node]
        a = links.weights[whose, node]
        return whose, self.multiplier * (np.eye(len(a)) - np.outer(a, a) / (a @ a))

    def left(self, links: Links, node: int) -> float:
        """The variance of the best linear estimate of what ``node`` sends by all its k receivers of one round together.

        It is s^2 / (k + (sum_j a_j)^2 / a_i^2), s^2 / (k (k + 1)) where weights are equal, and 0 where a_i is.
        """
        others, own = list(links.out_neighbours(node)), links.weights[node, node]
        return float(self.multiplier**2 * own**2 / (len(others) * own**2 + links.weights[others, node].sum() ** 2))


def link_exposure(rounds: Sequence[Round], noise: LinkNoise, observer: Adversary) -> Exposure:
    """What ``observer`` learns of plain ``rounds``; exact. `Exposure.local` bounds nothing: it is infinite.

    Args:
        rounds: of one injection each, `Maps.plain`.
        noise: of every round.
        observer: nodes that hear single messages, or one who overhears all.
    """
    signals, sources = heard(rounds, noise, observer)
    factor = np.linalg.cholesky(sources @ sources.T)
    found = np.linalg.solve(factor, signals.reshape(len(signals), -1)).reshape(signals.shape)
    local = np.array([np.where(round.links.active, np.inf, 0.0) for round in rounds]).T
    return Exposure(found.transpose(2, 1, 0), local, ())


def heard(rounds: Sequence[Round], noise: LinkNoise, observer: Adversary) -> tuple[Floats, Floats]:
    """What the messages to ``observer`` are of signals and of noise that it does not know.

    Returns:
        float64 [messages, T, n], and [messages, sources] for sources of variance 1.
    """
    nodes, sources = rounds[0].links.num_nodes, sum(_sources(round.links) for round in rounds)
    signal, drawn, begun = np.zeros((nodes, len(rounds), nodes)), np.zeros((nodes, sources)), 0
    signals, noises = [np.zeros((0, len(rounds), nodes))], [np.zeros((0, sources))]
    for place, round in enumerate(rounds):
        weights, added = round.links.weights, np.zeros((nodes, sources))
        for node in (each for each in range(nodes) if round.links.active[each] and each not in observer.inside):
            signal[node, place, node] += 1
            whose, factor = noise.factor(round.links, node)
            at, begun = slice(begun, begun + len(whose)), begun + len(whose)
            added[whose, at] += weights[whose, node, None] * factor
            seen = [j in observer.inside or (observer.overhears and j != node) for j in whose]
            sent = np.repeat(drawn[node, None], sum(seen), 0)
            sent[:, at] += factor[seen]
            noises.append(sent)
            signals.append(np.repeat(signal[node, None], sum(seen), 0))
        signal, drawn = np.tensordot(weights, signal, 1), weights @ drawn + added
    return np.concatenate(signals), np.concatenate(noises)


def _sources(links: Links) -> int:
    return int(np.count_nonzero(links.weights)) + links.num_nodes
