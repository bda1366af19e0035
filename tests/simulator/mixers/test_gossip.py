"""Laws of gossip, through the real node program in double precision.

Node i minimises curvature_i / 2 ||x - b_i||^2, so gradients are exact and everything has a closed form.
"""

from math import cos, pi

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from reference.graphs import DOUBLY_STOCHASTIC, over_time, topologies
from reference.marks import first
from reference.network import quadratics, sgd
from reference.twins import adapt_then_combine_fixed_point, combine_then_adapt_fixed_point, gossip

from simulator.core.plan import Plan
from simulator.mixers.gossip import Gossip
from topologies import GRAPHS, WEIGHTS, Topology, distances, spectral_gap

ORDERS = ("adapt_then_combine", "combine_then_adapt")
ROW_STOCHASTIC = tuple(sorted(set(WEIGHTS) - {"push"}))
both_orders = pytest.mark.parametrize("order", ORDERS)
laws = settings(max_examples=12)
close = {"rtol": 1e-12, "atol": 1e-12}


def points(topology, seed=0, size=5):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, size))


def in_order(order, rate=1.0):
    return lambda: Gossip(Gossip.Config(order=order, rate=rate))


def plan(weights):
    return Plan(5, sgd(0.1), over_time(Topology.build("star", 5, weights=weights)), Gossip.Config())


def build(topology, training, seed=0, **options):
    """Random targets (seed), starting points (seed + 1) and, by ``curvature``, steepness."""
    return quadratics(topology, points(topology, seed), points(topology, seed + 1), training, **options)


optimizers = st.sampled_from(
    [
        {},
        {"weight_decay": 0.3},
        {"momentum": 0.8},
        {"momentum": 0.8, "nesterov": True},
        {"momentum": 0.5, "nesterov": True, "weight_decay": 0.2},
    ]
)


@laws
@given(topologies(), st.sampled_from(ORDERS), optimizers, st.integers(1, 3), st.integers(0, 99))
def test_the_trajectory_is_that_of_the_matrix_formula(topology, order, optimizer, local_steps, seed):
    curvature = np.random.default_rng(seed).uniform(0.2, 2, topology.num_nodes)
    training = sgd(0.2, local_steps=local_steps, **optimizer)
    network = build(topology, training, seed, curvature=curvature, mixer=in_order(order))
    twin = gossip(
        topology.weights,
        lambda x: curvature[:, None] * (x - points(topology, seed)),
        points(topology, seed + 1),
        [0.2] * 6,
        order=order,
        local_steps=local_steps,
        **optimizer,
    )

    np.testing.assert_allclose(network.run(6), twin, **close)


@laws
@given(
    topologies(weights=ROW_STOCHASTIC),
    st.sampled_from(ORDERS),
    st.floats(0.05, 1),
    st.integers(1, 2),
    st.integers(0, 99),
)
def test_a_rate_below_1_is_gossip_with_a_lazier_matrix(topology, order, rate, local_steps, seed):
    """x_i + rate sum_j w_ij (x_j - x_i) is row i of ((1 - rate) I + rate W) X."""
    training = sgd(0.2, momentum=0.5, local_steps=2)
    network = build(topology, training, seed, mixer=in_order(order, rate))
    twin = gossip(
        (1 - rate) * np.eye(topology.num_nodes) + rate * topology.weights,
        lambda x: x - points(topology, seed),
        points(topology, seed + 1),
        [0.2] * 5,
        order=order,
        local_steps=2,
        momentum=0.5,
    )

    np.testing.assert_allclose(network.run(5), twin, **close)


@both_orders
def test_at_rate_1_the_sum_is_not_touched(order):
    """To the bit, with what the plain sum in order of node id gives."""
    topology = Topology.build("star", 5)
    network = build(topology, sgd(0.2), mixer=in_order(order, 1.0))
    before = [node.parameters.clone() for node in network.nodes]
    messages = network.work()
    trained = [node.parameters.clone() for node in network.nodes]
    sent = trained if order == "adapt_then_combine" else before
    network.absorb(messages)
    for node in network.nodes:
        total = torch.zeros(5, dtype=torch.float64)
        for j in sorted(node.weights):
            total.add_(sent[j], alpha=topology.weights[node.id, j])
        if order == "combine_then_adapt":
            total = total + trained[node.id] - sent[node.id]
        assert torch.equal(node.parameters, total)


@pytest.mark.parametrize("rate", [0, -0.1, 1.1])
def test_rates_outside_0_to_1_are_refused(rate):
    with pytest.raises(ValidationError, match="rate"):
        Gossip.Config(rate=rate)


@pytest.mark.parametrize("weights", sorted(ROW_STOCHASTIC))
def test_rows_that_sum_to_1_are_accepted(weights):
    assert not list(Gossip.check(Gossip.Config(), plan(weights)))


def test_push_weights_are_refused():
    (problem,) = Gossip.check(Gossip.Config(), plan("push"))

    assert "'push'" in problem.what
    assert "push_sum" in problem.advice


def test_the_trajectory_follows_the_learning_rate_schedule():
    topology = Topology.build("star", 5)
    training = sgd(0.4, schedule={"warmup": 3, "milestones": [0.5], "gamma": 0.1})
    rates = [0.4 / 3, 0.8 / 3, 0.4, 0.4, 0.4, 0.04, 0.04, 0.04, 0.04, 0.04]
    twin = gossip(topology.weights, lambda x: x - points(topology), points(topology, 1), rates)

    np.testing.assert_allclose(build(topology, training, rounds=10).run(10), twin, **close)


@laws
@given(topologies(weights=DOUBLY_STOCHASTIC), st.sampled_from(ORDERS), st.integers(0, 99))
def test_the_mean_moves_by_the_mean_gradient(topology, order, seed):
    path = build(topology, sgd(0.3), seed, mixer=in_order(order)).run(5)
    gradients = path - points(topology, seed)

    np.testing.assert_allclose(path[1:].mean(1), path[:-1].mean(1) - 0.3 * gradients[:-1].mean(1), **close)


@pytest.mark.slow
def test_row_stochastic_weights_agree_on_the_degree_weighted_mean():
    """Without a gradient, W = (A + I) / (deg + 1) has the left eigenvector deg + 1, which is not the plain mean."""
    topology = Topology.build("florentine", weights="row_stochastic")
    start, share = points(topology, 1), topology.degrees + 1.0
    final = build(topology, sgd(0.1), curvature=np.zeros(15)).run(120)[-1]

    np.testing.assert_allclose(final, np.tile(share @ start / share.sum(), (15, 1)), atol=5e-3)
    assert np.abs(final - start.mean(0)).max() > 0.05


@laws
@given(topologies(weights=DOUBLY_STOCHASTIC), st.integers(0, 99))
def test_without_a_gradient_every_round_contracts_by_the_spectral_gap(topology, seed):
    path = build(topology, sgd(0.1), seed, curvature=np.zeros(topology.num_nodes)).run(5)
    spread = np.linalg.norm(path - path.mean(1, keepdims=True), axis=(1, 2))

    assert (spread[1:] <= (1 - spectral_gap(topology.weights)) * spread[:-1] + 1e-12).all()


@pytest.mark.slow
@pytest.mark.parametrize("order", first(ORDERS))
def test_a_ring_of_16_forgets_disagreement_at_its_second_eigenvalue(order):
    # (1 + 2 cos(2 pi / 16)) / 3 = 0.94925
    topology = Topology.build("ring", 16)
    path = build(topology, sgd(0.1), curvature=np.zeros(16), mixer=in_order(order)).run(60)
    spread = np.linalg.norm(path - path.mean(1, keepdims=True), axis=(1, 2))

    assert spread[-1] / spread[-2] == pytest.approx((1 + 2 * cos(pi / 8)) / 3, rel=1e-6)
    assert spread[-1] / spread[-2] == pytest.approx(0.94925, abs=5e-6)


@laws
@given(topologies(weights=("metropolis_hastings",)), st.sampled_from(ORDERS), st.data())
def test_news_travels_one_hop_a_round(topology, order, data):
    source = data.draw(st.integers(0, topology.num_nodes - 1))
    changed = points(topology, 1)
    changed[source] += 1000
    network = build(topology, sgd(0.3), mixer=in_order(order))
    other = quadratics(topology, points(topology), changed, sgd(0.3), mixer=in_order(order))
    hops = distances(topology.graph)[:, source]
    differs = (network.run(7) != other.run(7)).any(axis=2)

    for round in range(8):
        assert (differs[round] == (hops <= round)).all()


@laws
@given(topologies(), st.sampled_from(ORDERS), st.data())
def test_renaming_the_nodes_renames_the_results(topology, order, data):
    permutation = np.array(data.draw(st.permutations(range(topology.num_nodes))))
    former = np.argsort(permutation)
    training = sgd(0.2, momentum=0.7)
    path = build(topology, training, mixer=in_order(order)).run(5)
    renamed = quadratics(
        topology.permuted(permutation.tolist()),
        points(topology)[former],
        points(topology, 1)[former],
        training,
        mixer=in_order(order),
    )

    np.testing.assert_allclose(renamed.run(5)[:, permutation], path, **close)


@laws
@given(topologies(), st.randoms(use_true_random=False))
def test_the_order_in_which_messages_arrive_does_not_matter(topology, random):
    network, shuffled = (build(topology, sgd(0.2)) for _ in range(2))
    for _ in range(3):
        network.round()
        messages = shuffled.work()
        random.shuffle(messages)
        shuffled.absorb(messages)

    assert np.array_equal(network.parameters, shuffled.parameters)


def test_the_weighted_sum_runs_in_order_of_node_id():
    """To the bit, the node's own term in its place: otherwise backends could differ in the last digit."""
    topology = Topology.build("star", 5)
    network = build(topology, sgd(0.2))
    messages = network.work()
    sent = {message.sender: message.parts["parameters"] for message in messages}
    network.absorb(messages)
    for node in network.nodes:
        total = torch.zeros(5, dtype=torch.float64)
        for j in sorted(node.weights):
            total.add_(sent[j], alpha=topology.weights[node.id, j])
        assert torch.equal(node.parameters, total)


@both_orders
def test_a_node_alone_descends_the_gradient(order):
    """X_t - b = (1 - eta)^t (X_0 - b)."""
    topology = Topology.build("complete", 1)
    path = build(topology, sgd(0.2), mixer=in_order(order)).run(9)
    b = points(topology)

    np.testing.assert_allclose(path - b, 0.8 ** np.arange(10)[:, None, None] * (path[0] - b), **close)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "fixed_point"),
    [
        ("adapt_then_combine", adapt_then_combine_fixed_point),
        ("combine_then_adapt", combine_then_adapt_fixed_point),
    ],
)
@pytest.mark.parametrize("graph", first(["star", "ring", "chain"]))
def test_nodes_come_to_rest_at_the_fixed_point_around_the_mean_target(order, fixed_point, graph):
    topology = Topology.build(graph, 6)
    targets = points(topology)
    final = build(topology, sgd(0.3), mixer=in_order(order)).run(100)[-1]

    np.testing.assert_allclose(final, fixed_point(topology.weights, targets, 0.3), **close)
    np.testing.assert_allclose(final.mean(0), targets.mean(0), **close)


@pytest.mark.parametrize("graph", first(["ring", "star", "chain"]))
def test_different_data_keep_the_nodes_apart(graph):
    final = build(Topology.build(graph, 6), sgd(0.3)).run(60)[-1]

    assert np.abs(final - final.mean(0)).max() > 0.05


@pytest.mark.parametrize(
    "graph", sorted(set(GRAPHS) - {"from_file", "disjoint_union", "davis", "florentine", "karate"})
)
@both_orders
def test_the_same_data_and_start_make_every_graph_gradient_descent(graph, order):
    topology = Topology.build(graph, 8, **({"seed": 3} if "random" in graph else {}))
    n, target, start = topology.num_nodes, np.arange(3.0), np.array([5.0, -1.0, 0.5])
    network = quadratics(
        topology, np.tile(target, (n, 1)), np.tile(start, (n, 1)), sgd(0.2, momentum=0.5), mixer=in_order(order)
    )
    expected, buffer = start, np.zeros(3)
    for _ in range(10):
        buffer = 0.5 * buffer + (expected - target)
        expected = expected - 0.2 * buffer
    final = network.run(10)[-1]

    np.testing.assert_allclose(final, np.tile(expected, (n, 1)), **close)


def test_a_message_holds_one_copy_of_the_parameters_for_all_neighbours():
    network = build(Topology.build("star", 4), sgd(0.1))
    messages = [message for message in network.work() if message.sender == 0]

    assert [message.receiver for message in messages] == [1, 2, 3]
    assert len({message.parts["parameters"].data_ptr() for message in messages}) == 1
    assert messages[0].parts["parameters"].data_ptr() != network.nodes[0].parameters.data_ptr()


@both_orders
def test_mixing_leaves_messages_as_they_were_sent(order):
    network = build(Topology.build("ring", 4), sgd(0.1), mixer=in_order(order))
    messages = network.work()
    before = [message.parts["parameters"].clone() for message in messages]
    network.absorb(messages)
    network.work()

    assert all((m.parts["parameters"] == b).all() for m, b in zip(messages, before, strict=True))


def test_a_node_sends_to_its_neighbours_and_not_to_itself():
    topology = Topology.build("exponential", 6)
    network = build(topology, sgd(0.1))

    assert [(message.sender, message.receiver) for message in network.work()] == topology.edges()
