"""Signals of training samples in the models of checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import signals_named
from auditing.finite import check_finite
from auditing.networks import network_of
from auditing.threads import one_a_core
from simulator.core.flat_module import FlatModule
from simulator.core.node import Node
from simulator.core.seeding import generator
from simulator.runs.run import Run

Floats = NDArray[np.float64]


def at_checkpoints(run: Run, signal: str, rounds: Sequence[int]) -> Floats:
    """The ``signal`` of every training sample by its own node's model, float64 [rounds, N]; NaN of attackers'.

    It is low for what is fitted well, and computed in double precision. Estimators draw new directions at each node and
    checkpoint, so that their errors average out.

    Raises:
        InputError: a value is not finite.
    """
    measured = signals_named([signal])[signal]
    models = {round: (run.models(round).double(), run.running(round)) for round in rounds}

    def measure(node: Node, network: FlatModule) -> Floats:
        if node.id in run.directory.attackers:
            return np.full((len(rounds), len(node.data.train)), np.nan)
        rows, model = [], ProbedModel(network, node.data.preparation, node.data.task)
        for round, (parameters, running) in models.items():
            network.bind(parameters[node.id], network.buffers_of(running[node.id]))
            rng = generator(node.seed, f"audit.memorization.{signal}", node=node.id, round=round)
            values = measured.values(model, node.data.train, rng)
            check_finite(values, signal, node.data.train, f"of node {node.id} after round {round}")
            rows.append(values if measured.members == "low" else -values)
        return np.stack(rows)

    networks = [network_of(run, "fp64", with_state=True) for _ in run.nodes]
    with one_a_core() as pool:
        return np.concatenate(list(pool.map(measure, run.nodes, networks)), axis=1)
