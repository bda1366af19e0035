"""The rows that a layer sees are those its weight is multiplied with, and one matrix holds them all."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.marks import MANY
from reference.network import random_data, seeded
from torch import nn

from methods.verifix.activations import Inputs, layer_inputs, layers, rows
from simulator.core.flat_module import FlatModule
from simulator.models.resnet import ResNet20
from simulator.models.small import CNN
from simulator.testing.network import of_images

CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": (3, 2), "padding": (2, 1), "dilation": (1, 2), "stride": (2, 1)},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": (4, 3), "padding": "same", "dilation": 2},
    {"kernel_size": 3, "padding": 2, "padding_mode": "circular"},
    {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    {"kernel_size": 5, "padding": "valid"},
]


@pytest.mark.parametrize("settings", CONVOLUTIONS, ids=str)
def test_a_convolution_is_its_flat_weight_times_the_unfolded_patches(settings):
    layer = seeded(lambda: nn.Conv2d(3, 4, bias=False, **settings))().double()
    images = torch.randn(5, 3, 11, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = layer(images)
    by_rows = rows(layer, images) @ layer.weight.flatten(1).T

    torch.testing.assert_close(by_rows.view(5, *out.shape[2:], 4).permute(0, 3, 1, 2), out, rtol=1e-12, atol=1e-12)


def test_a_linear_layer_sees_every_position():
    inputs = torch.randn(2, 3, 5)

    assert torch.equal(rows(nn.Linear(5, 7), inputs), inputs.view(6, 5))


@given(st.integers(1, 6), st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 100))
def test_rows_are_kept_until_they_are_more_than_their_length_and_summed_then(d, sizes, seed):
    noise = torch.Generator().manual_seed(seed)
    chunks = [torch.randn(size, d, dtype=torch.float64, generator=noise) for size in sizes]
    found, every = Inputs(chunks[0][:0]), torch.cat(chunks)
    for chunk in chunks:
        found = found.plus(chunk)

    assert found.is_gram == (len(every) > d)
    torch.testing.assert_close(found.matrix, every.T @ every if found.is_gram else every, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "forms"),
    [
        (CNN(CNN.Config(width=2)).build, {True}),
        (CNN(CNN.Config(width=5)).build, {True, False}),
        pytest.param(ResNet20(ResNet20.Config(norm="group")).build, {True}, marks=MANY),
    ],
)
def test_all_samples_count_in_whatever_batches(build, forms):
    data = random_data(samples=70, shape=(16, 16, 3))  # more than one batch
    model = FlatModule(seeded(lambda: build(*of_images((16, 16, 3), 3)))(), "fp64")
    seen = {name: [] for name, _ in layers(model.module)}
    handles = [
        layer.register_forward_pre_hook(lambda layer, inputs, name=name: seen[name].append(rows(layer, inputs[0])))
        for name, layer in layers(model.module)
    ]
    model.outputs(data.train, data.preparation)
    for handle in handles:
        handle.remove()
    found = layer_inputs(model, data.train, data.preparation)

    assert list(found) == [name for name in model.named_views(model.initial) if name in seen]
    assert {inputs.is_gram for inputs in found.values()} == forms
    for name, parts in seen.items():
        every = torch.cat(parts)
        assert len(parts) == 2
        assert found[name].is_gram == (len(every) > every.shape[1])
        expected = every.T @ every if found[name].is_gram else every
        torch.testing.assert_close(found[name].matrix, expected, rtol=1e-10, atol=1e-10)


def test_the_network_is_left_as_it_was():
    data, model = (
        random_data(),
        FlatModule(seeded(lambda: CNN(CNN.Config(width=2)).build(*of_images((8, 8, 1), 3)))(), "fp64"),
    )
    before = model.initial.clone()
    layer_inputs(model, data.train, data.preparation)

    assert model.module.training
    assert torch.equal(model.initial, before)
    assert not any(module._forward_pre_hooks for module in model.module.modules())


def test_a_layer_that_is_never_called_is_left_out():
    class Lazy(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(64, 3), nn.Linear(3, 3)

        def forward(self, images):
            return self.used(images.flatten(1))

    data = random_data()

    assert list(layer_inputs(FlatModule(Lazy(), "fp64"), data.train, data.preparation)) == ["used.weight"]
