"""What a node is restored from, and what a method says of itself where it says nothing."""

import pytest
import torch
from reference.experiments import small

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
