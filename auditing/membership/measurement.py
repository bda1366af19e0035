"""Measurement: the signals of candidates, and of samples that nobody trained on, in the models that attackers hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import Signal
from auditing.candidates import Candidates
from auditing.finite import check_finite
from auditing.membership.students import students_of
from auditing.networks import network_of
from auditing.progress import Countdown
from auditing.views.observe import Observed
from simulator.core.cores import cores
from simulator.core.flat_module import FlatModule
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.runs.run import Run

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MeasuredSignals:
    """Signals by name, high for members.

    Attributes:
        candidates: float64 [models, N]; NaN where no attacker asks: in models of recorded rounds, of the candidates of
            nodes that are not their victims.
        population: float64 [models, P], of the samples that candidates are compared with.
    """

    candidates: Mapping[str, Floats]
    population: Mapping[str, Floats]


@dataclass(frozen=True)
class Measurement:
    """What is to be measured, of a run or of its replicas.

    Attributes:
        run: what networks look like, and how its nodes see samples.
        signals: what is measured, by name.
        candidates: the samples whose membership is asked, N.
        population: by signal, what they are compared with, P.
    """

    run: Run
    signals: Mapping[str, Signal]
    candidates: Candidates
    population: Mapping[str, Samples]

    def of(self, observed: Observed, whose: str = "") -> MeasuredSignals:
        """The signals in the models of ``observed``, once its students have learnt.

        Computed in double precision, whatever the run's: curvature is lost to rounding in less. Training in bf16 rounds
        activations but keeps float32 parameters, so they are what attackers hold, and here nothing more is rounded.
        Each model has a thread and torch one thread in it, so the number of cores does not change results. Progress is
        told, with ``whose`` models these are in front.

        Raises:
            InputError: a signal is not finite.
        """
        observed = replace(observed, students=students_of(observed, self.run, whose))
        models = observed.names
        groups = [_groups(self.candidates, victims) for victims in observed.victims()]
        tested = max(map(len, self.population.values()), default=0)
        costs = [float(tested + sum(map(len, rows))) for rows in groups]
        asked = {name: np.full((len(groups), len(self.candidates)), np.nan) for name in self.signals}
        usual = {name: np.empty((len(groups), len(self.population[name]))) for name in self.signals}

        def measure(row: int, network: FlatModule) -> dict[str, list[Floats]]:
            network.bind(observed.model(row), network.merged(observed.running(row)))
            sets = [self.candidates.samples.subset(torch.from_numpy(rows)) for rows in groups[row]]
            return {
                name: [self._one(name, network, each, whose + models[row]) for each in (self.population[name], *sets)]
                for name in self.signals
            }

        samples = f"{len(self.candidates):,} candidates and {tested:,} test samples"
        work = f"{len(costs)} models: {sum(costs):,.0f} x {len(self.signals)} signals"
        countdown = Countdown(f"{whose}scoring {samples} in {work}")
        with _threads(self.run) as each:
            for row, found in enumerate(countdown.over(each(measure, range(len(groups))), costs)):
                for name, (of_population, *of_groups) in found.items():
                    usual[name][row] = of_population
                    asked[name][row, np.concatenate(groups[row])] = np.concatenate(of_groups)
        return MeasuredSignals(asked, usual)

    def _one(self, name: str, network: FlatModule, samples: Samples, model: str) -> Floats:
        first = self.run.nodes[0]
        rng = generator(first.seed, f"audit.signals.{name}")  # all models are probed alike
        probed = ProbedModel(network, first.data.preparation, first.data.task)
        found = self.signals[name].measure(probed, samples, rng)
        check_finite(found, name, samples, model)
        return found


def _groups(candidates: Candidates, victims: Collection[int] | None) -> list[NDArray[np.int64]]:
    """Candidates to measure together, so that a node's do not depend on whose else are asked about."""
    if victims is None:
        return [np.arange(len(candidates))]
    return [np.flatnonzero(candidates.node == victim) for victim in sorted(victims)]


@contextmanager
def _threads(run: Run) -> Iterator[Callable[..., Iterator[Any]]]:
    """``each(function, rows)``: function(row, network) of each row, in order; each thread has a network of its own."""
    networks, own = [network_of(run, "fp64", with_state=True) for _ in range(cores())], threading.local()

    def begin() -> None:
        torch.set_num_threads(1)
        own.network = networks.pop()

    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(networks), initializer=begin) as pool:
            yield lambda function, rows: pool.map(lambda row: function(row, own.network), rows)
    finally:
        torch.set_num_threads(before)
