"""AdaGossip against its matrix formula, and where it meets CHOCO, through the real node program."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import twins
from reference.experiments import small
from reference.graphs import topologies
from reference.network import quadratics, sgd
from reference.twins import ada_gossip, choco, largest

from simulator import resume, run
from simulator.core.errors import InputError
from simulator.core.seeding import generator
from simulator.mixers.ada_gossip import AdaGossip
from topologies import Topology

CODES = {
    "top_k": lambda v, random: largest(v, 2),
    "sign": lambda v, random: twins.mean_signs(v),
    "qsgd": lambda v, random: twins.damped_qsgd(v, 8, random),
    "none": lambda v, random: v,
}


def points(topology, seed=0):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, 20))


def build(topology, **config):
    return quadratics(
        topology,
        points(topology),
        points(topology, 1),
        sgd(0.2),
        mixer=lambda: AdaGossip(AdaGossip.Config(**config)),
    )


def saved(network, name):
    return np.stack([state[f"mixer/{name}"].numpy() for state in network.states()])


@settings(max_examples=8)
@given(
    topologies(weights=("metropolis_hastings", "row_stochastic")),
    st.sampled_from(sorted(CODES)),
    st.floats(0.001, 1),
    st.sampled_from([0.0, 0.5, 0.999]),
)
def test_the_trajectory_and_the_mean_squares_are_those_of_the_matrix_formula(topology, name, gamma, beta):
    network = build(topology, compression=name, gamma=gamma, beta=beta)
    path, moment = ada_gossip(
        topology.weights,
        lambda x: x - points(topology),
        points(topology, 1),
        [0.2] * 6,
        gamma=gamma,
        beta=beta,
        code=lambda v, i, t: CODES[name](v, generator(0, "choco.compression", node=i, round=t)),
    )

    np.testing.assert_allclose(network.run(6), path, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(saved(network, "moment"), moment, rtol=1e-10, atol=1e-10)


def test_where_errors_are_below_gamma_steps_are_whole_as_those_of_choco_at_1():
    topology = Topology.build("ring", 5)
    path = build(topology, compression="none", gamma=1e6).run(5)
    whole, _ = choco(
        topology.weights,
        lambda x: x - points(topology),
        points(topology, 1),
        [0.2] * 5,
        gamma=1,
        code=lambda v, i, t: v,
    )

    np.testing.assert_allclose(path, whole, rtol=1e-12, atol=1e-12)


def test_no_parameter_moves_much_further_than_gamma_and_the_mean_is_not_kept():
    """With beta 0 a step is gamma d / (|d| + 1e-8), and d where that is longer."""
    topology = Topology.build("ring", 5)
    path = build(topology, compression="none", gamma=0.01, beta=0.0).run(1)
    trained = points(topology, 1) - 0.2 * (points(topology, 1) - points(topology))
    steps = path[1] - trained

    assert np.abs(steps).max() < 0.01
    assert (np.abs(steps) > 0.00999).mean() > 0.9
    assert np.abs(steps.mean(0)).max() > 1e-3


@pytest.mark.slow
def test_stopped_and_resumed_is_as_never_stopped(tmp_path):
    mixer = {"name": "ada_gossip", "compression": "sign", "beta": 0.9}
    straight = run(small("checkpoint.every=2", "checkpoint.keep=all", mixer=mixer), tmp_path)
    before = straight.models(6)
    resume(straight.path, round=2)

    assert np.array_equal(straight.models(6), before)


def test_links_that_change_are_refused():
    with pytest.raises(InputError, match="keeps sums that hold for one mixing matrix"):
        small("topology.failures={links: 0.1}", mixer={"name": "ada_gossip"})
