"""Nodes that train otherwise than the rest: each by its own settings, and everybody else as before."""

import pytest
import torch
from reference.experiments import nodes_of, results, simulate, small

from simulator import load_experiment, run
from simulator.core.errors import InputError
from simulator.core.method import Method
from simulator.core.observer import Observer
from simulator.core.training import TrainingSettings

BASE = {"batch_size": 16, "precision": "fp64", "optimizer": {"lr": 0.3, "weight_decay": 0.01}}
OWN = {"batch_size": 8, "local_steps": 3, "lr": 0.05}


class Speeds(Observer):
    def __init__(self):
        self.node_steps = []

    def evaluated(self, round, metrics, speed):
        self.node_steps.append(speed.node_steps)


def first_messages(path, **changes):
    """Sender to the parameters it sent in the first round."""
    sent = {}

    class Keep(Method):
        def outgoing(self, node, message):
            sent[node.id] = message.parts["parameters"]
            return message

    simulate(small(rounds=1, **changes), path, lambda node: node.methods.append(Keep(None)))
    return sent


def problems(*overrides, **changes):
    with pytest.raises(InputError) as caught:
        small(*overrides, **changes)
    return {problem.where: problem for problem in caught.value.problems}


def test_settings_of_one_node_are_the_common_ones_but_for_its_own():
    common = TrainingSettings(local_steps=2, optimizer={"lr": 0.1, "momentum": 0.9}, nodes={1: {"lr": 0.5}})

    assert common.of(0) == TrainingSettings(local_steps=2, optimizer={"lr": 0.1, "momentum": 0.9})
    assert common.of(1) == TrainingSettings(local_steps=2, optimizer={"lr": 0.5, "momentum": 0.9})


def test_every_node_holds_its_own(tmp_path):
    nodes = nodes_of(small(training={**BASE, "nodes": {2: OWN}}))
    held = [(node.training.batch_size, node.training.local_steps, node.training.optimizer.lr) for node in nodes]

    assert held == [(16, 1, 0.3), (16, 1, 0.3), (8, 3, 0.05), (16, 1, 0.3)]


def test_saying_what_holds_anyway_changes_nothing(tmp_path):
    plain = run(small(training=BASE), tmp_path / "plain")
    said = run(small(training={**BASE, "nodes": {1: {"batch_size": 16, "lr": 0.3}, 3: {}}}), tmp_path / "said")

    assert results(plain.path) == results(said.path)


def test_a_node_trains_as_it_would_if_all_did_as_it_does(tmp_path):
    """What is sent in the first round depends on the sender alone."""
    like_it = {**BASE, "batch_size": 8, "local_steps": 3, "optimizer": {"lr": 0.05, "weight_decay": 0.01}}
    mixed = first_messages(tmp_path / "mixed", training={**BASE, "nodes": {2: OWN}})
    common = first_messages(tmp_path / "common", training=BASE)
    own = first_messages(tmp_path / "own", training=like_it)

    for node in range(4):
        assert torch.equal(mixed[node], (own if node == 2 else common)[node])
    assert not torch.equal(own[2], common[2])


def test_the_schedule_multiplies_each_nodes_rate(tmp_path):
    schedule = {"milestones": [0.5], "gamma": 0.1}
    experiment = small(training={**BASE, "schedule": schedule, "nodes": {2: OWN}})
    nodes = simulate(experiment, tmp_path, lambda node: None)

    assert [node.learning_rate for node in nodes] == pytest.approx([0.03, 0.03, 0.005, 0.03])


def test_node_steps_are_counted_as_taken(tmp_path):
    """A round of 1 + 1 + 3 + 1 steps; in the fourth, node 2 is away."""
    topology = {"graph": "ring", "nodes": 4, "failures": {"absences": [[2, 4, 4]]}}
    speeds = Speeds()
    run(small(topology=topology, training={**BASE, "nodes": {2: OWN}}), tmp_path, [speeds])

    assert speeds.node_steps == [0, 12, 9, 12]


def test_quasi_global_momentum_divides_by_each_nodes_rate_and_steps(tmp_path):
    """After one round m = (1 - mu) (x before - x after) / (eta H)."""
    methods = [{"name": "quasi_global_momentum", "mu": 0.8}]
    experiment = small(rounds=1, methods=methods, training={**BASE, "nodes": {2: OWN}})
    start = nodes_of(experiment)[0].parameters.clone()
    nodes = run(experiment, tmp_path).nodes

    for node, scale in zip(nodes, [0.3, 0.3, 0.05 * 3, 0.3], strict=True):
        torch.testing.assert_close(node.methods[0].buffer, 0.2 / scale * (start - node.parameters))


class TestMistakes:
    def test_nodes_that_there_are_not_are_named(self):
        found = problems(training={**BASE, "nodes": {1: {}, 4: {}, 99: {"lr": 1.0}}})

        assert set(found) == {"training.nodes.4", "training.nodes.99"}
        assert found["training.nodes.99"].advice == "Count from 0 to 3."

    @pytest.mark.parametrize(
        ("nodes", "where"),
        [
            ({2: {"lr": 0}}, "training.nodes.2.lr"),
            ({2: {"local_steps": 0}}, "training.nodes.2.local_steps"),
            ({2: {"batch_size": 1.5}}, "training.nodes.2.batch_size"),
            ({2: {"learning_rate": 1}}, "training.nodes.2.learning_rate"),
            ({"two": {}}, "training.nodes.two"),
            ({-1: {}}, "training.nodes.-1"),
        ],
    )
    def test_are_named_where_they_stand(self, nodes, where):
        assert where in problems(training={**BASE, "nodes": nodes})

    def test_have_a_line_number(self, tmp_path):
        file = tmp_path / "experiment.yaml"
        file.write_text(small().to_yaml().replace("  nodes: {}\n", "  nodes:\n    7: {lr: 0.1}\n"))
        with pytest.raises(InputError, match=r"experiment.yaml:\d+: training.nodes.7: there is no node 7"):
            load_experiment(file)


def test_an_override_changes_one_setting_of_a_node_and_keeps_the_others():
    experiment = small("training.nodes.2.lr=0.5", "training.nodes.1={lr: 1}", training={**BASE, "nodes": {2: OWN}})

    assert experiment.training.of(2).optimizer.lr == 0.5
    assert experiment.training.of(2).local_steps == 3
    assert experiment.training.of(1).optimizer.lr == 1.0


def test_the_resolved_experiment_is_the_same_again():
    experiment = small(training={**BASE, "nodes": {2: OWN}})

    assert load_experiment(experiment.to_dict()) == experiment
