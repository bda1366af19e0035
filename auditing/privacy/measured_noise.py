"""The noise itself, where nothing else is: in the entries of a block whose canaries were left out.

Bounds on epsilon take thousands of canaries to tell noise that is a twentieth too small. Its standard deviation takes a
few: every message is a sample of it in every such entry. It shows no epsilon, and tells of no other fault. It is looked
at message by message, and its correlation pair by pair, too, as noise that is missing in one round of one node, or is
used again in another, hardly changes the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from auditing.privacy.mark_record import MarkRecord

Floats = NDArray[np.float64]
ERROR = 1e-6  # probability with which each figure of sound noise is suspected


@dataclass(frozen=True)
class Spread:
    """The standard deviation of noise over that which is accounted for.

    Attributes:
        where: the node, round or message in which it is least of all, or "all messages".
        ratio: what was measured.
        low: the least that goes with what was seen; it is wrong in one of the places with probability `ERROR`.
        high: the largest, so that noise is too small where it is below 1.
    """

    where: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Correlation:
    """The correlation of noise that should be independent.

    Attributes:
        between: what, "the noise of two nodes in a round" on average or, of all pairs of messages, those in which it is
            farthest from 0; rounds count from 1.
        found: what was measured.
        by_chance: how far from 0 it is by chance, in any of the pairs, but with probability `ERROR` at most.
    """

    between: str
    found: float
    by_chance: float


def spreads(record: MarkRecord, included: NDArray[np.bool_]) -> Iterator[Spread]:
    """Of the noise in the entries of canaries that were not ``included``, bool [m]: of all, and where it is least.

    Of N Gaussian numbers, N ratio^2 is chi-squared with N degrees of freedom.
    """
    noise, there = _noise(record, included)
    squares, counts = (noise**2).sum(2), there * noise.shape[2]  # [T, n]
    yield _least(["all messages"], squares.sum(keepdims=True).ravel(), counts.sum(keepdims=True).ravel())
    rounds, nodes = (range(length) for length in there.shape)
    yield _least([f"node {node}" for node in nodes], squares.sum(0), counts.sum(0))
    yield _least([f"round {round + 1}" for round in rounds], squares.sum(1), counts.sum(1))
    each = [f"node {node} in round {round + 1}" for round in rounds for node in nodes]
    yield _least(each, squares.ravel(), counts.ravel())


def correlations(record: MarkRecord, included: NDArray[np.bool_]) -> Iterator[Correlation]:
    """Of the same noise, from round to round and from node to node: on average, and where it is farthest from 0.

    Products of independent noise have variance 1.
    """
    noise, there = _noise(record, included)
    entries, together = noise.shape[2], there.sum(1)
    both = (there[1:] & there[:-1]).sum() * entries
    products = (noise[1:] * noise[:-1]).sum()
    yield _correlation("a node's noise in two rounds that follow each other", products, both, 1.0)
    pairs = (together * (together - 1) // 2).sum() * entries
    products = ((noise.sum(1) ** 2).sum() - (noise**2).sum()) / 2
    yield _correlation("the noise of two nodes in a round", products, pairs, (together.max() - 1) / 2)

    def of_a_node(node: int, one: int, other: int) -> str:
        return f"the noise of node {node} in rounds {one + 1} and {other + 1}"

    def of_a_round(round: int, one: int, other: int) -> str:
        return f"the noise of nodes {one} and {other} in round {round + 1}"

    yield from _farthest(noise.swapaxes(0, 1), there.T, of_a_node)
    yield from _farthest(noise, there, of_a_round)


def _noise(record: MarkRecord, included: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """In standard deviations, float64 [T, n, entries], 0 of who is away; and who is there, bool [T, n]."""
    there = np.array([round.links.active for round in record.rounds])
    return record.injections[:, :, ~included] / (record.sigma * record.clip)[:, None], there


def _least(where: list[str], squares: Floats, counts: NDArray[np.int64]) -> Spread:
    """The place where so little is least likely, and of those that are equally so, where there is least."""
    found = np.flatnonzero(counts)
    error, chance = ERROR / len(found), chi2.logcdf(squares[found], counts[found])
    place = found[np.lexsort((squares[found] / counts[found], chance))[0]]
    square, count = float(squares[place]), int(counts[place])
    low, high = sqrt(square / chi2.isf(error / 2, count)), sqrt(square / chi2.ppf(error / 2, count))
    return Spread(where[place], sqrt(square / count), low, high)


def _farthest(noise: Floats, there: NDArray[np.bool_], name: Callable[[int, int, int], str]) -> Iterator[Correlation]:
    """Of the pairs of messages in each group the one with the largest product; none where there are no pairs.

    Args:
        noise: float64 [groups, messages, entries], 0 of who is away.
        there: bool [groups, messages].
        name: of a pair, by its group and its two places in it.
    """
    ones, others = np.triu_indices(noise.shape[1], 1)
    if pairs := np.count_nonzero(there[:, ones] & there[:, others]):
        farthest, where = 0.0, (0, 0)
        for group, messages in enumerate(noise):  # the products of all groups at once would fill the memory
            products = (messages @ messages.T)[ones, others]
            pair = int(np.abs(products).argmax())
            if abs(products[pair]) > abs(farthest):
                farthest, where = products[pair], (group, pair)
        group, pair = where
        between = name(group, int(ones[pair]), int(others[pair]))
        yield _correlation(between, farthest, noise.shape[2], 0.5, ERROR / pairs)


def _correlation(between: str, products: float, count: int, largest: float, error: float = ERROR) -> Correlation:
    """Of a sum of so many products z'Az, A having eigenvalues up to ``largest`` and the squared norm count / 2.

    Tails of products are heavier than Gaussian ones. With probability 1 - e^-x none such is above
    2 |A|_F sqrt(x) + 2 |A| x (Boucheron, Lugosi & Massart 2013, "Concentration Inequalities", example 2.12).
    """
    count, x = max(1, int(count)), log(2 / error)
    return Correlation(between, float(products) / count, (sqrt(2 * count * x) + 2 * largest * x) / count)
