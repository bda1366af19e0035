"""Scores: candidates judged by what attackers hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.attacks.evidence import Evidence
from auditing.attacks.membership import Attack
from auditing.attacks.signals import SIGNALS
from auditing.candidates import Candidates
from auditing.finite import check_finite
from auditing.progress import Countdown
from auditing.views.view import Observed, SignalSum
from simulator.core.cores import cores
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData, Samples
from simulator.core.seeding import generator
from simulator.runs.run import Run

Floats = NDArray[np.float64]
Scores = Mapping[SignalSum, Floats]


def signals_of(
    names: Sequence[str],
    run: Run,
    observed: Observed,
    candidates: Candidates,
    population: Mapping[str, Samples],
    whose: str = "",
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Signals by name, high for members: of ``candidates``, float64 [models, N], and of ``population`` [models, P].

    The population is that of each signal, by name.

    NaN where no attacker asks: in models of recorded rounds, of the candidates of nodes that are not their victims.

    Computed in double precision, whatever the run's: curvature is lost to rounding in less. Training in bf16 rounds
    activations but keeps float32 parameters, so they are what attackers hold, and here nothing more is rounded. Each
    model has a thread and torch one thread in it, so the number of cores does not change results. Progress is told,
    with ``whose`` models these are in front.

    Raises:
        InputError: a signal is not finite.
    """
    data, seed, models = run.nodes[0].data, run.nodes[0].seed, observed.names
    groups = [_groups(candidates, victims) for victims in observed.victims()]
    tested = max(map(len, population.values()), default=0)
    costs = [float(tested + sum(map(len, rows))) for rows in groups]
    asked = {name: np.full((len(groups), len(candidates)), np.nan) for name in names}
    usual = {name: np.empty((len(groups), len(population[name]))) for name in names}

    def measure(row: int, network: FlatModule) -> list[list[Floats]]:
        network.bind(observed.model(row))
        sets, model = [candidates.samples.subset(torch.from_numpy(rows)) for rows in groups[row]], whose + models[row]
        asked_of = ((name, (population[name], *sets)) for name in names)
        return [[_measure(name, network, each, data, seed, model) for each in every] for name, every in asked_of]

    samples = f"{len(candidates):,} candidates and {tested:,} test samples"
    countdown = Countdown(f"{whose}scoring {samples} in {len(costs)} models: {sum(costs):,.0f} x {len(names)} signals")
    with _threads(run) as each:
        for row, found in enumerate(countdown.over(each(measure, range(len(groups))), costs)):
            for name, (of_population, *of_groups) in zip(names, found, strict=True):
                usual[name][row] = of_population
                asked[name][row, np.concatenate(groups[row])] = np.concatenate(of_groups)
    return asked, usual


class ReferenceSignals(Protocol):
    """What reference networks have in the place of each of the models."""

    def evidence(self, observation: SignalSum, asked: NDArray[np.bool_]) -> Mapping[str, Any]:
        """The fields of `Evidence` that are about references, for those of the N candidates that are ``asked``."""
        ...


def scores_of(
    attack: Attack,
    signals: Floats,
    candidates: Candidates,
    population: Floats,
    population_labels: NDArray[np.int64],
    observations: Iterable[SignalSum],
    references: ReferenceSignals | None = None,
) -> Scores:
    """float64 [N] by observation: how sure an attacker is of each candidate, NaN where none is asked.

    Args:
        attack: one of `ATTACKS`.
        signals: float64 [models, N], of the candidates.
        candidates: these N.
        population: float64 [models, P], of samples that no node trained on.
        population_labels: int64 [P], their classes.
        observations: what attackers judge by.
        references: the same signal in replicas, where there are any.
    """
    found, labels, node = {}, candidates.labels, candidates.node
    for observation in observations:
        signal, usual = observation.signal(signals), observation.signal(population)
        asked, score = ~np.isnan(signal), np.full(len(labels), np.nan)
        more = references.evidence(observation, asked) if references else {}
        mine = {"node": node[asked], **more}
        score[asked] = attack(Evidence(signal[asked], labels[asked], usual, population_labels, **mine))
        found[observation] = score
    return found


def _groups(candidates: Candidates, victims: Collection[int] | None) -> list[NDArray[np.int64]]:
    """Candidates to measure together, so that a node's do not depend on whose else are asked about."""
    if victims is None:
        return [np.arange(len(candidates))]
    return [np.flatnonzero(candidates.node == victim) for victim in sorted(victims)]


def _measure(name: str, network: FlatModule, samples: Samples, data: NodeData, seed: int, model: str) -> Floats:
    rng = generator(seed, f"audit.signals.{name}")  # all models are probed alike
    found = SIGNALS[name].measure(network, samples, data.normalizer, rng)
    check_finite(found, name, samples, model)
    return found


@contextmanager
def _threads(run: Run) -> Iterator[Callable[..., Iterator[Any]]]:
    """``each(function, rows)``: function(row, network) of each row, in order; each thread has a network of its own."""
    networks, own = [FlatModule(run.blueprint.module().module, "fp64") for _ in range(cores())], threading.local()

    def begin() -> None:
        torch.set_num_threads(1)
        own.network = networks.pop()

    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(networks), initializer=begin) as pool:
            yield lambda function, rows: pool.map(lambda row: function(row, own.network), rows)
    finally:
        torch.set_num_threads(before)
