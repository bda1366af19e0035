"""GUT and QG-GUTm against the released code's formulas and their promises, through the real node program."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.experiments import small
from reference.graphs import topologies
from reference.marks import first
from reference.network import quadratics, sgd
from reference.twins import adapt_then_combine_fixed_point, global_update_tracking, gossip

from methods.global_update_tracking import GlobalUpdateTracking
from simulator.core.errors import InputError
from topologies import Topology, lambda_min

close = {"rtol": 1e-10, "atol": 1e-10}
GUT = {"name": "global_update_tracking"}


def points(topology, seed=0):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, 5))


def tracking(**config):
    return lambda node: [GlobalUpdateTracking(GlobalUpdateTracking.Config(**config))]


def alike(topology):
    return np.tile(points(topology, 1)[0], (topology.num_nodes, 1))


def build(topology, training, **options):
    """Quadratics with random targets (seed 0) from one starting point (seed 1)."""
    options = {"start": alike(topology), **options}
    return quadratics(topology, points(topology), training=training, **options)


@settings(max_examples=15)
@given(topologies(weights=["lazy"]), st.floats(0, 0.5), st.floats(0, 0.4), st.integers(1, 3))
def test_trajectory_is_that_of_the_matrix_formula_while_the_rate_changes(topology, mu, beta, steps):
    curvature = np.linspace(0.5, 2, topology.num_nodes)
    training = sgd(0.3, local_steps=steps, schedule={"warmup": 3, "milestones": [0.7]})
    network = build(topology, training, methods=tracking(mu=mu, beta=beta), curvature=curvature, rounds=6)
    path = global_update_tracking(
        topology.weights,
        lambda x: curvature[:, None] * (x - points(topology)),
        alike(topology),
        [0.1, 0.2, 0.3, 0.3, 0.3, 0.03],
        mu=mu,
        beta=beta,
        local_steps=steps,
    )

    np.testing.assert_allclose(network.run(6), path, **close)


def test_without_momentum_the_mean_goes_along_the_mean_gradient_and_the_nodes_along_other_ways():
    topology = Topology.build("ring", 7)
    tracked = build(topology, sgd(0.2), methods=tracking(mu=0.9)).run(8)
    plain = gossip(topology.weights, lambda x: x - points(topology), alike(topology), [0.2] * 8)

    np.testing.assert_allclose(tracked.mean(1), plain.mean(1), **close)
    assert np.abs(tracked[-1] - plain[-1]).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("mu", "beta"), first([(0.3, 0.5), (0.9, 0.0), (0.5, 0.0)]))
def test_nodes_settle_where_gossip_at_a_smaller_rate_would(mu, beta):
    topology = Topology.build("ring", 6, "lazy")
    fixed = adapt_then_combine_fixed_point(topology.weights, points(topology), (1 - mu) / (1 + mu * beta) * 0.4)
    end = build(topology, sgd(0.4), methods=tracking(mu=mu, beta=beta)).run(300)[-1]

    np.testing.assert_allclose(end, fixed, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("mu", "beta"), [(0.9, 0.0), (0.4, 0.1)])
@pytest.mark.parametrize(("beyond", "grows"), [(-0.03, False), (0.03, True)])
def test_at_the_bound_of_the_check_differences_begin_to_grow(mu, beta, beyond, grows):
    """W = (1 - a) I + a (mean of the two) on a pair of nodes has the eigenvalue that is asked for."""
    bound = -(1 + beta * (2 + mu)) / (1 + mu * (2 - beta))
    smallest = bound - beyond
    pair = np.array([[1 + smallest, 1 - smallest], [1 - smallest, 1 + smallest]]) / 2
    start = points(Topology.build("complete", 2))
    path = global_update_tracking(pair, np.zeros_like, start, [1.0] * 300, mu=mu, beta=beta)
    apart = np.abs(path[:, 0] - path[:, 1]).max(1)

    assert (apart[-1] > 10 * apart[0]) == grows
    assert (apart[-1] < 0.1 * apart[0]) != grows


def test_a_ring_of_released_weights_is_within_the_bound():
    assert lambda_min(Topology.build("ring", 16).weights) > -1 / (1 + 2 * 0.9)


REFUSED = {
    "reads how the network moves": {"mixer": {"name": "gossip", "order": "combine_then_adapt"}},
    "has a momentum of its own": {"training": {"optimizer": {"lr": 0.1, "momentum": 0.9}}},
    "compares movements of nodes": {"training": {"nodes": {1: {"lr": 0.1}}}},
    "lets the mean model run away": {"methods": [{**GUT, "mu": 0.1, "beta": 0.9}]},
    "would look like a movement": {"topology": {"graph": "ring", "nodes": 4, "failures": {"links": 0.1}}},
    "needs a symmetric mixing matrix": {"topology": {"graph": "exponential", "nodes": 5, "weights": "row_stochastic"}},
    "diverges on this network": {"topology": {"graph": "hypercube", "nodes": 16}},
}


@pytest.mark.parametrize("what", REFUSED)
def test_where_it_cannot_work_it_is_refused(what):
    with pytest.raises(InputError, match=r"methods\[0\]") as caught:
        small(**{"methods": [GUT], **REFUSED[what]})
    assert what in str(caught.value)
