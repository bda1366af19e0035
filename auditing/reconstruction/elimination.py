"""Which averaged values an observer can compute, exactly and after any number of steps: elimination modulo a prime.

Where nodes only average, messages say less and less that is new, and after a dozen steps float64 takes what is news for
rounding, and solvable values for hidden ones. The weights of graphs are fractions with small denominators, so that all
of it can be followed in whole numbers modulo a prime. A rank could come out too small where the prime divides one of
the determinants: of a matrix of size n, with a probability of about n in `PRIME`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Adversary
from auditing.network_privacy.linear_rounds import Round
from auditing.reconstruction.solvability import SOLVED, explained
from simulator.core.errors import InputError, wrong

PRIME = 2**61 - 1
SMALL = 10_000  # at most, of the denominator of a weight, and of both parts of an entry in reduced echelon form
SAME = 1e-13  # difference of a float from the fraction that it stands for
NEARLY = 1e-3  # of 1 - R^2, below which float64 alone cannot be trusted: of what is not solved it was never below .09

Whole = NDArray[np.object_]  # of integers below `PRIME`, which Python multiplies without an overflow
Floats = NDArray[np.float64]


def averaged(rounds: Sequence[Round], observers: Sequence[Adversary]) -> Iterator[Floats]:
    """R^2 of every node's value for each of ``observers`` in turn, float64 [nodes, 1]; NaN of nodes inside it.

    Args:
        rounds: in the first, every node brings in a value; in all, they send and average.
        observers: who know the values of the nodes inside them.

    Raises:
        InputError: what the messages do not give away cannot be told in float64.
    """
    sent = _sent(rounds)
    for observer in observers:
        rows = [_fractions(observer.seen(round.links)) for round in rounds]
        reduced: Mapping[int, Whole] | None = None
        if sent is not None and not any(row is None for row in rows):
            reduced = _reduced([row @ held % PRIME for row, held in zip(rows, sent, strict=True)], observer.inside)
        found = None if reduced is None else _explained(reduced, observer.inside, rounds[0].links.num_nodes)
        yield _in_floats(rounds, observer, reduced) if found is None else found


def _sent(rounds: Sequence[Round]) -> list[Whole] | None:
    """What nodes send in each of ``rounds``, [nodes, nodes]; None if weights are no fractions as they should be."""
    held, sent = np.eye(rounds[0].links.num_nodes, dtype=np.int64).astype(object), list[Whole]()
    for round in rounds:
        sent.append(held)
        if (weights := _matrix(round.links.weights)) is None:
            return None
        held = weights @ held % PRIME
    return sent


def _reduced(messages: Sequence[Whole], inside: frozenset[int]) -> Mapping[int, Whole]:
    """The reduced echelon form of ``messages``, [messages, nodes] each, without what is known of nodes ``inside``.

    Rows [nodes] are by the column of their leading 1, which is 0 in all others.
    """
    reduced: dict[int, Whole] = {}
    for message in (row for rows in messages for row in rows):
        message[sorted(inside)] = 0
        if len(reduced) < len(message) - len(inside):
            _add(reduced, message)
    return reduced


def _add(reduced: dict[int, Whole], row: Whole) -> None:
    """Add ``row`` to a reduced echelon form, in place; what is in its span already adds nothing."""
    for column, other in reduced.items():
        if row[column]:
            row = (row - row[column] * other) % PRIME
    leading = np.flatnonzero(row)
    if len(leading) == 0:
        return
    new = int(leading[0])
    row = row * pow(int(row[new]), -1, PRIME) % PRIME
    for column, other in reduced.items():
        if other[new]:
            reduced[column] = (other - other[new] * row) % PRIME
    reduced[new] = row


def _solved(reduced: Mapping[int, Whole]) -> list[int]:
    """The nodes whose unit vectors are rows."""
    return [column for column, row in reduced.items() if np.count_nonzero(row) == 1]


def _explained(reduced: Mapping[int, Whole], inside: frozenset[int], nodes: int) -> Floats | None:
    """R^2, float64 [nodes, 1]; None if entries of ``reduced`` are too long to be told from their residues."""
    found = np.zeros(nodes)
    if reduced:
        rows = [[_fraction(int(value)) for value in row] for row in reduced.values()]
        if any(value is None for row in rows for value in row):
            return None
        found = np.square(np.linalg.qr(np.array(rows, dtype=np.float64).T)[0]).sum(1)
    return _marked(np.minimum(found, 1 - NEARLY), _solved(reduced), inside)


def _in_floats(rounds: Sequence[Round], observer: Adversary, reduced: Mapping[int, Whole] | None) -> Floats:
    """R^2 as the accountant has it, float64 [nodes, 1]; what is solved is known from ``reduced``, if that is there."""
    what = "after so many steps, float64 cannot tell how much messages say of the values that they do not give away."
    refused = wrong("averaging", what, "Take fewer steps.")
    try:
        found = explained(rounds, observer)[:, 0]
    except InputError as error:
        raise refused from error
    near = 1 - np.nan_to_num(found) < NEARLY
    if reduced is None and (near & (1 - np.nan_to_num(found) >= SOLVED)).any():
        raise refused
    solved = np.flatnonzero(near) if reduced is None else _solved(reduced)
    return _marked(np.minimum(np.nan_to_num(found), 1 - NEARLY), solved, observer.inside)


def _marked(values: Floats, solved: Sequence[int] | NDArray[np.int64], inside: frozenset[int]) -> Floats:
    values[solved] = 1
    values[sorted(inside)] = np.nan
    return values[:, None]


def _matrix(weights: Floats) -> Whole | None:
    """W, [n, n]: its links as fractions, and on the diagonal what is left to 1, whose denominator may be large."""
    links = weights.copy()
    np.fill_diagonal(links, 0)
    whole = _fractions(links)
    if whole is None or not np.allclose(weights.sum(1), 1, rtol=0, atol=1e-9):
        return None
    np.fill_diagonal(whole, (1 - whole.sum(1)) % PRIME)
    return whole


def _fraction(residue: int) -> float | None:
    """The only short fraction that is ``residue`` modulo `PRIME`; None if there is none."""
    before, now, times_before, times = PRIME, residue, 0, 1
    while now > SMALL:
        before, (quotient, now) = now, divmod(before, now)
        times_before, times = times, times_before - quotient * times
    return now / times if abs(times) <= SMALL else None


def _fractions(values: Floats) -> Whole | None:
    known: dict[float, int] = {}
    for value in np.unique(values).tolist():
        near = Fraction(value).limit_denominator(SMALL)
        if abs(float(near) - value) > SAME:
            return None
        known[value] = near.numerator * pow(near.denominator, -1, PRIME) % PRIME
    return np.array([[known[value] for value in row] for row in values.tolist()], dtype=object).reshape(values.shape)
