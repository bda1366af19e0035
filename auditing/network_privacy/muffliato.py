"""The published per-message account of private gossip, Muffliato (Cyffers et al. 2022, arXiv:2206.05091).

It adds up, over the messages that v receives, what each of them alone says of node u, and leaves out what they say
together. In units of Delta^2 / sigma^2, as mu^2 of Gaussian differential privacy (a Renyi epsilon of alpha mu^2 / 2),
and clipped at what the observer of all messages learns. With fresh noise before each step it is well above the exact
value (`auditing.network_privacy.network_dp`). With one injection and several steps of gossip over links that stay
the same it falls below: a node that remembers its messages solves for its neighbours' values, then for theirs, one hop
a step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def one_injection(weights: Floats, steps: int) -> Floats:
    """What v hears of one injection of u, float64 [n, n], u by v, at most 1.

    It is the sum over t < ``steps`` and w in N(v) of (W^t)[w, u]^2 / |(W^t)[w, :]|^2.
    """
    total: Floats = np.minimum(np.sum(_messages(weights, steps), axis=0), 1.0)
    return total


def every_round(weights: Floats, rounds: int, squared: bool = True) -> Floats:
    """What v hears of one injection of u before each step, float64 [n, n], u by v, at most ``rounds``.

    What is injected in a round is in the messages of all later ones: sum over s < T of (T - s) times the term of s.
    ``squared=False`` is a later form of the theorem, with (W^s)[w, u] in the numerator.
    """
    left = rounds - np.arange(rounds)
    total: Floats = np.minimum(np.tensordot(left, _messages(weights, rounds, squared), 1), float(rounds))
    return total


def _messages(weights: Floats, steps: int, squared: bool = True) -> Floats:
    """What the messages that v receives in a step say of u, one by one. float64 [steps, u, v]."""
    heard = (weights > 0) & ~np.eye(len(weights), dtype=np.bool_)
    power, terms = np.eye(len(weights)), []
    for _ in range(steps):
        share = (power**2 if squared else power) / (power**2).sum(axis=1, keepdims=True)
        terms.append(share.T @ heard.T)
        power = weights @ power
    return np.array(terms)
