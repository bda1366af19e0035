"""Labels that are made once and then passed on from exchange to exchange, as in the released code."""

import networkx as nx
import numpy as np
import pytest
import torch
from reference.distillation import network, silenced
from reference.experiments import results, small
from reference.marks import first
from reference.twins import merged_labels

from methods.idkd import IDKD
from methods.idkd.report import disclosed
from methods.idkd.wire import HISTOGRAM, LABELS, POSITIONS
from simulator import resume, run
from simulator.runs.report import write_run_report
from topologies import Topology

GRAPHS = {
    "ring": Topology.build("ring", 7),
    "star": Topology.build("star", 5),
    "chain": Topology.build("chain", 6),
    "torus": Topology.build("torus", 9, rows=3),
}


def forwarding(topology, **config):
    """A network with an exchange in every round."""
    return network(topology=topology, **{"threshold": 0.42, "every": 1, "labels": "forwarded", **config})


def tables(messages):
    """What each node sent: positions [M], labels [M, classes] and, where it is told, the histogram [classes]."""
    return {
        m.sender: (
            m.parts[POSITIONS].numpy(),
            m.parts[LABELS].numpy(),
            m.parts[HISTOGRAM][0].numpy() if HISTOGRAM in m.parts else None,
        )
        for m in messages
        if LABELS in m.parts
    }


def chosen_by_histogram(sent):
    """For each position, the label of the node with most samples of the class that its label names; the first wins."""
    best = {}
    for positions, labels, histogram in sent:
        for position, label in zip(positions.tolist(), labels, strict=True):
            samples = histogram[label.argmax()]
            if position not in best or samples > best[position][0]:
                best[position] = samples, label
    return {position: label for position, (_, label) in sorted(best.items())}


@pytest.mark.parametrize("graph", GRAPHS)
def test_after_k_exchanges_a_node_trains_on_what_was_labelled_within_k_links(graph):
    topology = GRAPHS[graph]
    net = forwarding(topology)
    made = {}
    for exchange in range(1, 5):
        messages = net.round()
        made = made or {node: set(positions.tolist()) for node, (positions, *_) in tables(messages).items()}
        for node in net.nodes:
            near = nx.single_source_shortest_path_length(topology.graph.to_undirected(), node.id, cutoff=exchange)
            expected = set().union(*(made.get(other, set()) for other in near))
            assert set(node.training_set.public_positions.tolist()) == expected
    assert made


@pytest.mark.parametrize("merge", first(["official", "average"]))
@pytest.mark.parametrize("graph", GRAPHS)
def test_nodes_send_what_they_train_on_and_merge_it_again(graph, merge):
    topology = GRAPHS[graph]
    net = forwarding(topology, merge=merge)
    for exchange in range(4):
        before = [node.training_set.public_targets.clone() for node in net.nodes]
        sent = tables(net.round())
        for node in net.nodes:
            if exchange and node.id in sent:
                np.testing.assert_allclose(sent[node.id][1], before[node.id].numpy(), rtol=1e-6)
            heard = [sent[j] for j in sorted((*topology.neighbours(node.id), node.id)) if j in sent]
            expected = chosen_by_histogram(heard) if merge == "official" else merged_labels([t[:2] for t in heard])
            assert node.training_set.public_positions.tolist() == list(expected)
            for row, label in zip(node.training_set.public_targets.numpy(), expected.values(), strict=True):
                np.testing.assert_allclose(row, label, rtol=1e-6)


def test_the_model_is_asked_once():
    net = forwarding(GRAPHS["ring"], threshold="none")
    for _ in range(3):
        net.round()

    counted = [kept for kept in net.nodes[0].metrics if kept.name == "idkd/labelled"]
    assert len(counted) == 1


def test_a_node_that_has_nothing_to_pass_on_labels():
    net = forwarding(Topology.build("ring", 4), threshold=0)
    messages = net.work()
    alone = [m for m in silenced(messages, range(4)) if m.receiver == 1]
    net.absorb([m for m in messages if m.receiver != 1] + alone)
    net.nodes[1].training_set.set_public(torch.empty(0, dtype=torch.int64), torch.empty(0, 3))
    again = tables(net.work())[1]

    with net.nodes[1].using(net.module):
        expected = net.nodes[1].outputs(net.nodes[1].data.public).softmax(dim=1)
    np.testing.assert_allclose(again[1], expected.numpy(), rtol=1e-5)


@pytest.mark.parametrize("stop", first([2, 1, 3, 4]))
def test_stopped_and_resumed_is_as_never_stopped(tmp_path, stop):
    method = {"name": "idkd", "first_round": 2, "every": 1, "threshold": 0.3, "labels": "forwarded"}
    done = run(small(rounds=5, methods=[method], checkpoint={"every": 1, "keep": "all"}), tmp_path)
    before = results(done.path)
    resume(done.path, round=stop)

    assert results(done.path) == before


@pytest.mark.usefixtures("pictures")
@pytest.mark.slow
def test_the_report_says_so_and_how_far_labels_get(tmp_path):
    method = {"name": "idkd", "first_round": 2, "every": 2, "labels": "forwarded"}
    done = run(small(rounds=5, methods=[method]), tmp_path)
    text = write_run_report(done.directory).read_text()
    reach = {row[2] for row in disclosed(IDKD.Config.model_validate(method)).rows}

    assert "Labels are forwarded" in text
    assert "public samples let pass" in text  # the detectors of the first exchange
    assert reach == {"neighbours; merged with others' labels, to nodes 1 link further with every exchange"}
