"""Gradient tracking against its formulas and its promises, through the real node program in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.experiments import small
from reference.graphs import DOUBLY_STOCHASTIC, topologies
from reference.marks import first
from reference.network import Network, quadratics, random_data, seeded, sgd
from reference.twins import (
    adapt_then_combine_fixed_point,
    combine_then_adapt_fixed_point,
    gradient_tracking,
    k_gradient_tracking,
)

from methods.gradient_tracking import TRACKER, GradientTracking
from simulator.core.errors import InputError
from simulator.core.method import Method
from simulator.mixers.gossip import Gossip
from simulator.models.small import MLP
from simulator.testing.network import of_images
from topologies import Topology, build_schedule

close = {"rtol": 1e-12, "atol": 1e-12}
ORDERS = ("adapt_then_combine", "combine_then_adapt")
both_orders = pytest.mark.parametrize("order", ORDERS)
FIXED_POINT = {
    "adapt_then_combine": adapt_then_combine_fixed_point,
    "combine_then_adapt": combine_then_adapt_fixed_point,
}


def points(topology, seed=0):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, 5))


def tracking(**config):
    return lambda node: [GradientTracking(GradientTracking.Config(**config))]


def gossip(order):
    return lambda: Gossip(Gossip.Config(order=order))


def build(topology, training, order="adapt_then_combine", methods=None, **options):
    """Quadratics with random targets (seed 0) and starting points (seed 1)."""
    options = {"start": points(topology, 1), "mixer": gossip(order), "methods": methods or tracking(), **options}
    return quadratics(topology, points(topology), training=training, **options)


def trackers(network):
    return np.stack([node.methods[-1].tracker.numpy().copy() for node in network.nodes])


def link(network, links):
    """Let the nodes stand in other links from now on."""
    for node in network.nodes:
        node.weights, node.receivers = links.row(node.id), links.out_neighbours(node.id)


def run_on(network, schedule, rounds):
    """Rounds on the links of a schedule; the trajectory and the trackers of every round."""
    path, tracked = [network.parameters], []
    for round in range(rounds):
        link(network, schedule.at(round))
        network.round()
        path.append(network.parameters)
        tracked.append(trackers(network))
    return np.stack(path), np.stack(tracked)


@settings(max_examples=15)
@given(topologies(weights=DOUBLY_STOCHASTIC), st.sampled_from(ORDERS), st.floats(0, 1), st.sampled_from([0.0, 0.2]))
def test_models_and_trackers_are_those_of_the_matrix_formula(topology, order, strength, decay):
    training = sgd(0.2, weight_decay=decay, schedule={"milestones": [0.5]})
    network = build(topology, training, order, tracking(strength=strength), rounds=6)
    path, tracked = gradient_tracking(
        topology.weights,
        lambda x: x - points(topology),
        points(topology, 1),
        [0.2] * 3 + [0.02] * 3,
        order=order,
        strength=strength,
        weight_decay=decay,
    )
    static = build_schedule("static", topology)

    for ours, theirs in zip(run_on(network, static, 6), (path, tracked), strict=True):
        np.testing.assert_allclose(ours, theirs, **close)


@settings(max_examples=15)
@given(topologies(weights=DOUBLY_STOCHASTIC), st.integers(1, 4))
def test_local_steps_are_those_of_k_gt(topology, steps):
    curvature = np.linspace(0.5, 2, topology.num_nodes)
    network = build(topology, sgd(0.1, local_steps=steps), curvature=curvature)
    path = k_gradient_tracking(
        topology.weights,
        lambda x: curvature[:, None] * (x - points(topology)),
        points(topology, 1),
        [0.1] * 6,
        steps,
    )

    np.testing.assert_allclose(network.run(6), path, **close)


@pytest.mark.parametrize(
    ("name", "order"),
    first([("random_matching", "combine_then_adapt"), ("one_peer_exponential", "adapt_then_combine")]),
)
@pytest.mark.slow
def test_links_may_change_from_round_to_round(name, order):
    topology = Topology.build("complete", 8)
    schedule = build_schedule(name, topology)
    path, tracked = gradient_tracking(
        np.stack([schedule.at(round).weights for round in range(130)]),
        lambda x: x - points(topology),
        points(topology, 1),
        [0.2] * 130,
        order=order,
    )
    ours, our_trackers = run_on(build(topology, sgd(0.2), order), schedule, 130)

    np.testing.assert_allclose(ours, path, **close)
    np.testing.assert_allclose(our_trackers, tracked, **close)
    np.testing.assert_allclose(ours[-1], np.tile(points(topology).mean(0), (8, 1)), **close)


class Gradients(Method):
    """Remembers the mean gradient of the round."""

    def before_round(self, node):
        self.seen = []

    def before_step(self, node, batch):
        self.seen.append(node.gradient.clone())


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", ["static", "random_matching"])
@both_orders
def test_trackers_sum_to_the_gradients_in_every_round(steps, name, order):
    """With mini-batches, a network that is not convex, and links that change."""
    topology = Topology.build("star", 6)
    network = Network(
        topology,
        seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3))),
        [random_data(seed=seed) for seed in range(6)],
        sgd(0.1, batch_size=5, local_steps=steps, weight_decay=0.01),
        methods=lambda node: [Gradients(None), *tracking()(node)],
        mixer=gossip(order),
    )
    schedule = build_schedule(name, topology)
    for round in range(5):
        link(network, schedule.at(round))
        network.round()
        gradients = np.stack([torch.stack(node.methods[0].seen).mean(0).numpy() for node in network.nodes])

        np.testing.assert_allclose(trackers(network).sum(0), gradients.sum(0), **close)
        assert np.abs(trackers(network) - gradients).max() > 1e-3 or round == 0


@pytest.mark.parametrize(
    ("order", "graph", "nodes", "eta", "rounds"),
    [
        ("adapt_then_combine", "ring", 4, 0.5, 60),
        ("adapt_then_combine", "hypercube", 8, 0.3, 90),  # lambda_min = -1/2, where D2 would diverge
        ("combine_then_adapt", "ring", 5, 0.2, 140),
        ("combine_then_adapt", "exponential", 8, 0.2, 130),  # directed
    ],
)
@pytest.mark.slow
def test_nodes_with_different_targets_agree_on_their_mean_where_plain_gossip_stays_apart(
    order, graph, nodes, eta, rounds
):
    topology = Topology.build(graph, nodes)
    mean = np.tile(points(topology).mean(0), (nodes, 1))
    apart = FIXED_POINT[order](topology.weights, points(topology), eta)
    tracked = build(topology, sgd(eta), order, start=apart)
    plain = build(topology, sgd(eta), order, lambda node: [], start=apart)

    np.testing.assert_allclose(tracked.run(rounds)[-1], mean, **close)
    np.testing.assert_allclose(plain.run(3)[-1], apart, **close)
    assert np.abs(apart - mean).max() > 0.1


@both_orders
@pytest.mark.slow
def test_strength_scales_the_rate_that_decides_how_far_apart_nodes_settle(order):
    topology = Topology.build("ring", 5)
    network = build(topology, sgd(0.2), order, tracking(strength=0.6))
    settled = FIXED_POINT[order](topology.weights, points(topology), 0.4 * 0.2)

    np.testing.assert_allclose(network.run(140)[-1], settled, **close)


@pytest.mark.parametrize(("eta", "converges"), [(0.11, True), (0.14, False)])
@pytest.mark.slow
def test_combining_first_bears_rates_up_to_a_bound_set_by_the_smallest_eigenvalue(eta, converges):
    """Along an eigenvector z^2 - (2 lambda - eta) z + lambda^2 - eta = 0, stable for eta < (1 + lambda)^2 / 2 = 1/8."""
    topology = Topology.build("hypercube", 8)
    path = build(topology, sgd(eta), "combine_then_adapt").run(60)
    apart = np.linalg.norm(path - path.mean(axis=1, keepdims=True), axis=(1, 2))

    assert bool(apart[-1] < apart[30] / 2) == converges


@pytest.mark.slow
def test_with_local_steps_the_minimum_is_exact_although_curvatures_differ():
    topology, curvature = Topology.build("ring", 5), np.linspace(0.5, 2, 5)
    minimum = np.average(points(topology), axis=0, weights=curvature)
    tracked, plain = (
        build(topology, sgd(0.1, local_steps=3), methods=methods, curvature=curvature)
        for methods in (tracking(), lambda node: [])
    )

    np.testing.assert_allclose(tracked.run(125)[-1], np.tile(minimum, (5, 1)), **close)
    assert np.abs(plain.run(60)[-1].mean(0) - minimum).max() > 0.1


@pytest.mark.parametrize("same_start", [True, False])
def test_on_a_complete_graph_every_node_is_centralized_gradient_descent(same_start):
    """X1 = mean(X0 - eta G0); from there all models are equal, and so are the mixed trackers: W Y = mean(G)."""
    topology, curvature = Topology.build("complete", 6), np.linspace(0.5, 2, 6)
    start = np.tile(points(topology, 1)[0], (6, 1)) if same_start else points(topology, 1)
    path = build(topology, sgd(0.2), start=start, curvature=curvature).run(8)
    expected = (start - 0.2 * curvature[:, None] * (start - points(topology))).mean(0)
    for models in path[1:]:
        np.testing.assert_allclose(models, np.tile(expected, (6, 1)), **close)
        expected = expected - 0.2 * (curvature[:, None] * (expected - points(topology))).mean(0)


def test_the_tracker_doubles_the_bytes():
    for message in build(Topology.build("ring", 4), sgd(0.1)).work():
        parts = message.envelope.bytes_by_part

        assert parts == {"parameters": 5 * 8, TRACKER: 5 * 8}


def test_what_was_sent_is_never_written_to():
    network = build(Topology.build("ring", 4), sgd(0.1))
    network.round()
    messages = network.work()
    before = [message.parts[TRACKER].clone() for message in messages]
    network.absorb(messages)
    network.work()

    assert all(torch.equal(message.parts[TRACKER], old) for message, old in zip(messages, before, strict=True))


def test_the_correction_survives_saving_and_loading():
    topology = Topology.build("star", 4)
    straight, stopped, resumed = (build(topology, sgd(0.2, local_steps=2)) for _ in range(3))
    path = straight.run(6)
    stopped.run(3)
    resumed.load(stopped.states())

    assert np.array_equal(resumed.run(3), path[3:])
    assert torch.equal(resumed.nodes[2].methods[-1].correction, straight.nodes[2].methods[-1].correction)


@pytest.mark.parametrize(
    ("changes", "what", "advice"),
    [
        ({"training": {"optimizer": {"momentum": 0.9}}}, "optimizer's momentum", "momentum: 0"),
        (
            {"topology": {"graph": "star", "nodes": 4, "weights": "row_stochastic"}},
            "row_stochastic weights on this graph",
            "weights: metropolis_hastings",
        ),
    ],
)
def test_what_breaks_the_tracking_is_refused(changes, what, advice):
    with pytest.raises(InputError) as caught:
        small(methods=[{"name": "gradient_tracking"}], **changes)
    (problem,) = caught.value.problems

    assert problem.where == "methods[0]"
    assert what in problem.what
    assert advice in problem.advice


def test_both_orders_of_gossip_and_changing_links_are_accepted():
    changing = {"graph": "complete", "nodes": 4, "schedule": "one_peer_exponential"}
    for order in ORDERS:
        mixer = {"name": "gossip", "order": order}

        assert small(methods=[{"name": "gradient_tracking"}], mixer=mixer, topology=changing).mixer.order == order
