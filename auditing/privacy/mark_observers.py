"""What nodes at each distance make of a block's canaries, beside what the accountant of the network allows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.candidates import Candidates
from auditing.network_privacy.contributions import every_round, worst_signs
from auditing.network_privacy.linear_gossip import Adversary, exposure
from auditing.network_privacy.matched_filter import learnt, matched
from auditing.privacy.empirical_epsilon import guessed_right, one_run_epsilon
from auditing.privacy.gaussian_bounds import independent_scores, one_run_gaussian
from auditing.privacy.mark_record import MarkRecord
from simulator.privacy.gaussian_dp import epsilon_of
from topologies import Topology, distances

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Claim:
    """What is held against what.

    Attributes:
        local: epsilon of a sample of each node against anybody, None where nothing is promised.
        delta: of (epsilon, delta).
        guessed: share of the canaries that one-run bounds guess.
        confidence: of each bound.
    """

    local: Sequence[float | None]
    delta: float
    guessed: float
    confidence: float


def by_distance(record: MarkRecord, canaries: Candidates, topology: Topology, claim: Claim) -> list[dict[str, Any]]:
    """For each distance, and for observers that keep all messages or have those of the last round alone, one entry.

    Of each node, one observer at the distance judges its canaries: that of the lowest number, a choice that no score
    has made. All canaries at a distance are judged together, so bounds are on the epsilon of the least protected.
    """
    far = distances(topology.graph).T
    found: dict[tuple[int, bool], list[_Judged]] = {}
    for observer in range(topology.num_nodes):
        victims = [
            (node, int(d))
            for node in range(topology.num_nodes)
            for d in np.unique(far[node][np.isfinite(far[node]) & (far[node] > 0)])
            if np.flatnonzero(far[node] == d)[0] == observer
        ]
        for remembers in (True, False) if victims else ():
            for d, judged in _judged(record, canaries, observer, remembers, victims):
                found.setdefault((d, remembers), []).append(judged)
    return [
        {"distance": d, "remembers": remembers, **_entry(found[d, remembers], canaries, claim)}
        for d, remembers in sorted(found, key=lambda key: (not key[1], key[0]))
    ]


@dataclass(frozen=True)
class _Judged:
    """A node's canaries as one observer judges them.

    Attributes:
        node: whose they are.
        ratios: float64 [entries], their log-likelihood ratios.
        pattern: mu of what they contributed, where they were in all batches; None where it takes chance to be drawn.
        worst: mu of the worst that they could have contributed.
        signs: with which signs a canary gives most away.
    """

    node: int
    ratios: Floats
    pattern: float | None
    worst: float
    signs: str


def _judged(
    record: MarkRecord, canaries: Candidates, observer: int, remembers: bool, victims: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, _Judged]]:
    """The distance, and what the observer makes of the canaries, of each of the ``victims``."""
    who = Adversary(f"node {observer}", Adversary.node(observer).hears, frozenset([observer]), remembers=remembers)
    told = exposure(record.rounds, record.noise, who)
    seen = learnt(record.rounds, who, told, record.sent, record.injections[:, [observer]])
    worst, signs = every_round(told), worst_signs(told.blocks)
    for node, d in victims:
        signal = record.signals[node]
        ratios, mu = matched(seen[:, canaries.node == node], told, node, record.signs * record.rate[node] * signal)
        shown = "".join("+" if sign > 0 else "-" for sign in signs[node])
        pattern = mu if record.rate[node] == 1 else None
        yield d, _Judged(node, ratios, pattern, float(worst[node]) ** 0.5 * signal, shown)


def _entry(judged: Sequence[_Judged], canaries: Candidates, claim: Claim) -> dict[str, Any]:
    ratios = np.concatenate([each.ratios for each in judged])
    included = np.concatenate([canaries.member[canaries.node == each.node] for each in judged])
    guesses = max(1, round(claim.guessed * len(ratios)))
    right = guessed_right(ratios, included, guesses)
    network = [epsilon_of(each.worst, claim.delta) for each in judged]
    local = [claim.local[each.node] for each in judged]
    certain = [each.pattern for each in judged if each.pattern is not None]
    promised = [far if near is None else min(near, far) for near, far in zip(local, network, strict=True)]
    return {
        "canaries": len(ratios),
        "promised": max(promised),
        "network": max(network),
        "contributed": epsilon_of(max(certain), claim.delta) if len(certain) == len(judged) else None,
        "worst_signs": judged[0].signs,
        "one_run": one_run_epsilon(len(ratios), guesses, right, claim.delta, claim.confidence),
        "gaussian": one_run_gaussian(len(ratios), guesses, right, claim.delta, claim.confidence).epsilon,
        "independent": asdict(independent_scores(ratios, included, claim.delta, claim.confidence)),
    }
