"""Graphs that reach the exact average in finitely many rounds, for any number of nodes.

Source: Takezawa et al. 2023, "Beyond Exponential Graph: Communication-Efficient Topologies for Decentralized Learning
via Finite-time Convergence", whose Base-(k+1) graph this follows.

A round is a list of pairs (u, v, w): u and v exchange their values, and each takes the other's with weight w.
"""

from collections.abc import Sequence
from itertools import chain, zip_longest

from topologies.errors import require

Round = list[tuple[int, int, float]]


def finite_time_rounds(nodes: int, degree: int) -> list[Round]:
    """Rounds whose mixing matrices multiply to 11'/n exactly, each node having at most `degree` neighbours in each.

    There are at most 2 log_{degree + 1}(nodes) + 2 of them, and log2(nodes) for a power of two and degree 1.

    Args:
        nodes: number of nodes n, at least 1; a single node needs no round.
        degree: at least 1.

    Raises:
        TopologyError: `degree` is below 1.
    """
    require(degree >= 1, f"Nodes cannot have {degree} neighbours in a round.", "Set degree to 1 or more.", "degree")
    base, everyone = degree + 1, range(nodes)
    smooth = _smooth_divisor(nodes, base)
    size = nodes // smooth
    groups = [_digitwise(everyone[g : g + size], base) for g in range(0, nodes, size)]
    across = [_hypercube(everyone[place::size], base) for place in range(size)]
    return min(_digitwise(everyone, base), _together(groups) + _together(across), key=len)


def _hypercube(nodes: Sequence[int], base: int) -> list[Round]:
    """Averages n = n_1 n_2 ... nodes, all n_l <= base, by n_l at a time: those that differ in the l-th digit only."""
    rounds, stride = [], 1
    for factor in _factors(len(nodes), base):
        steps = [(i, i + d * stride) for i in range(len(nodes)) for d in range(1, factor - i // stride % factor)]
        rounds.append([(nodes[i], nodes[j], 1 / factor) for i, j in steps])
        stride *= factor
    return rounds


def _digitwise(nodes: Sequence[int], base: int) -> list[Round]:
    """Averages any number of nodes: parts of the sizes that its digits in `base` say, then these with each other.

    All parts average at once. Then, largest first, each part exchanges with all nodes in smaller parts, so that the
    mean over the part and the mean over the rest both become the overall mean. What is left for the part is to average
    once more, while the rest goes on.
    """
    parts = _parts(nodes, base)
    tracks = [_hypercube(part, base) for part, _, _ in parts]
    begin = max(map(len, tracks))
    for place, (part, rest, size) in enumerate(parts[:-1]):
        blocks = [part[start : start + size] for start in range(0, len(part), size)]
        weight = size / (len(part) + len(rest))
        exchange = [(u, v, weight) for block in blocks for u, v in zip(block, rest, strict=False)]
        tracks[place] += [[]] * (begin + place - len(tracks[place]))
        tracks[place] += [exchange, *_together([_hypercube(block, base) for block in blocks])]
    return _together(tracks)


def _parts(nodes: Sequence[int], base: int) -> list[tuple[Sequence[int], Sequence[int], int]]:
    """Parts of digit * base**p nodes, largest first, each with the nodes after it and base**p, more than those are."""
    size = 1
    while size * base <= len(nodes):
        size *= base
    parts = []
    while nodes:
        count = len(nodes) // size * size
        if count:
            parts.append((nodes[:count], nodes[count:], size))
        nodes, size = nodes[count:], size // base
    return parts


def _together(tracks: Sequence[list[Round]]) -> list[Round]:
    """What several sets of nodes do at the same time."""
    return [list(chain(*rounds)) for rounds in zip_longest(*tracks, fillvalue=[])]


def _factors(number: int, base: int) -> list[int]:
    """Factors within 2..base whose product is `number`, which must have no prime factor above `base`."""
    if number == 1:
        return []
    factor = next(factor for factor in range(base, 1, -1) if number % factor == 0)
    return [factor, *_factors(number // factor, base)]


def _smooth_divisor(number: int, base: int) -> int:
    """Largest divisor of `number` without a prime factor above `base`."""
    divisor = 1
    for factor in range(2, min(base, number) + 1):
        while number % (divisor * factor) == 0:
            divisor *= factor
    return divisor
