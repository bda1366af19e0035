"""Links that change from round to round, links and nodes that fail: what the engine makes of them."""

import numpy as np
import pytest
import torch
from reference.experiments import METHODS, Messages, results, small

from simulator import resume, run
from simulator.core.errors import InputError

FAILING = {"graph": "ring", "nodes": 4, "failures": {"links": 0.3, "nodes": 0.2}}


def network_values(done, name):
    return {metric.round: metric.value for metric in done.metrics() if metric.name == name and metric.node is None}


def spread(nodes):
    return torch.stack([node.parameters for node in nodes]).std(dim=0).max().item()


def test_a_static_schedule_changes_nothing(tmp_path):
    plain = run(small(methods=METHODS), tmp_path / "plain")
    named = run(
        small(methods=METHODS, topology={"graph": "ring", "nodes": 4, "schedule": "static"}), tmp_path / "named"
    )
    assert results(plain.path) == results(named.path)


@pytest.mark.parametrize(("schedule", "links"), [("one_peer_exponential", 4), ("random_matching", 4)])
def test_only_the_links_of_the_round_carry_messages(tmp_path, schedule, links):
    seen = Messages()
    topology = {"graph": "complete", "nodes": 4, "schedule": schedule}
    run(small(topology=topology), tmp_path, [seen])
    for round in range(6):
        assert len([message for message in seen.all if message.round == round + 1]) == links


@pytest.mark.parametrize("schedule", ["one_peer_exponential", "base_graph"])
def test_finite_time_graphs_bring_all_nodes_together(tmp_path, schedule):
    """After one round of training alone and log2(4) = 2 rounds that learn next to nothing, all nodes are equal."""
    training = {"precision": "fp64", "optimizer": {"lr": 0.5}, "schedule": {"milestones": [0.2, 0.3], "gamma": 1e-200}}
    topology = {"graph": "complete", "nodes": 4, "schedule": schedule}
    done = run(small(topology=topology, training=training, rounds=5), tmp_path)
    assert spread(done.nodes) < 1e-12


def test_a_node_that_is_away_keeps_its_state_and_joins_again(tmp_path):
    """Node 1 is away in rounds 3 to 5: it sends nothing, hears nothing and does not move; then it takes part again."""
    seen = Messages()
    topology = {"graph": "ring", "nodes": 4, "failures": {"absences": [[1, 3, 5]]}}
    done = run(small(topology=topology, methods=METHODS, evaluate={"every": 1}), tmp_path, [seen])
    losses = {m.round: m.value for m in done.metrics() if m.node == 1 and m.name == "test/loss"}

    assert {m.round for m in seen.all if 1 in (m.sender, m.receiver)} == {1, 2, 6}
    assert losses[2] == losses[3] == losses[4] == losses[5] != losses[6]
    assert network_values(done, "network/away") == {1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 0}
    assert network_values(done, "network/links_lost") == {1: 0, 2: 0, 3: 4, 4: 4, 5: 4, 6: 0}


def test_a_node_may_join_late(tmp_path):
    topology = {"graph": "ring", "nodes": 4, "failures": {"absences": [[2, 1, 3]]}}
    done = run(small(topology=topology, evaluate={"every": 1}), tmp_path)
    accuracy = {m.round: m.value for m in done.metrics() if m.node == 2 and m.name == "test/loss"}
    assert accuracy[0] == accuracy[3] != accuracy[4]


def test_symmetric_failures_preserve_the_mean(tmp_path):
    """Nodes train in round 0 and then learn next to nothing, while links fail and node 1 is away for a while."""
    training = {"precision": "fp64", "optimizer": {"lr": 0.5}, "schedule": {"milestones": [0.05], "gamma": 1e-200}}
    means = []
    for failures in ({}, {"links": 0.3, "absences": [[1, 3, 6]]}):
        topology = {"graph": "ring", "nodes": 4, "failures": failures}
        done = run(small(topology=topology, training=training, rounds=20), tmp_path / str(len(failures)))
        means.append(torch.stack([node.parameters for node in done.nodes]).mean(dim=0).numpy())

    assert sum(network_values(done, "network/links_lost").values()) > 20
    np.testing.assert_allclose(*means, atol=1e-13)


@pytest.mark.slow
def test_failures_are_reproducible_and_survive_a_stop(tmp_path):
    settings = {
        "topology": FAILING,
        "methods": METHODS,
        "checkpoint": {"every": 3},
        "evaluate": {"every": 1},
        "seed": 1,
    }
    once = run(small(**settings), tmp_path / "once")
    again = run(small(**settings), tmp_path / "again")
    assert results(once.path) == results(again.path)
    resume(again.path, round=3)
    assert results(once.path) == results(again.path)
    assert any(network_values(once, "network/away").values())


@pytest.mark.slow
def test_workers_do_not_matter_when_links_change(tmp_path):
    one = run(small(topology=FAILING, methods=METHODS), tmp_path / "one")
    two = run(small(topology=FAILING, methods=METHODS, backend={"name": "local", "workers": 2}), tmp_path / "two")
    for left, right in zip(one.nodes, two.nodes, strict=True):
        assert torch.equal(left.parameters, right.parameters)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"schedule": "one_per_exponential"}, "topology.schedule"),
        ({"schedule": {"name": "random_regular", "degre": 3}}, "topology.degre"),
        ({"schedule": {"name": "random_regular", "seed": 3}}, "topology.schedule"),
        ({"failures": {"links": 1.0}}, "topology.failures.links"),
        ({"failures": {"nodes": -0.1}}, "topology.failures.nodes"),
        ({"failures": {"absences": [[9, 1, 2]]}}, "topology.failures.absences"),
        ({"graph": "exponential", "spanning_tree": True}, "topology.graph"),
    ],
)
def test_what_cannot_be_is_refused(settings, where):
    with pytest.raises(InputError) as caught:
        small(topology={"graph": "ring", "nodes": 4} | settings)
    assert [problem.where for problem in caught.value.problems] == [where]


def test_a_spanning_tree_keeps_all_nodes_and_no_cycle(tmp_path):
    seen = Messages()
    run(small(topology={"graph": "complete", "nodes": 4, "spanning_tree": True}, rounds=1), tmp_path, [seen])
    assert {(m.sender, m.receiver) for m in seen.all} == {(0, k) for k in (1, 2, 3)} | {(k, 0) for k in (1, 2, 3)}
