"""What a run has kept along its canaries' marks, in the units of `auditing.network_privacy.linear_gossip`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Noise
from auditing.network_privacy.linear_rounds import Maps, Round, rounds_of
from auditing.network_privacy.linear_training import NoisePlace, maps_of
from auditing.network_privacy.matched_filter import injected
from auditing.privacy.likelihood_ratio import log_likelihood_ratio
from auditing.privacy.promise import Promise
from simulator.config.experiment import Experiment
from simulator.core.errors import wrong
from simulator.core.method import traits_of
from simulator.results.recordings import Recordings
from simulator.runs.run import Run
from simulator.training.feed import batch_length

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MarkRecord:
    """T rounds of n nodes, as seen along the marks of m canaries.

    A node's injection in a round is (k / sqrt(L) + sigma z) times its `clip`, with k how often a canary was drawn in L
    local steps and z ~ N(0, 1).

    Attributes:
        rounds: T, as linear maps.
        sent: float64 [T, n, m], what the nodes sent.
        start: float64 [m], the initial model of all.
        clip: float64 [n], what one clip of a node is in ``sent``, over that of the node with the longest batches.
        sigma: float64 [n], noise multiplier of a step.
        rate: float64 [n], with which probability a step draws a canary.
        steps: L.
        signs: float64 [T], with which sign canaries contribute.
    """

    rounds: Sequence[Round]
    sent: Floats
    start: Floats
    clip: Floats
    sigma: Floats
    rate: Floats
    steps: int
    signs: Floats

    @classmethod
    def of(cls, run: Run, promises: Sequence[Promise]) -> MarkRecord:
        """What ``run`` has kept, with the noise that it promises.

        Raises:
            InputError: nothing is promised, or what nodes send is not one noisy sum a round.
        """
        experiment, nodes = run.experiment, run.nodes
        mechanisms = [promise.mechanism for promise in promises if promise.mechanism]
        sigma = np.array([mechanism.noise_multiplier for mechanism in mechanisms])
        if len(sigma) < len(nodes) or not sigma.all():
            what = "the run trained without noise of a known size, beside which a canary's mark could be weighed."
            raise wrong("methods", what, "Audit a run of dp_sgd with a noise_multiplier above 0.")
        maps = maps_of(experiment, NoisePlace(every_step=True))[: nodes[0].round]
        _check(maps, experiment.data.canaries.kind)
        lengths, steps = np.array([batch_length(node) for node in nodes]), experiment.training.local_steps
        unit = -experiment.training.optimizer.lr * _clip(experiment) / lengths.max() * sqrt(steps)
        signs = [1.0 if sign == "+" else -1.0 for sign in experiment.data.canaries.signs]
        return cls(
            rounds=rounds_of(experiment.topology.build(experiment.seed), len(maps), maps=maps),
            sent=_sent(run, len(maps)) / unit,
            start=_start(run) / unit,
            clip=lengths.max() / lengths,
            sigma=sigma,
            rate=np.array([mechanism.sample_rate for mechanism in mechanisms]),
            steps=steps,
            signs=np.resize(signs, len(maps)),
        )

    @property
    def noise(self) -> Noise:
        """What nodes add in a round."""
        return Noise(self.sigma * self.clip)

    @property
    def signals(self) -> Floats:
        """float64 [n], the most that a canary can be of an injection, if it is in the batch of every step."""
        found: Floats = self.clip * sqrt(self.steps)
        return found

    @cached_property
    def injections(self) -> Floats:
        """float64 [T, n, m], to one who sees all messages."""
        return injected(self.rounds, self.sent, self.start)

    def shown(self, node: int, entries: NDArray[np.bool_]) -> Floats:
        """How often canaries of ``node`` were drawn in each round, in clips and under noise, float64 [T, entries]."""
        counts: Floats = self.injections[:, node, entries] * sqrt(self.steps) / self.clip[node]
        return counts * self.signs[:, None]

    def ratios(self, whose: NDArray[np.int64]) -> Floats:
        """Log-likelihood ratios, in over out, of each canary, to one who sees all messages. float64 [m].

        Args:
            whose: int64 [m], the node that each canary is of.
        """
        found = np.empty(len(whose))
        for node in np.unique(whose):
            there = [bool(round.links.active[node]) for round in self.rounds]  # away, it shows not even noise
            shown = self.shown(node, whose == node)[there]
            by_round = log_likelihood_ratio(shown, self.sigma[node], self.rate[node], self.steps)
            found[whose == node] = by_round.sum(axis=0)
        return found


def _clip(experiment: Experiment) -> float:
    """That of the method with noise on gradients, which marks need (`simulator.config.marked_canaries`)."""
    return next(clip for settings in experiment.methods if (clip := traits_of(settings).clip) is not None)


def _check(maps: Sequence[Maps], kind: str) -> None:
    """Refuse rounds of which a message does not tell the one noisy sum that went into it."""
    if kind == "direction" and maps[0].slots > 1:
        what = "what nodes remember beside their models is not known to begin at 0 along a direction, as in a block."
        raise wrong("data.canaries", what, "Audit a run without momentum, or with canaries in a block.")
    if any(each.injections != 1 or not each.columns()[-1].all() for each in maps):
        what = "what a node's message shows is no one sum of a round's noisy steps, as with momentum over several."
        raise wrong("training", what, "Audit a run with one local step a round, or without momentum.")


def _start(run: Run) -> Floats:
    """The initial model along the marks, float64 [m]."""
    marks = run.nodes[0].marks
    assert marks is not None  # these are the canaries of the run
    return np.asarray(marks.shown(run.blueprint.module().initial), dtype=np.float64)


def _sent(run: Run, rounds: int) -> Floats:
    """All messages along the marks, float64 [T, n, m]; 0 where a node is away."""
    kept, nodes = Recordings(run.path / "canary_marks"), len(run.nodes)
    found = torch.zeros(rounds, nodes, len(run.directory.partition()["canary_node"]), dtype=torch.float64)
    network = run.experiment.topology.build(run.experiment.seed)
    for round in range(rounds):
        links = network.at(round)
        for node in np.flatnonzero(links.active).tolist():
            if len(links.out_neighbours(node)) + bool(links.matrix[node, node]) == 1:
                what = f"node {node} reached nobody in round {round + 1}, and what it would have sent is not known."
                raise wrong("topology.failures", what, "Audit a run in which each node has a neighbour in every round.")
            found[round, node] = kept.load(round + 1, node, "sent")
    sent: Floats = found.numpy()
    return sent
