"""One flat vector behind a module: views, gradients and memory layout, against the plain module."""

import pytest
import torch
from reference.network import random_data, seeded
from torch import nn
from torch.nn.functional import cross_entropy

from simulator.core.flat_module import EVALUATION_BATCH, FlatModule
from simulator.core.samples import Samples
from simulator.models.resnet import ResNet20
from simulator.models.small import CNN, MLP
from simulator.testing.network import of_images

NETWORKS = {
    "mlp": lambda: MLP(MLP.Config()).build(*of_images((8, 8, 1), 3)),
    "cnn": lambda: CNN(CNN.Config(width=4)).build(*of_images((8, 8, 1), 3)),
    "resnet20": lambda: ResNet20(ResNet20.Config()).build(*of_images((8, 8, 1), 3)),
}
networks = pytest.mark.parametrize("build", [seeded(build) for build in NETWORKS.values()], ids=list(NETWORKS))
DATA = random_data(samples=12)
IMAGES = DATA.preparation(DATA.train.inputs_at(torch.arange(12)), torch.float64)
LABELS = DATA.train.targets_at(torch.arange(12))


@networks
def test_the_vector_holds_every_parameter_once(build):
    flat = FlatModule(build(), "fp64")

    assert flat.num_parameters == sum(p.numel() for p in build().parameters())
    for view, parameter in zip(flat.views(flat.initial), build().double().parameters(), strict=True):
        assert torch.equal(view, parameter)


@networks
def test_binding_a_vector_shares_its_memory(build):
    flat = FlatModule(build(), "fp64")
    other = torch.randn(flat.num_parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    flat.bind(other)
    other.mul_(2)

    for parameter, view in zip(flat.module.parameters(), flat.views(other), strict=True):
        assert parameter.data_ptr() == view.data_ptr()
        assert torch.equal(parameter, view)


@networks
def test_the_gradient_is_that_of_the_plain_module(build):
    plain, flat = build().double(), FlatModule(build(), "fp64")
    cross_entropy(plain(IMAGES), LABELS).backward()
    cross_entropy(flat.module(IMAGES), LABELS).backward()

    for mine, theirs in zip(flat.views(flat.gradient), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.grad, rtol=1e-10, atol=1e-13)


@networks
def test_the_gradient_belongs_to_the_vector_bound_last(build):
    flat = FlatModule(build(), "fp64")
    flat.bind(torch.zeros(flat.num_parameters, dtype=torch.float64))
    cross_entropy(flat.module(IMAGES), LABELS).backward()
    gradients = [flat.gradient.clone()]
    flat.bind(flat.initial)
    flat.gradient.zero_()
    cross_entropy(flat.module(IMAGES), LABELS).backward()
    gradients.append(flat.gradient)
    fresh = FlatModule(build(), "fp64")
    cross_entropy(fresh.module(IMAGES), LABELS).backward()

    assert not torch.equal(*gradients)
    assert torch.equal(gradients[1], fresh.gradient)


@networks
def test_logits_equal_the_plain_module(build):
    plain, flat = build().double().eval(), FlatModule(build(), "fp64")

    torch.testing.assert_close(flat.outputs(DATA.train, DATA.preparation), plain(IMAGES), rtol=1e-10, atol=1e-13)


def test_logits_of_many_samples_come_in_the_samples_order():
    flat = FlatModule(NETWORKS["mlp"](), "fp64")
    rows = torch.arange(EVALUATION_BATCH + 9) % 12
    many = Samples(DATA.train.inputs, None, DATA.train.index[rows])

    torch.testing.assert_close(flat.outputs(many, DATA.preparation), flat.outputs(DATA.train, DATA.preparation)[rows])


def test_logits_are_taken_in_evaluation_mode_and_training_mode_comes_back():
    flat = FlatModule(nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3)))
    first, second = (flat.outputs(DATA.train, DATA.preparation) for _ in range(2))

    assert torch.equal(first, second)
    assert flat.module.training


def test_convolution_weights_lie_in_channels_last_order():
    flat = FlatModule(nn.Conv2d(3, 4, 3))

    assert flat.module.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(flat.initial[: 4 * 27], flat.module.weight.permute(0, 2, 3, 1).flatten())


def test_named_views_carry_the_modules_names():
    flat = FlatModule(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
    named = flat.named_views(flat.initial)

    assert list(named) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert named["2.weight"].shape == (1, 3)
    assert named["0.bias"].data_ptr() == flat.initial[6:].data_ptr()


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.float32), ("fp64", torch.float64)]
)
def test_precision_decides_the_type_of_parameters(precision, dtype):
    flat = FlatModule(nn.Linear(4, 2), precision)

    assert flat.initial.dtype == flat.gradient.dtype == flat.dtype == dtype


def test_bf16_runs_the_forward_pass_in_bfloat16_and_returns_float32_logits():
    flat = FlatModule(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), "bf16")
    with flat.autocast():
        assert flat.module(torch.zeros(1, 1, 8, 8)).dtype == torch.bfloat16

    assert flat.outputs(DATA.train, DATA.preparation).dtype == torch.float32
