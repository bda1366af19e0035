"""Quasi-global momentum against its formulas, through the real node program in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.experiments import small
from reference.graphs import topologies
from reference.network import Network, quadratics, random_data, seeded, sgd
from reference.twins import quasi_global

from methods.quasi_global_momentum import QuasiGlobalMomentum
from simulator.core.errors import InputError
from simulator.models.small import MLP
from simulator.testing.network import of_images
from topologies import Topology

close = {"rtol": 1e-12, "atol": 1e-12}
both_variants = pytest.mark.parametrize("nesterov", [False, True], ids=["plain", "nesterov"])


def points(topology, seed=0):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, 5))


def momentum(**config):
    return lambda node: [QuasiGlobalMomentum(QuasiGlobalMomentum.Config(**config))]


def build(topology, training, **config):
    """Quadratics with random targets (seed 0) and starting points (seed 1); ``config`` of the method."""
    return quadratics(topology, points(topology), points(topology, 1), training, rounds=6, methods=momentum(**config))


def buffers(network):
    return np.stack([node.methods[-1].buffer.numpy() for node in network.nodes])


@settings(max_examples=15)
@given(
    topologies(),
    st.floats(0, 0.95),
    st.floats(0, 0.95),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.2]),
)
def test_trajectory_and_buffers_are_those_of_the_matrix_formula(topology, beta, mu, nesterov, steps, decay):
    training = sgd(0.2, local_steps=steps, weight_decay=decay)
    network = build(topology, training, beta=beta, mu=mu, nesterov=nesterov)
    path, buffer = quasi_global(
        topology.weights,
        lambda x: x - points(topology),
        points(topology, 1),
        [0.2] * 6,
        beta=beta,
        mu=mu,
        nesterov=nesterov,
        local_steps=steps,
        weight_decay=decay,
    )

    np.testing.assert_allclose(network.run(6), path, **close)
    np.testing.assert_allclose(buffers(network), buffer, rtol=1e-11, atol=1e-11)


@both_variants
def test_the_buffer_divides_by_the_scheduled_rate(nesterov):
    """During warm-up, and after a milestone, the movement is divided by the rate that caused it."""
    topology = Topology.build("star", 5)
    training = sgd(0.3, schedule={"warmup": 3, "milestones": [0.7], "gamma": 0.1})
    network = build(topology, training, nesterov=nesterov)
    path, buffer = quasi_global(
        topology.weights,
        lambda x: x - points(topology),
        points(topology, 1),
        [0.1, 0.2, 0.3, 0.3, 0.3, 0.03],  # round 5 of 6 is the first past 0.7
        beta=0.9,
        mu=0.9,
        nesterov=nesterov,
    )

    np.testing.assert_allclose(network.run(6), path, **close)
    np.testing.assert_allclose(buffers(network), buffer, rtol=1e-11, atol=1e-11)


@both_variants
def test_on_a_complete_graph_all_buffers_are_equal(nesterov):
    topology = Topology.build("complete", 6)
    network = quadratics(
        topology,
        points(topology),
        np.tile(points(topology, 1)[0], (6, 1)),
        sgd(0.2),
        methods=momentum(nesterov=nesterov),
    )
    for _ in range(5):
        network.round()
        np.testing.assert_allclose(buffers(network), np.tile(buffers(network)[0], (6, 1)), **close)
    assert np.abs(buffers(network)).max() > 0.01


@pytest.mark.parametrize(
    ("nesterov", "keep", "take"),
    [(False, "mu + (1 - mu) * beta", "1 - mu"), (True, "mu + (1 - mu) * beta**2", "(1 - mu) * (1 + beta)")],
    ids=["plain", "nesterov"],
)
@pytest.mark.parametrize(("graph", "nodes"), [("complete", 1), ("complete", 6)])
def test_alone_or_with_everyone_the_buffer_is_quasi_hyperbolic_momentum(graph, nodes, nesterov, keep, take):
    """Where X_after = mean(X - eta direction), the movement over eta is the mean direction.

    Plain: direction = beta m + g, so m <- (mu + (1 - mu) beta) m + (1 - mu) g.
    Nesterov: direction = g + beta (beta m + g), so m <- (mu + (1 - mu) beta^2) m + (1 - mu) (1 + beta) g.
    """
    beta, mu, eta = 0.7, 0.8, 0.2
    keep, take = (eval(formula, {"mu": mu, "beta": beta}) for formula in (keep, take))
    topology = Topology.build(graph, nodes)
    start, target = points(topology, 1)[0], points(topology).mean(0)
    network = quadratics(
        topology,
        points(topology),
        np.tile(start, (nodes, 1)),
        sgd(eta),
        methods=momentum(beta=beta, mu=mu, nesterov=nesterov),
    )
    x, m = start, np.zeros(5)
    for _ in range(8):
        g = x - target
        direction = (1 + beta) * g + beta**2 * m if nesterov else g + beta * m
        x, m = x - eta * direction, keep * m + take * g
        network.round()
        np.testing.assert_allclose(network.parameters, np.tile(x, (nodes, 1)), rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(buffers(network), np.tile(m, (nodes, 1)), rtol=1e-11, atol=1e-11)


@both_variants
def test_beta_0_is_plain_gossip_to_the_bit(nesterov):
    topology = Topology.build("ring", 4)
    model = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))
    data = [random_data(seed=seed) for seed in range(4)]
    training = sgd(0.1, batch_size=5, weight_decay=0.01)
    neutral = Network(topology, model, data, training, methods=momentum(beta=0.0, nesterov=nesterov))
    plain = Network(topology, model, data, training)

    assert np.array_equal(neutral.run(6), plain.run(6))


def test_nothing_but_parameters_is_sent():
    messages = build(Topology.build("ring", 4), sgd(0.1)).work()

    assert {tuple(message.parts) for message in messages} == {("parameters",)}


def test_the_buffer_survives_saving_and_loading():
    topology = Topology.build("star", 4)
    straight, stopped = (build(topology, sgd(0.2)) for _ in range(2))
    path = straight.run(6)
    stopped.run(3)
    resumed = build(topology, sgd(0.2))
    resumed.load(stopped.states())
    resumed.run(3)

    assert np.array_equal(resumed.parameters, path[-1])
    assert torch.equal(resumed.nodes[2].methods[-1].buffer, straight.nodes[2].methods[-1].buffer)


def test_momentum_of_the_optimizer_beside_it_is_refused():
    with pytest.raises(InputError) as caught:
        small(methods=[{"name": "quasi_global_momentum"}], training={"optimizer": {"momentum": 0.9}})
    (problem,) = caught.value.problems

    assert problem.where == "methods[0]"
    assert "both are on" in problem.what
    assert "momentum: 0" in problem.advice
