"""Scores: every candidate judged by every final model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.attacks.membership import ATTACKS, Evidence
from auditing.attacks.signals import SIGNALS
from auditing.views import final_models
from simulator.backends.local import cores
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData, Samples
from simulator.core.seeding import generator
from simulator.launch import Run

Floats = NDArray[np.float64]


def signals_of(names: Sequence[str], run: Run, samples: Samples) -> dict[str, Floats]:
    """float64 [models, N] by signal: ``samples`` in each of the `final_models` of ``run``, high for members.

    Computed in double precision, whatever the run's: curvature is lost to rounding in less. Each model has a thread
    and torch one thread in it, so the number of cores does not change results.
    """
    models, data, seed = final_models(run.nodes), run.nodes[0].data, run.nodes[0].seed
    networks = [FlatModule(run.blueprint.module().module, "fp64") for _ in models]
    threads = torch.get_num_threads()

    def measure(network: FlatModule, parameters: Tensor) -> list[Floats]:
        network.bind(parameters)
        return [_measure(name, network, samples, data, seed) for name in names]

    try:
        with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            rows = list(pool.map(measure, networks, models))
    finally:
        torch.set_num_threads(threads)
    return {name: np.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def scores_of(
    attacks: Sequence[str],
    signals: Mapping[str, Floats],
    labels: NDArray[np.int64],
    population: Mapping[str, Floats],
    population_labels: NDArray[np.int64],
) -> dict[str, Floats]:
    """float64 [models, candidates] by "signal, attack".

    Args:
        attacks: names in `ATTACKS`.
        signals: float64 [models, candidates] by signal.
        labels: int64 [candidates], their classes.
        population: float64 [models, P] by signal, of samples that no node trained on.
        population_labels: int64 [P], their classes.
    """
    found = {}
    for name, values in signals.items():
        rows = zip(values, population[name], strict=True)
        evidence = [Evidence(row, labels, usual, population_labels) for row, usual in rows]
        for attack in attacks:
            found[f"{name}, {attack}"] = np.stack([ATTACKS[attack](each) for each in evidence])
    return found


def _measure(name: str, network: FlatModule, samples: Samples, data: NodeData, seed: int) -> Floats:
    rng = generator(seed, f"audit.signals.{name}")  # all models are probed alike
    return SIGNALS[name].measure(network, samples, data.normalizer, rng)
