"""D2 against its formulas and its promises, through the real node program in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.experiments import small
from reference.graphs import DOUBLY_STOCHASTIC, topologies
from reference.marks import first
from reference.network import quadratics, sgd
from reference.twins import adapt_then_combine_fixed_point, d2, exact_diffusion

from methods.d2 import D2
from simulator.core.errors import InputError
from topologies import Topology, build_schedule, lambda_min

close = {"rtol": 1e-12, "atol": 1e-12}
TORUS = {"graph": "torus", "nodes": 16}
HYPERCUBE = {"graph": "hypercube", "nodes": 16}
DAVIS = {"graph": "davis"}
EVEN_RING = {"graph": "ring", "nodes": 16}


def points(topology, seed=0):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, 5))


def correcting(**config):
    return lambda node: [D2(D2.Config(**config))]


def build(topology, training, **options):
    """Quadratics with random targets (seed 0) and starting points (seed 1)."""
    options = {"start": points(topology, 1), "methods": correcting(), **options}
    return quadratics(topology, points(topology), training=training, **options)


def disagreement(models):
    return np.linalg.norm(models - models.mean(axis=-2, keepdims=True), axis=(-2, -1))


@settings(max_examples=15)
@given(topologies(weights=DOUBLY_STOCHASTIC), st.floats(0, 1), st.integers(1, 3), st.sampled_from([0.0, 0.5, 0.9]))
def test_trajectory_is_that_of_the_matrix_formula_while_the_rate_changes(topology, strength, steps, momentum):
    """During warm-up and after a milestone, the last update counts with the rate that it was made with."""
    curvature = np.linspace(0.5, 2, topology.num_nodes)
    schedule = {"warmup": 3, "milestones": [0.7]}
    training = sgd(0.3, local_steps=steps, momentum=momentum, schedule=schedule)
    network = build(topology, training, methods=correcting(strength=strength), curvature=curvature, rounds=6)
    path = d2(
        topology.weights,
        lambda x: curvature[:, None] * (x - points(topology)),
        points(topology, 1),
        [0.1, 0.2, 0.3, 0.3, 0.3, 0.03],
        strength=strength,
        local_steps=steps,
        momentum=momentum,
    )

    np.testing.assert_allclose(network.run(6), path, **close)


@pytest.mark.slow
@settings(max_examples=15)
@given(topologies(weights=["metropolis_hastings"]))
def test_with_lazy_weights_it_is_exact_diffusion(topology):
    lazy = Topology.from_networkx(topology.graph, "lazy")
    path = exact_diffusion(topology.weights, lambda x: x - points(topology), points(topology, 1), [0.2] * 8)

    np.testing.assert_allclose(build(lazy, sgd(0.2)).run(8), path, **close)


@pytest.mark.parametrize(
    ("graph", "nodes", "rounds"), first([("ring", 8, 115), ("star", 5, 115), ("hypercube", 16, 70)])
)
def test_nodes_with_different_targets_agree_on_their_mean_where_plain_gossip_stays_apart(graph, nodes, rounds):
    topology = Topology.build(graph, nodes, "lazy")
    mean = np.tile(points(topology).mean(0), (nodes, 1))
    apart = adapt_then_combine_fixed_point(topology.weights, points(topology), 0.5)
    corrected = build(topology, sgd(0.5), start=apart)
    plain = build(topology, sgd(0.5), start=apart, methods=lambda node: [])

    np.testing.assert_allclose(corrected.run(rounds)[-1], mean, **close)
    np.testing.assert_allclose(plain.run(3)[-1], apart, **close)
    assert np.abs(apart - mean).max() > 0.1


@pytest.mark.slow
def test_a_change_of_rate_leaves_the_mean_of_the_models_on_the_path_of_the_mean_gradient():
    topology, curvature = Topology.build("ring", 5), np.linspace(0.5, 2, 5)
    rates = [0.4 * (t + 1) / 5 for t in range(5)] + [0.4] * 95 + [0.2] * 100
    path = build(
        topology, sgd(0.4, schedule={"warmup": 5, "milestones": [0.5], "gamma": 0.5}), curvature=curvature, rounds=200
    ).run(200)
    minimum = np.average(points(topology), axis=0, weights=curvature)
    for before, after, eta in zip(path, path[1:], rates, strict=False):
        gradient = curvature[:, None] * (before - points(topology))
        np.testing.assert_allclose(after.mean(0), before.mean(0) - eta * gradient.mean(0), **close)
    np.testing.assert_allclose(path[-1], np.tile(minimum, (5, 1)), **close)


@pytest.mark.parametrize("strength", first([0.4, 0.9]))
def test_strength_scales_the_rate_that_decides_how_far_apart_nodes_settle(strength):
    topology = Topology.build("ring", 5, "lazy")
    network = build(topology, sgd(0.5), methods=correcting(strength=strength))
    settled = adapt_then_combine_fixed_point(topology.weights, points(topology), (1 - strength) * 0.5)

    np.testing.assert_allclose(network.run(100)[-1], settled, **close)


@pytest.mark.parametrize("same_start", [True, False])
def test_on_a_complete_graph_every_node_is_centralized_gradient_descent(same_start):
    """X1 = mean(X0 - eta G0); from there all models are equal, and the corrections sum to 0."""
    topology, curvature = Topology.build("complete", 6), np.linspace(0.5, 2, 6)
    start = np.tile(points(topology, 1)[0], (6, 1)) if same_start else points(topology, 1)
    path = build(topology, sgd(0.2), start=start, curvature=curvature).run(8)
    expected = (start - 0.2 * curvature[:, None] * (start - points(topology))).mean(0)
    for models in path[1:]:
        np.testing.assert_allclose(models, np.tile(expected, (6, 1)), **close)
        expected = expected - 0.2 * (curvature[:, None] * (expected - points(topology))).mean(0)


@pytest.mark.slow
@pytest.mark.parametrize("graph", first([TORUS, DAVIS]), ids=lambda graph: graph["graph"])
def test_where_it_is_refused_nodes_drift_apart_at_the_predicted_pace(graph):
    """Along an eigenvector, with q = 1 - eta: z^2 - lambda (1 + q) z + lambda q = 0, at lambda_min a root below -1."""
    topology, eta = Topology.build(**graph), 0.1
    smallest = lambda_min(topology.weights)
    growth = np.abs(np.roots([1, -smallest * (2 - eta), smallest * (1 - eta)])).max()
    apart = disagreement(build(topology, sgd(eta)).run(45))

    assert growth > 1.1
    assert apart[-1] / apart[-2] == pytest.approx(growth, rel=1e-3)
    assert refusal(topology=graph) == f"{smallest:.4f}"


def test_a_hypercube_of_16_is_the_same_graph_as_a_torus_of_4_by_4_and_refused():
    assert refusal(topology=HYPERCUBE) == "-0.6000"


@pytest.mark.slow
def test_with_lazy_weights_it_converges_there():
    topology = Topology.build(**TORUS, weights="lazy")

    assert disagreement(build(topology, sgd(0.3)).run(60)[-1]) < 1e-6
    small(methods=[{"name": "d2"}], topology={**TORUS, "weights": "lazy"})


def refusal(**changes):
    """The smallest eigenvalue that the refusal names."""
    (problem,) = problems(**changes)
    assert problem.where == "methods[0]"
    assert "weights: lazy" in problem.advice
    return problem.what.split("mixing matrix is ")[1].split(",")[0]


def problems(strength=1.0, **changes):
    with pytest.raises(InputError) as caught:
        small(methods=[{"name": "d2", "strength": strength}], **changes)
    return caught.value.problems


def test_an_even_ring_lies_on_the_bound_and_is_refused():
    assert refusal(topology=EVEN_RING) == "-0.3333"


def test_a_rate_of_the_mixer_lifts_the_eigenvalues():
    """1 - r + r lambda: -0.6 becomes 0.2 at r = 1/2 (lazy weights) and -0.44 at r = 0.9."""
    small(methods=[{"name": "d2"}], topology=TORUS, mixer={"name": "gossip", "rate": 0.5})
    assert refusal(topology=TORUS, mixer={"name": "gossip", "rate": 0.9}) == "-0.4400"


def test_an_odd_ring_is_accepted():
    small(methods=[{"name": "d2"}], topology={"graph": "ring", "nodes": 15})


@pytest.mark.slow
def test_the_bound_moves_with_the_strength():
    """lambda_min = -0.6 = -1 / (1 + 2 s) at s = 1/3: without curvature, differences grow above it and die out below."""
    topology = Topology.build(**TORUS)
    for strength, grows in ((0.25, False), (0.45, True)):
        growth = np.abs(np.roots([1, 0.6 * (1 + strength), -0.6 * strength])).max()
        network = build(topology, sgd(0.1), methods=correcting(strength=strength), curvature=np.zeros(16))
        apart = disagreement(network.run(40))
        assert apart[-1] / apart[-2] == pytest.approx(growth, rel=1e-3)
        assert (growth > 1) == grows
    small(methods=[{"name": "d2", "strength": 0.32}], topology=TORUS)
    assert refusal(strength=0.35, topology=TORUS) == "-0.6000"


@pytest.mark.parametrize(
    ("changes", "what", "advice"),
    [
        ({"mixer": {"name": "gossip", "order": "combine_then_adapt"}}, "just trained", "order: adapt_then_combine"),
        ({"topology": {"graph": "star", "nodes": 4, "weights": "row_stochastic"}}, "symmetric", "weights: lazy"),
        (
            {"topology": {"graph": "ring", "nodes": 4, "weights": "lazy", "failures": {"links": 0.1}}},
            "the same mixing matrix in every round",
            "gradient_tracking",
        ),
    ],
)
def test_what_breaks_the_recursion_is_refused(changes, what, advice):
    (problem,) = problems(**{"topology": {"graph": "ring", "nodes": 4, "weights": "lazy"}, **changes})

    assert problem.where == "methods[0]"
    assert what in problem.what
    assert advice in problem.advice


def test_changing_links_are_refused_for_it_can_diverge_on_them():
    topology = Topology.build("complete", 8)
    schedule = build_schedule("one_peer_exponential", topology)
    network = build(topology, sgd(0.1))
    for round in range(60):
        links = schedule.at(round)
        for node in network.nodes:
            node.weights, node.receivers = links.row(node.id), links.out_neighbours(node.id)
        network.round()

    assert disagreement(network.parameters) > 1e3


def test_nothing_but_parameters_is_sent():
    messages = build(Topology.build("ring", 4), sgd(0.1)).work()

    assert {tuple(message.parts) for message in messages} == {("parameters",)}


def test_the_correction_survives_saving_and_loading():
    topology = Topology.build("star", 4, "lazy")
    straight, stopped, resumed = (build(topology, sgd(0.2, momentum=0.5)) for _ in range(3))
    path = straight.run(6)
    stopped.run(3)
    resumed.load(stopped.states())

    assert np.array_equal(resumed.run(3), path[3:])
    assert torch.equal(resumed.nodes[2].methods[-1].correction, straight.nodes[2].methods[-1].correction)
