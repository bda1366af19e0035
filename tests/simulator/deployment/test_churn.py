"""Deployments in which, in a third of the phases, one of the nodes is not there."""

import numpy as np
import pytest
from reference.deployment import Deployment
from reference.experiments import small
from reference.marks import MANY

from simulator import run
from simulator.runs.run import Run

pytestmark = pytest.mark.slow

NODES, ROUNDS, PHASE = 4, 48, 4


def experiment(seed, absences=()):
    failures = {"failures": {"absences": absences}} if absences else {}
    return small(
        f"seed={seed}", rounds=ROUNDS, evaluate={"every": 12}, topology={"graph": "ring", "nodes": 4} | failures
    )


def churn(seed):
    """Which node is away in which phase, counted from 0; not in the last one, after which all are collected."""
    rng, phases = np.random.default_rng(seed), ROUNDS // PHASE
    away = rng.choice(phases - 1, phases // 3, replace=False)
    return {int(phase): int(rng.integers(NODES)) for phase in away}


def accuracy(done):
    return done.directory.network_series("test/accuracy/mean")[1][-1]


@pytest.mark.parametrize(
    "begins", ["with the phase", *(pytest.param(each, marks=MANY) for each in ("unsaid", "in the middle of it"))]
)
def test_a_node_away_in_a_third_of_the_phases_costs_what_it_costs_in_the_simulation(begins, tmp_path):
    """Where it is away for whole phases, models are those of the simulation, whether or not the others are told."""
    within, schedule = PHASE // 2 if begins == "in the middle of it" else 0, churn(seed=1)
    absences = [[node, phase * PHASE + within + 1, (phase + 1) * PHASE] for phase, node in sorted(schedule.items())]
    deployment = Deployment(experiment(seed=0), tmp_path)
    for phase in range(ROUNDS // PHASE):
        gone = {schedule[phase]} if phase in schedule else set()
        there = sorted(set(range(NODES)) - gone) if not within else range(NODES)
        told = gone if begins == "with the phase" else set()
        start, until = phase * PHASE, (phase + 1) * PHASE
        leaving = dict.fromkeys(gone, start + within)
        waits = {"join_timeout": 8.0, "round_timeout": 8.0} if gone and not told else {}
        found = deployment.p2p(until, nodes=there, away=told, over=start, leaving=leaving, **waits)
        assert found == {node: leaving.get(node, until) for node in there}
    deployed = Run.open(deployment.collected(tmp_path / "deployed"))
    simulated = [run(experiment(seed, absences), tmp_path / f"local-{seed}") for seed in range(3)]
    spread = sorted(map(accuracy, simulated))
    assert spread[0] <= accuracy(deployed) <= spread[-1]
    if not within:
        assert np.array_equal(deployed.models(ROUNDS), simulated[0].models(ROUNDS))
