"""The built-in networks: their sizes, their normalisation, and that a sample's output is its own."""

import pytest
import torch
from reference.network import seeded
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from simulator.core.errors import InputError
from simulator.core.model_registry import MODELS
from simulator.models.resnet import EvoNormS0, ResNet20
from simulator.models.small import CNN, MLP
from simulator.testing.network import of_images


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


def images(count=6, channels=1, side=8):
    return torch.randn(count, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


VARIANTS = {
    "mlp": lambda: MLP(MLP.Config(hidden=(16, 8))),
    "cnn": lambda: CNN(CNN.Config(width=4)),
    "resnet20-group": lambda: ResNet20(ResNet20.Config(norm="group")),
    "resnet20-evonorm": lambda: ResNet20(ResNet20.Config(norm="evonorm")),
}
variants = pytest.mark.parametrize("model", [make() for make in VARIANTS.values()], ids=list(VARIANTS))


def test_every_built_in_model_is_tested_here():
    elsewhere = {"multi_exit_video", "transformer_text", "torchvision", "timm", "huggingface"}
    assert {name.partition("-")[0] for name in VARIANTS} | elsewhere == set(MODELS.names())


def test_mlp_size():
    # 784 * 128 + 128 + 128 * 10 + 10
    assert size(MLP(MLP.Config()).build(*of_images((28, 28, 1), 10))) == 101_770


def test_cnn_size():
    # (9 + 1) * 16 + (16 * 9 + 1) * 32 + 32 * 7 * 7 * 10 + 10
    assert size(CNN(CNN.Config()).build(*of_images((28, 28, 1), 10))) == 20_490


@pytest.mark.parametrize("norm", ["group", "evonorm"])
def test_resnet20_size(norm):
    """272,474 for RGB and ten classes, two numbers a channel whichever the normalisation.

    Convolutions: stem 432; 6 * 2304; 4608 + 5 * 9216; 18432 + 5 * 36864; shortcuts 512 + 2048 = 270,256. Norms:
    2 * (7 * 16 + 7 * 32 + 7 * 64) = 1,568, for a stage has six in its blocks, and the stem or shortcut makes seven.
    Linear: 650.
    """
    assert (
        size(ResNet20(ResNet20.Config(norm=norm)).build(*of_images((32, 32, 3), 10)))
        == 272_474
        == 270_256 + 1_568 + 650
    )


@variants
@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 10), ((5, 7, 3), 2), ((32, 32, 3), 100)])
def test_models_fit_the_images_they_are_given(model, shape, classes):
    height, width, channels = shape

    assert model.build(*of_images(shape, classes))(torch.zeros(2, channels, height, width)).shape == (2, classes)


@variants
def test_models_hold_no_state_outside_their_parameters(model):
    assert not list(model.build(*of_images((8, 8, 1), 3)).buffers())


@variants
def test_the_initialisation_follows_torchs_seed(model):
    first, second, other = (
        seeded(lambda: model.build(*of_images((8, 8, 1), 3)), seed)().state_dict() for seed in (0, 0, 1)
    )

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@variants
def test_a_samples_output_does_not_depend_on_those_beside_it(model):
    network, batch = seeded(lambda: model.build(*of_images((8, 8, 1), 3)))().double(), images()
    changed = batch.clone()
    changed[1:] = 5 * images(6)[1:] + 1

    torch.testing.assert_close(network(batch)[0], network(changed)[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(network(batch)[0], network(batch[:1])[0], rtol=0, atol=1e-12)


@variants
def test_a_samples_gradient_does_not_depend_on_those_beside_it(model):
    network, batch = seeded(lambda: model.build(*of_images((8, 8, 1), 3)))().double(), images(3)
    labels, parameters = torch.tensor([0, 2, 1]), dict(network.named_parameters())

    def loss(values, image, label):
        return cross_entropy(functional_call(network, values, (image[None],)), label[None])

    one_by_one = vmap(grad(loss), (None, 0, 0))(parameters, batch, labels)
    cross_entropy(network(batch), labels, reduction="sum").backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(one_by_one[name].sum(0), parameter.grad, rtol=1e-9, atol=1e-11)


def test_evonorm_is_its_formula():
    """y = x sigmoid(x) / sqrt(var_group(x) + eps) gamma + beta, with 64 channels in 32 groups of two."""
    norm = EvoNormS0(64).double()
    generator = torch.Generator().manual_seed(1)
    gamma, beta = (torch.randn(64, dtype=torch.float64, generator=generator) for _ in range(2))
    norm.load_state_dict({"weight": gamma, "bias": beta})
    x = images(2, 64, 3)
    y = norm(x)

    for sample in range(2):
        for channel in (0, 1, 17, 63):
            group = x[sample, channel // 2 * 2 : channel // 2 * 2 + 2].flatten()
            variance = ((group - group.mean()) ** 2).sum() / (len(group) - 1)
            value = x[sample, channel]
            expected = value * torch.sigmoid(value) / (variance + 1e-5).sqrt() * gamma[channel] + beta[channel]
            torch.testing.assert_close(y[sample, channel], expected, rtol=1e-12, atol=1e-12)


def test_evonorm_with_fewer_than_32_channels_has_one_channel_a_group():
    x = images(1, 16, 4)
    expected = x * torch.sigmoid(x) / (x.var(dim=(2, 3), keepdim=True) + 1e-5).sqrt()

    torch.testing.assert_close(EvoNormS0(16).double()(x), expected, rtol=1e-12, atol=1e-12)


def test_evonorm_is_finite_on_a_constant_image():
    assert EvoNormS0(16)(torch.ones(1, 16, 4, 4)).isfinite().all()


def test_batch_norm_can_be_had_on_purpose_without_running_averages():
    network = ResNet20(ResNet20.Config(norm="batch", allow_batch_norm=True)).build(*of_images((8, 8, 1), 3))

    assert not list(network.buffers())
    assert size(network) == size(ResNet20(ResNet20.Config()).build(*of_images((8, 8, 1), 3)))


def test_images_too_small_for_the_cnn_are_refused():
    with pytest.raises(InputError, match="these are 3x8"):
        CNN(CNN.Config()).build(*of_images((3, 8, 1), 10))


@pytest.mark.parametrize("groups", [1, 8, 16])
def test_group_norm_has_the_groups_asked_for(groups):
    network = ResNet20(ResNet20.Config(groups=groups)).build(*of_images((8, 8, 1), 3))

    assert {m.num_groups for m in network.modules() if isinstance(m, torch.nn.GroupNorm)} == {groups}
