"""Laws of RelaySum on trees, through the real node program in double precision."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.graphs import over_time
from reference.marks import MANY
from reference.network import quadratics, sgd
from reference.twins import relay_sum

from simulator.core.method import Method
from simulator.core.plan import Plan
from simulator.mixers.gossip import Gossip
from simulator.mixers.relay_sum import RelaySum
from simulator.testing import laws as conformance
from topologies import Topology, diameter, distances

laws = settings(max_examples=10)
close = {"rtol": 1e-12, "atol": 1e-12}
fills = pytest.mark.parametrize("fill", ["own", "initial"])


@st.composite
def trees(draw, max_nodes=8):
    n = draw(st.integers(1, max_nodes))
    graph = nx.empty_graph(n)
    graph.add_edges_from((node, draw(st.integers(0, node - 1))) for node in range(1, n))
    return Topology.from_networkx(graph).permuted(draw(st.permutations(range(n))))


def points(topology, seed=0, size=5):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, size))


def filled(fill):
    return lambda: RelaySum(RelaySum.Config(fill=fill))


def build(topology, training, fill="own", **options):
    start = options.pop("start", points(topology, 1))
    return quadratics(topology, points(topology, size=start.shape[1]), start, training, mixer=filled(fill), **options)


class Holds(Method):
    """Puts the same parameters in place before every round: static inputs."""

    def __init__(self, values):
        super().__init__(None)
        self._values = torch.from_numpy(values)

    def before_round(self, node):
        node.parameters.copy_(self._values)


def holding(topology, values, fill="own"):
    """A network that averages ``values`` and learns nothing."""
    flat = np.zeros(topology.num_nodes)
    return build(topology, sgd(0.1), fill, start=values, curvature=flat, methods=lambda i: [Holds(values[i])])


@laws
@given(trees(), st.sampled_from(["own", "initial"]))
def test_the_trajectory_is_that_of_delayed_models(topology, fill):
    curvature = np.random.default_rng(2).uniform(0.2, 2, topology.num_nodes)
    twin = relay_sum(
        distances(topology.graph),
        lambda x: curvature[:, None] * (x - points(topology)),
        points(topology, 1),
        0.2,
        9,
        fill=fill,
    )

    np.testing.assert_allclose(build(topology, sgd(0.2), fill, curvature=curvature).run(9), twin, **close)


@fills
def test_a_chain_of_8_is_exact_after_7_rounds_and_not_after_6(fill):
    topology = Topology.build("chain", 8)
    values = points(topology, 1)
    path = holding(topology, values, fill).run(8)
    off = np.abs(path - values.mean(0)).max(axis=(1, 2))

    assert off[6] > 1e-3
    assert off[7] < 1e-15
    assert off[8] < 1e-15


@laws
@given(trees())
def test_on_a_tree_sums_are_exact_after_its_diameter(topology):
    values = points(topology, 1)
    rounds = max(1, diameter(topology.graph))
    path = holding(topology, values).run(rounds)

    np.testing.assert_allclose(path[-1], np.tile(values.mean(0), (topology.num_nodes, 1)), atol=1e-14)


@laws
@given(trees())
def test_each_model_enters_once_and_after_as_many_rounds_as_it_is_hops_away(topology):
    """Node j holds the j-th unit vector, so n x_i says how often i has counted whom; the fill is i's own."""
    n = topology.num_nodes
    network = holding(topology, np.eye(n))
    hops = distances(topology.graph)
    for round in range(1, n + 1):
        messages = network.work()
        network.absorb(messages)
        counted = np.where(hops <= round, 1, 0) + np.diag((hops > round).sum(axis=1))
        np.testing.assert_allclose(n * network.parameters, counted, atol=1e-13)
        for message in messages:
            assert message.parts["relay_count"].item() == message.parts["parameters"].sum().item()


@pytest.mark.parametrize("graph", ["chain", pytest.param("tree", marks=MANY)])
@pytest.mark.slow
def test_different_data_do_not_keep_the_nodes_apart(graph):
    """With a constant rate all come to rest at the mean target, where gossip leaves them apart."""
    topology = Topology.build(graph, 6)
    targets = points(topology)
    final = build(topology, sgd(0.3)).run(240)[-1]
    gossip = quadratics(topology, targets, points(topology, 1), sgd(0.3), mixer=lambda: Gossip(Gossip.Config()))

    np.testing.assert_allclose(final, np.tile(targets.mean(0), (6, 1)), **close)
    assert np.abs(gossip.run(60)[-1] - targets.mean(0)).max() > 0.05


def test_a_lost_message_is_filled_and_comes_with_the_next():
    """The chain 0-1-2 loses both directions between 1 and 2 in round 2."""
    topology = Topology.build("chain", 3)
    values = np.diag([3.0, 30.0, 300.0])
    network = holding(topology, values)
    network.run(2)
    before = [(node.weights, node.receivers) for node in network.nodes]
    for node, heard in zip(network.nodes, [(0, 1), (0, 1), (2,)], strict=True):
        node.weights, node.receivers = dict.fromkeys(heard, 0.5), tuple(j for j in heard if j != node.id)
    network.round()
    lost = network.parameters
    for node, (weights, receivers) in zip(network.nodes, before, strict=True):
        node.weights, node.receivers = weights, receivers
    network.run(2)

    np.testing.assert_allclose(lost, [[1, 10, 100], [1, 20, 0], [0, 0, 300]], atol=1e-12)
    np.testing.assert_allclose(network.parameters, np.tile([1, 10, 100], (3, 1)), atol=1e-12)


def test_each_neighbour_gets_the_sum_of_the_others_and_eight_bytes():
    network = build(Topology.build("star", 4), sgd(0.1))
    network.run(2)
    messages = network.work()
    counts = {(m.sender, m.receiver): m.parts["relay_count"].item() for m in messages}

    assert counts == {(0, 1): 3, (0, 2): 3, (0, 3): 3, (1, 0): 1, (2, 0): 1, (3, 0): 1}
    assert all(m.envelope.bytes_by_part == {"parameters": 5 * 8, "relay_count": 8} for m in messages)
    assert all(m.parts["relay_count"].dtype == torch.int64 for m in messages)
    sums = [m.parts["parameters"] for m in messages if m.sender == 0]
    assert not any(torch.equal(one, other) for one, other in ((sums[0], sums[1]), (sums[1], sums[2])))


def test_sums_run_in_order_of_node_id():
    """To the bit, the node's own term in its place."""
    network = build(Topology.build("star", 5).permuted([2, 0, 1, 3, 4]), sgd(0.1))
    network.round()
    centre = network.nodes[2]
    heard = [centre.state_dict()[f"mixer/sum.{k}"] for k in (0, 1, 3, 4)]
    sent = {message.receiver: message.parts["parameters"] for message in network.work() if message.sender == 2}
    own = centre.parameters

    assert torch.equal(sent[0], heard[1] + own + heard[2] + heard[3])
    assert torch.equal(sent[4], heard[0] + heard[1] + own + heard[2])


@pytest.fixture(params=["own", "initial"])
def four(request):
    """Builds a network of four nodes on a chain that learn."""
    topology = Topology.build("chain", 4)
    return lambda: build(topology, sgd(0.3, momentum=0.5, local_steps=2), request.param)


@pytest.mark.parametrize(
    "law",
    [
        conformance.is_deterministic,
        conformance.leaves_global_generators_alone,
        conformance.does_not_depend_on_the_order_of_arrival,
        conformance.survives_saving_and_loading,
        conformance.sends_are_never_written_to,
    ],
    ids=lambda law: law.__name__,
)
def test_it_conforms_on_a_tree(law, four):
    law(four)


@fills
def test_nodes_that_agree_and_learn_nothing_stay(fill):
    topology = Topology.build("star", 5)
    path = build(topology, sgd(0.1), fill, start=np.ones((5, 5)) / 3, curvature=np.zeros(5)).run(6)

    np.testing.assert_allclose(path, 1 / 3, rtol=1e-14)


def plan(graph):
    return Plan(5, sgd(0.1), over_time(graph), RelaySum.Config())


@pytest.mark.parametrize("graph", ["chain", "star", "tree"])
def test_trees_are_accepted(graph):
    assert not list(RelaySum.check(RelaySum.Config(), plan(Topology.build(graph, 6))))


@pytest.mark.parametrize("graph", ["ring", "exponential"])
def test_other_graphs_are_refused(graph):
    (problem,) = RelaySum.check(RelaySum.Config(), plan(Topology.build(graph, 6)))

    assert f"'{graph}'" in problem.what
    assert "topology.spanning_tree: true" in problem.advice
