"""Who could solve whom: the part of the audit that needs no run, only the experiment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Adversary
from auditing.network_privacy.linear_rounds import Maps, Round, rounds_of
from auditing.network_privacy.linear_training import NoisePlace, maps_of
from auditing.network_privacy.not_linear import data_dependent, not_linear
from auditing.progress import Countdown
from auditing.reconstruction.amplification import amplification
from auditing.reconstruction.certainty import certain
from auditing.reconstruction.elimination import averaged
from auditing.reconstruction.observers import OBSERVERS, hops
from auditing.reconstruction.solvability import Solvability, explained_to
from simulator.config.attackers import liars, with_attackers_named
from simulator.config.experiment import Experiment
from simulator.core.errors import Problem
from simulator.core.method import traits_of
from topologies import Network

Floats = NDArray[np.float64]
EXACT = 60_000  # rounds times nodes squared that are worked out: 234 rounds of 16 nodes
HIDDEN = 1e-9  # R^2 of an update of which nothing at all is seen


@dataclass(frozen=True)
class Seen:
    """What each observer of a network can compute.

    Attributes:
        observers: who.
        hops: links from each node to each observer, float64 [observers, nodes].
        of: updates, round by round.
        amplified: by how much rounding is amplified in each that is computed, float64 [observers, nodes, updates]; see
            `auditing.reconstruction.amplification`.
        rounds: of the experiment; ``of`` may hold only the first of them.
        sure: whether ``of`` holds only what is sure whatever rule mixes, 1 or 0, since messages are not linear.
    """

    observers: Sequence[Adversary]
    hops: Floats
    of: Solvability
    amplified: Floats
    rounds: int
    sure: bool = False

    @classmethod
    def in_network(cls, experiment: Experiment, who: str, averaging: int | None = None, sums: bool = False) -> Seen:
        """What observers can compute in ``experiment``, which need not have run.

        Args:
            experiment: what is followed.
            who: the kind of observers; see `OBSERVERS`.
            averaging: follow, instead of updates, a value of each node that the network averages in so many steps.
            sums: whether nodes see the weighted sum of what they are sent, and no single message.

        Raises:
            InputError: messages are not followed, or float64 cannot decide what is solvable.
        """
        network = experiment.topology.build(experiment.seed)
        observers = [replace(observer, sums=sums) for observer in OBSERVERS[who](network.base)]
        followed = min(experiment.rounds, max(1, EXACT // network.base.num_nodes**2))
        if not is_linear(experiment):
            lying = liars(with_attackers_named(experiment, network.base))
            links = [network.at(round) for round in range(followed)]
            known = np.stack(list(certain(links, observers, lying)))
            apart, as_sent = hops(network.base, observers), np.where(known == 1, 1.0, np.nan)
            return cls(observers, apart, Solvability(known), as_sent, experiment.rounds, sure=True)
        maps = maps_of(mixing_of(experiment), NoisePlace())[:followed]
        rounds = averaging_rounds(network, averaging) if averaging else rounds_of(network, followed, maps=maps)
        countdown = Countdown(f"reconstruction: what {len(observers)} observer(s) can compute", unit="observers")
        each = (averaged if averaging else explained_to)(rounds, observers)
        found = Solvability(np.stack(list(countdown.over(each, [1.0] * len(observers)))))
        amplified = np.stack([amplification(rounds, *each) for each in zip(observers, found.solved, strict=True)])
        return cls(observers, hops(network.base, observers), found, amplified, 1 if averaging else experiment.rounds)

    def result(self) -> dict[str, Any]:
        """For ``result.json``: by distance and round, and of each pair; null is an observer's own node.

        Of a pair, what is ``explained`` is R^2 of the update that is seen best.
        """
        made, solved = self.of.made, self.of.solved
        there = np.asarray(made.any(2))
        return {
            "observers": [observer.name for observer in self.observers],
            "sums": any(observer.sums for observer in self.observers),
            "sure": self.sure,
            "rounds": self.rounds,
            "followed": made.shape[2],
            "updates": _known(made.sum(2), there),
            "solved": _known(solved.sum(2), there),
            "explained": _known(_largest(self.of.explained), there),
            "amplified": _known(_largest(self.amplified), np.asarray(np.isfinite(self.amplified).any(2))),
            "by_distance": [self._at(distance) for distance in np.unique(self.hops[np.isfinite(self.hops)])],
            "unreachable": int(np.isinf(self.hops).sum()),
        }

    def _at(self, distance: float) -> dict[str, Any]:
        there = self.hops == distance
        made, solved, explained, amplified = (
            each[there] for each in (self.of.made, self.of.solved, self.of.explained, self.amplified)
        )
        first = np.zeros_like(made) if made.size == 0 else _first(made)
        return {
            "distance": int(distance),
            "pairs": int(there.sum()),
            "updates": int(made.sum()),
            "solved": int(solved.sum()),
            "ever_solved": int(solved.any(1).sum()),
            "amplified": None if np.isnan(amplified).all() else float(np.nanmax(amplified)),
            "first": _mean(explained, first),
            "later": _mean(explained, made & ~first),
            "by_round": [_mean(explained[:, [t]], made[:, [t]]) for t in range(made.shape[1])],
            "solved_by_round": solved.sum(0).tolist(),
        }


def averaging_rounds(network: Network, steps: int) -> list[Round]:
    """Every node holds a value before the first step, and averages in so many, with the links of that many rounds."""
    links = [network.at(step) for step in range(steps)]
    everyone = np.ones(network.base.num_nodes, dtype=np.bool_)
    first = Round(replace(links[0], active=everyone), Maps.plain())
    return [first, *(Round(each, Maps.silent()) for each in links[1:])]


def mixing_of(experiment: Experiment) -> Experiment:
    """What only mixes of ``experiment``.

    All else that a node does to its model, in training and by its methods, is its update, whatever that depends on.
    """
    plain = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    training = experiment.training.model_copy(
        update={"optimizer": experiment.training.optimizer.model_copy(update=plain), "nodes": {}}
    )
    return experiment.model_copy(update={"methods": (), "training": training})


def is_linear(experiment: Experiment) -> bool:
    """Whether messages are linear functions of updates, as far as mixing goes."""
    return not any(data_dependent(experiment, ""))


def not_followed(experiment: Experiment) -> Iterator[Problem]:
    """What keeps messages from being the mixed models and updates of nodes."""
    yield from not_linear(mixing_of(experiment))
    for settings in experiment.methods:
        if traits_of(settings).noise == "messages":
            what = f"{settings.name} sends each receiver another model, and messages are followed that show one to all."
            yield Problem("methods", what, "Run without it; the audit network_privacy accounts for it.")
        if traits_of(settings).keeps_apart:
            what = f"{settings.name} keeps parameters from travelling over some links, and all of them are followed."
            yield Problem("methods", what, "Run without it, or let it share everything.")


def _first(made: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The first update that each pair is about, bool [pairs, updates]."""
    return np.asarray(made & (np.cumsum(made, 1) == 1))


def _mean(values: Floats, chosen: NDArray[np.bool_]) -> float | None:
    return float(values[chosen].mean()) if chosen.any() else None


def _largest(values: Floats) -> Floats:
    """Over the last axis, of what is there; -inf where nothing is."""
    return np.asarray(np.where(np.isnan(values), -np.inf, values).max(2))


def _known(values: NDArray[Any], there: NDArray[np.bool_]) -> list[list[Any]]:
    """Rows of ``values`` [observers, nodes], None where there is nothing to know."""
    return [
        [value if known else None for value, known in zip(row, whether, strict=True)]
        for row, whether in zip(values.tolist(), there.tolist(), strict=True)
    ]
