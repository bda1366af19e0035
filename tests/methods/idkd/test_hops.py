"""Labels that travel several hops, and exchanges that are cut through."""

from collections import Counter
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from reference.distillation import network
from reference.experiments import Posted, results, simulate, small
from reference.marks import first
from reference.twins import merged_labels

from methods.idkd.wire import LABELS, ORIGINS, POSITIONS, split
from simulator import resume, run
from simulator.core.message import Message
from topologies import Topology, diameter

GRAPHS = {
    "ring": Topology.build("ring", 7),
    "complete": Topology.build("complete", 5),
    "torus": Topology.build("torus", 9, rows=3),
    "star": Topology.build("star", 5),
    "chain": Topology.build("chain", 6),
}


def flooded(topology, hops, **config):
    """A network after one exchange of ``hops`` hops, what each node labelled, and the messages round by round."""
    net = network(topology=topology, **{"threshold": 0.42, "hops": hops, **config})
    rounds = [net.round() for _ in range(hops)]
    made = {}
    for message in rounds[0]:
        made |= split(message.parts, message.sender)
    return net, made, rounds


def ball(topology, node, hops):
    return sorted(nx.single_source_shortest_path_length(topology.graph.to_undirected(), node, cutoff=hops))


@pytest.mark.parametrize("hops", first([3, 1, 2, 4], by_default=2))
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_node_trains_on_the_true_mean_over_all_nodes_in_reach(graph, hops):
    """On graphs with cycles too, where labels come back and come by several ways."""
    topology = GRAPHS[graph]
    net, made, _ = flooded(topology, hops)
    assert made
    for node in net.nodes:
        tables = [made[j] for j in ball(topology, node.id, hops) if j in made]
        expected = merged_labels([(table[POSITIONS].numpy(), table[LABELS].numpy()) for table in tables])
        assert node.training_set.public_positions.tolist() == list(expected)
        for row, label in zip(node.training_set.public_targets.numpy(), expected.values(), strict=True):
            np.testing.assert_allclose(row, label, rtol=1e-12)


@pytest.mark.parametrize("graph", GRAPHS)
def test_as_many_hops_as_the_diameter_distil_the_ensemble(graph):
    topology = GRAPHS[graph]
    net, made, _ = flooded(topology, diameter(topology.graph), threshold="none")
    mean = torch.stack([table[LABELS].double() for table in made.values()]).mean(0)

    assert len(made) == topology.num_nodes
    for node in net.nodes:
        assert torch.equal(node.training_set.public_targets, net.nodes[0].training_set.public_targets)
        torch.testing.assert_close(node.training_set.public_targets, mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("graph", GRAPHS)
def test_no_table_crosses_a_link_twice_in_one_direction_or_goes_back_where_it_came_from(graph):
    _, _, rounds = flooded(GRAPHS[graph], 5)
    sent = [{(origin, m.sender, m.receiver) for m in r for origin in split(m.parts, m.sender)} for r in rounds]
    crossings = Counter(crossing for crossed in sent for crossing in crossed)

    assert max(crossings.values()) == 1
    for before, after in pairwise(sent):
        assert not after & {(origin, receiver, sender) for origin, sender, receiver in before}


def test_nothing_is_sent_once_everything_is_everywhere():
    _, _, rounds = flooded(GRAPHS["ring"], 6)

    assert all(LABELS in m.parts for r in rounds[:3] for m in r)
    assert not any(LABELS in m.parts for r in rounds[4:] for m in r)  # two labels met in round 3


def test_only_forwarded_tables_name_their_maker():
    _, _, (first, second, *_) = flooded(GRAPHS["ring"], 3)

    assert not any(ORIGINS in m.parts for m in first)
    assert all(ORIGINS in m.parts for m in second if LABELS in m.parts)


def test_the_training_set_changes_at_the_end_of_the_last_hop():
    net = network(topology=GRAPHS["ring"], threshold="none", first_round=2, hops=3, every=4)
    sizes = []
    for _ in range(9):
        net.round()
        sizes.append(len(net.nodes[0].training_set.public_positions))

    assert sizes == [0, 0, 0, *[20] * 6]
    assert [kept.round for name, kept in net.nodes[0].artifacts if name == "idkd"] == [4, 8]


@pytest.mark.parametrize("merge", ["average", "confidence", "official"])
@pytest.mark.parametrize("form", [{}, {"top_k": 2, "label_dtype": "float16"}])
def test_what_was_forwarded_means_what_its_maker_meant(merge, form):
    """With as many hops as the diameter a ring is as good as a complete graph, whatever the code."""
    wide, direct = (
        flooded(Topology.build(graph, 5), hops, merge=merge, threshold=-1.0, **form)[0]
        for graph, hops in (("ring", 2), ("complete", 2))
    )
    # Parameters differ from the second round on, and labels are made before.
    for node, other in zip(wide.nodes, direct.nodes, strict=True):
        assert torch.equal(node.training_set.public_targets, other.training_set.public_targets)


@pytest.mark.parametrize("stop", first([3, 5, 2, 4], by_default=2))
def test_stopped_in_the_middle_of_an_exchange_and_resumed_is_as_never_stopped(tmp_path, stop):
    method = {"name": "idkd", "first_round": 2, "every": 4, "hops": 4, "threshold": 0.3, "merge": "official"}
    experiment = small(rounds=5, methods=[method], checkpoint={"every": 1, "keep": "all"})
    done = run(experiment, tmp_path)
    before = results(done.path)
    resume(done.path, round=stop)

    assert results(done.path) == before


def made_in(messages, round):
    """Who made which labels: float64 [M, classes] by node."""
    own = (m for m in messages if m.round == round and LABELS in m.parts and ORIGINS not in m.parts)
    return {m.sender: m.parts[LABELS].double() for m in own}


def with_node_1_away(path, round, **config):
    """Nodes of a run of four rounds on a ring, in which node 1 misses one; and all messages."""
    seen = Posted()
    topology = {"graph": "ring", "nodes": 4, "failures": {"absences": [[1, round, round]]}}
    method = {"name": "idkd", "first_round": 1, "hops": 2, "threshold": "none", **config}
    return simulate(small(rounds=4, topology=topology, methods=[method]), path, seen.watch), seen.all


class TestAbsence:
    def test_a_node_that_misses_the_end_starts_afresh(self, tmp_path):
        nodes, messages = with_node_1_away(tmp_path, 2, every=2)
        made = made_in(messages, 3)

        assert sorted(made) == [0, 1, 2, 3]
        mean = torch.stack([made[node] for node in range(4)]).mean(0)
        torch.testing.assert_close(nodes[1].training_set.public_targets, mean, rtol=1e-12, atol=0)

    def test_a_node_that_comes_late_learns_what_is_still_passed_on(self, tmp_path):
        """Its neighbours sent it their own labels when it was away; on the second hop they tell it of node 3 alone."""
        nodes, messages = with_node_1_away(tmp_path, 1)
        made = made_in(messages, 1)

        assert sorted(made) == [0, 2, 3]
        torch.testing.assert_close(nodes[1].training_set.public_targets, made[3], rtol=1e-12, atol=0)

    def test_lost_labels_are_missed_and_nothing_else(self):
        net = network(threshold="none")
        messages = net.work()
        lost = [m for m in messages if (m.sender, m.receiver) != (0, 1)]
        empty = [Message(0, 1, 0, {"parameters": messages[0].parts["parameters"]})]
        net.absorb(lost + empty)
        labels = {m.sender: m.parts[LABELS].double() for m in messages}

        mean = (labels[1] + labels[2]) / 2
        torch.testing.assert_close(net.nodes[1].training_set.public_targets, mean, rtol=1e-12, atol=0)


def test_one_node_alone_teaches_itself():
    """The centralized baseline: one node with all the data."""
    net = network(topology=Topology.build("complete", 1), threshold="none", hops=2)
    assert net.round() == []
    net.round()

    assert net.nodes[0].training_set.public_positions.tolist() == list(range(20))
