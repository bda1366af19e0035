"""Measurement: the signals of candidates, and of samples that nobody trained on, in the models that attackers hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.attacks.probed_batch import Stack
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import Signal, values_of
from auditing.candidates import Candidates
from auditing.finite import check_finite
from auditing.membership.students import students_of
from auditing.networks import models_at_once, network_of
from auditing.progress import Countdown
from auditing.views.observe import Observed
from simulator.core.cores import cores
from simulator.core.flat_module import FlatModule
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.runs.run import Run

Floats = NDArray[np.float64]
HELD_BYTES = 2**28  # of models in memory at once


@dataclass(frozen=True)
class MeasuredSignals:
    """Signals by name, high for members.

    Attributes:
        candidates: float64 [models, N]; NaN where no attacker asks: in models of recorded rounds, of the candidates of
            nodes that are not their victims.
        population: float64 [models, P], of the samples that candidates are compared with; of signals that have such.
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
        population: by signal, what they are compared with, P; signals without any are of the candidates alone.
    """

    run: Run
    signals: Mapping[str, Signal]
    candidates: Candidates
    population: Mapping[str, Samples]

    def of(self, observed: Observed, whose: str = "") -> MeasuredSignals:
        """The signals in the models of ``observed``, once its students have learnt.

        Computed in double precision, whatever the run's: curvature is lost to rounding in less. Training in bf16 rounds
        activations but keeps float32 parameters, so they are what attackers hold, and here nothing more is rounded.
        Models that are asked about the same samples are asked together, where their network can be run like that. What
        is asked at once has a thread and torch one thread in it, so the number of cores does not change results.
        Progress is told, with ``whose`` models these are in front.

        Raises:
            InputError: a signal is not finite.
        """
        observed = replace(observed, students=students_of(observed, self.run, whose))
        victims, names = observed.victims(), observed.names
        asked = {name: np.full((len(victims), len(self.candidates)), np.nan) for name in self.signals}
        usual = {name: np.empty((len(victims), len(samples))) for name, samples in self.population.items()}
        sets = [*self._populations(usual), *self._groups(victims, asked)]
        total = sum(each.values for each in sets)
        tested = max(map(len, self.population.values()), default=0)
        countdown = Countdown(
            f"{whose}scoring {len(self.candidates):,} candidates and {tested:,} test samples in {len(victims)} models: "
            f"{total:,} values of {len(self.signals)} signals",
            unit="values",
        )
        with _threads(self.run) as each, countdown.counting(total) as done:
            for rows in _blocks(len(victims), self.run.nodes[0].parameters.numel()):
                models = dict(zip(rows, each(lambda row, _: _Model.of(observed, row), rows), strict=True))
                jobs = [
                    _Job(part, chosen, [models[row] for row in chosen], [whose + names[row] for row in chosen])
                    for part in sets
                    for chosen in part.among(rows, self._at_once)
                ]
                list(each(lambda job, network: self._fill(job, network, done), jobs))
        return MeasuredSignals(asked, usual)

    @cached_property
    def _at_once(self) -> int:
        """How many models are run as one program."""
        return models_at_once(network_of(self.run, "fp64", with_state=True), self.run.nodes[0].data)

    def _populations(self, found: Mapping[str, Floats]) -> Iterator[_Set]:
        """What all models are asked about: signals that are compared with the same samples are asked for together."""
        alike = dict[tuple[int, ...], list[str]]()
        for name, samples in self.population.items():
            alike.setdefault(tuple(samples.index.tolist()), []).append(name)
        for names in alike.values():
            samples, rows = self.population[names[0]], range(len(found[names[0]]))
            yield _Set(samples, rows, slice(None), {name: found[name] for name in names})

    def _groups(self, victims: Sequence[Collection[int] | None], found: Mapping[str, Floats]) -> Iterator[_Set]:
        """Candidates to measure together, so that a node's do not depend on whose else are asked about."""
        asking = dict[int | None, list[int]]()
        for row, asked in enumerate(victims):
            for victim in [None] if asked is None else sorted(asked):
                asking.setdefault(victim, []).append(row)
        for victim, rows in asking.items():
            own = np.flatnonzero((self.candidates.node == victim) | (victim is None))
            yield _Set(self.candidates.samples.subset(torch.from_numpy(own)), rows, own, found)

    def _fill(self, job: _Job, network: FlatModule, done: Callable[[int], None]) -> None:
        """Measure the signals of a set of samples in some of the models."""
        first, part = self.run.nodes[0], job.part
        signals = {name: self.signals[name] for name in part.found}
        rngs = {name: generator(first.seed, f"audit.signals.{name}") for name in signals}  # all models are probed alike
        parameters = torch.stack([model.parameters for model in job.models])
        buffers = [merged for model in job.models if (merged := network.merged(model.running))]
        network.bind(parameters[0], buffers[0] if buffers else None)
        model = ProbedModel(network, first.data.preparation, first.data.task)
        stack = Stack(parameters, buffers) if len(parameters) > 1 else None
        for name, values in values_of(signals, model, part.samples, rngs, stack, done).items():
            found = signals[name].for_attacks(values)
            for row, of_model, called in zip(job.rows, found, job.names, strict=True):
                check_finite(of_model, name, part.samples, called)
                part.found[name][row, part.columns] = of_model


class _Model(NamedTuple):
    """A model that attackers hold: float64 [parameters], and the terms of its running statistics."""

    parameters: Tensor
    running: Sequence[tuple[float, Tensor]]

    @classmethod
    def of(cls, observed: Observed, row: int) -> _Model:
        return cls(observed.model(row), observed.running(row))


class _Job(NamedTuple):
    """Some models, by their rows, and what they are asked about."""

    part: _Set
    rows: Sequence[int]
    models: Sequence[_Model]
    names: Sequence[str]


@dataclass(frozen=True)
class _Set:
    """Samples that models are asked about.

    Attributes:
        samples: n of them.
        rows: of the models, ascending.
        columns: where the samples stand in the arrays ``found``.
        found: float64 [models, ...] by signal, to be filled.
    """

    samples: Samples
    rows: Sequence[int]
    columns: NDArray[np.int64] | slice
    found: Mapping[str, Floats]

    @property
    def values(self) -> int:
        """How many there are to be."""
        return len(self.samples) * len(self.rows) * len(self.found)

    def among(self, rows: range, number: int) -> Iterator[list[int]]:
        """Those of its models that are among ``rows``, so many at a time."""
        ours = [row for row in self.rows if row in rows]
        yield from (ours[start : start + number] for start in range(0, len(ours), number))


def _blocks(models: int, parameters: int) -> Iterator[range]:
    """The models, those together that are held in memory at once."""
    size = max(1, HELD_BYTES // (8 * parameters))
    yield from (range(start, min(start + size, models)) for start in range(0, models, size))


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
