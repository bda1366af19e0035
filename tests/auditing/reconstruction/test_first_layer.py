"""Samples from the first layer's gradient: found to the last digit, certified, and never falsely."""

import pytest
import torch
from reference.inverted import batch, mlp, scene
from torch import nn

from auditing.reconstruction.first_layer import first_layer, sample_layer
from simulator.core.flat_module import FlatModule


def correct(found, true):
    """How many of the certified samples are true ones, and how many of the true ones were found."""
    apart = torch.cdist(found.inputs.flatten(1), true) / true.norm(dim=1)
    near = apart < 1e-6
    return int(near.any(1).sum()), int(near.any(0).sum())


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_one_sample_is_found_whatever_the_number_of_steps_and_the_momentum(settings):
    one = batch(0, 1, classes=5, inputs=20)
    found = first_layer(scene(mlp(0, 20, 64, 5), [one] * 10, **settings))
    assert (found.inputs - one[0]).abs().max() < 1e-12
    assert not found.certified.any()


def test_a_single_step_on_a_single_sample_is_certified_with_its_label():
    one = batch(1, 1)
    found = first_layer(scene(mlp(1), [one]))
    assert found.certified.tolist() == [True]
    assert found.labels.tolist() == one[1].tolist()


def test_weight_decay_is_taken_out_of_a_step():
    one = batch(2, 1, inputs=20)
    found = first_layer(scene(mlp(2, 20, 64), [one], weight_decay=5e-4))
    assert found.certified.all()
    assert (found.inputs - one[0]).abs().max() < 1e-9


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize(("size", "least"), [(2, 2), (4, 4), (8, 5)])
def test_small_batches_are_found_and_certified(classes, size, least):
    inputs, labels = batch(size, size, classes)
    found = first_layer(scene(mlp(3, classes=classes), [(inputs, labels)]))
    right, of = correct(found, inputs)
    assert found.certified.all()
    assert (right, of >= least) == (len(found.inputs), True)
    assert len(found.inputs) == of  # each once


@pytest.mark.parametrize("classes", [2, 10])
def test_of_a_larger_batch_nothing_is_certified_falsely(classes):
    inputs, labels = batch(16, 16, classes)
    found = first_layer(scene(mlp(4, classes=classes), [(inputs, labels)]))
    assert len(found.inputs) <= 2  # by the formula .01 of 16
    assert correct(found, inputs)[0] == found.certified.sum()


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("classes", [2, 10])
def test_models_rounded_to_single_precision_give_no_false_certificate(size, classes):
    inputs, labels = batch(20 + size, size, classes)
    found = first_layer(scene(mlp(5, classes=classes), [(inputs, labels)], dtype=torch.float32))
    near = torch.cdist(found.inputs.flatten(1), inputs) / inputs.norm(dim=1)
    assert (near[found.certified].min(1).values < 0.02).all()
    assert size > 4 or found.certified.any()


def test_a_gradient_of_zero_holds_nothing():
    network = mlp(6)
    there = scene(network, [batch(6, 1)])
    there.gradient.total.zero_()
    found = first_layer(there)
    assert len(found.inputs) == 0
    assert found.limit == "the first layer's gradient is 0"


def test_what_finds_nothing_says_what_it_could_not_look_for():
    batches = [batch(seed, 4) for seed in range(3)]
    assert first_layer(scene(mlp(6), batches)).limit.startswith("there were 3 steps")
    assert first_layer(scene(mlp(6), batches[:1])).limit == ""
    there = scene(mlp(6), batches[:1])
    there.gradient.rounding[:] = 1
    assert first_layer(there).limit == "rounding hides the gradient of the first layer"


def test_only_a_layer_with_a_bias_that_sees_the_sample_itself_will_do():
    inputs = torch.randn(3, 8)
    without = FlatModule(nn.Sequential(nn.Linear(8, 4, bias=False)), "fp64")
    after = FlatModule(nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 4)), "fp64")
    assert sample_layer(without, inputs) is None
    assert sample_layer(after, inputs) is None
    assert sample_layer(FlatModule(nn.Sequential(nn.Linear(8, 4)), "fp64"), inputs) == "0"


def linear(classes):
    """Begins with zeros, so that its answers are the same for every sample."""
    layer = nn.Linear(20, classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return FlatModule(nn.Sequential(nn.Flatten(), layer), "fp64")


def sure(seed, classes):
    """Gives each sample one class with a probability of nearly 1."""
    network = mlp(seed, 20, 64, classes)
    network.initial[:] *= 12
    return network


@pytest.mark.parametrize(("classes", "size"), [(2, 3), (10, 11)])
def test_answers_that_are_the_same_for_every_sample_bear_out_none(classes, size):
    for seed in range(5):
        assert not first_layer(scene(linear(classes), [batch(seed, size, classes, 20)])).certified.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_that_is_sure_of_its_answers_bears_out_no_mixture(dtype):
    certified = 0
    for seed in range(20):
        inputs, labels = batch(1000 + seed, 3, 3, 20)
        found = first_layer(scene(sure(seed, 3), [(inputs, labels)], dtype=dtype))
        certified += int(found.certified.sum())
        near = torch.cdist(found.inputs[found.certified], inputs) / inputs.norm(dim=1)
        assert (near.min(1).values < 4e-3).all()
    assert certified > 10


def test_what_a_single_unit_of_rounded_models_holds_is_found_without_a_certificate():
    likely = 0
    for seed in range(10):
        inputs, labels = batch(seed, 4, inputs=20)
        found = first_layer(scene(mlp(seed, 20, 24), [(inputs, labels)], dtype=torch.float32, lr=0.03))
        if found.labels[0] >= 0:  # and not the mean of all
            likely += len(found.inputs) - int(found.certified.sum())
            assert (torch.cdist(found.inputs, inputs).min(1).values < 0.05).all()
    assert likely > 5
