"""What a node is restored from, and what a method says of itself where it says nothing."""

import pytest
import torch
from reference.experiments import small

from simulator import run
from simulator.core.errors import RunError
from simulator.core.method import Method
from simulator.core.registry import PartSettings
from simulator.runs.build import Simulation


@pytest.fixture
def node():
    (made,) = Simulation.of(small("training.optimizer.momentum=0.9")).blueprint.nodes([1])
    return made


def test_a_node_is_restored_from_its_own_state(node):
    state = node.state_dict()
    node.parameters.add_(1)
    node.momentum.add_(1)
    node.load_state_dict(state)

    assert torch.equal(node.parameters, state["parameters"])
    assert torch.equal(node.momentum, state["momentum"])


def test_a_state_of_another_data_type_is_refused_and_not_rounded(node):
    other = torch.float32 if node.parameters.dtype == torch.float64 else torch.float64
    state = node.state_dict() | {"parameters": node.parameters.to(other)}
    before = node.parameters.clone()

    with pytest.raises(ValueError, match=f"{other} parameters, where this model has .*{node.parameters.dtype}"):
        node.load_state_dict(state)
    assert torch.equal(node.parameters, before)


def test_a_state_of_another_size_is_refused(node):
    with pytest.raises(ValueError, match="parameters, where this model has"):
        node.load_state_dict(node.state_dict() | {"parameters": node.parameters[:-1]})


def test_a_method_that_says_nothing_changes_nothing(node):
    config, silent = PartSettings(name="silent"), Method(PartSettings(name="silent"))

    traits = Method.traits(config)
    assert not traits.needs
    assert not traits.changes_steps
    assert not traits.may_stop
    assert not traits.keeps_apart
    assert not list(Method.check(config, None))
    assert not list(Method.check_network(config, None))
    assert not Method.sections(config, None)
    assert Method.labels_told(config, {}, 0, 10) is None
    assert silent.input_transform(0) is None
    assert silent.mixes_with(0, 1)
    assert silent.variant(node) is None
    assert not silent.measure(node)
    assert not silent.state_dict()


class Own(Method):
    class Config(PartSettings):
        name: str = "own"


@pytest.mark.parametrize(("hook", "kind"), [("outgoing", "Message"), ("incoming", "Message"), ("measure", "Mapping")])
def test_a_method_that_forgets_to_return_something_ends_the_run(hook, kind, register, tmp_path):
    forgetful = type("Forgetful", (Own,), {hook: lambda self, *given: None})
    register("methods", "own", forgetful)
    with pytest.raises(RunError, match=rf"(?s){hook} of own returns NoneType, at node 0 in round.*Return a {kind}"):
        run(small("rounds=1", "evaluate.every=1", methods=["own"]), tmp_path)


class WritesLate(Own):
    """Remembers what the node was sent, and works on it once it has been mixed."""

    def incoming(self, node, message):
        self.message = message
        return message

    def after_mixing(self, node):
        self.message.parts["parameters"].zero_()


def test_a_method_that_writes_to_what_was_sent_ends_the_run(register, tmp_path):
    register("methods", "own", WritesLate)
    with pytest.raises(RunError, match="what node 0 was sent in round 1 has been written to"):
        run(small("rounds=1", "evaluate.every=1", methods=["own"]), tmp_path)
