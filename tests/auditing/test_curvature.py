"""Estimators of input-loss curvature beside exact Hessians, in double precision."""

import numpy as np
import pytest
import torch
from reference.marks import first
from torch import nn
from torch.nn.functional import cross_entropy

from auditing.attacks import curvature
from auditing.attacks.curvature_signals import logits, losses, point
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import SIGNALS
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.preparation import AsStored
from simulator.tasks.classification import Classification

SMOOTH = [nn.Tanh, nn.GELU, nn.SiLU]


def network(activation, seed=0, inputs=12):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(inputs, 16), activation(), nn.Linear(16, 5)
    return FlatModule(nn.Sequential(nn.Flatten(), *layers), "fp64")


def batch(samples=6, inputs=12, seed=1):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(samples, 1, 1, inputs))), torch.from_numpy(rng.integers(0, 5, samples))


def estimated(estimator, net, images, labels, rng):
    model = ProbedModel(net, AsStored(), Classification())
    if estimator in (curvature.trace, curvature.frobenius):
        return estimator(logits(model, images), point(images))
    return estimator(losses(model, images, labels), point(images), rng)


def hessians(net, images, labels):
    def hessian(x, label):
        return torch.autograd.functional.hessian(lambda x: cross_entropy(net.module(x[None]), label[None]), x)

    size = images[0].numel()
    rows = [hessian(x, y) for x, y in zip(images, labels, strict=True)]
    return torch.stack(rows).reshape(len(images), size, size).detach()


def traces(matrices):
    return matrices.diagonal(dim1=1, dim2=2).sum(1)


def many(estimator, net, images, labels, repeats=300):
    rng = np.random.default_rng(0)
    return torch.stack([estimated(estimator, net, images, labels, rng) for _ in range(repeats)]).mean(0)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.Identity])
def test_the_closed_forms_are_exact_behind_piecewise_linear_layers(activation):
    net, (images, labels) = network(activation), batch()
    exact = hessians(net, images, labels)
    torch.testing.assert_close(
        estimated(curvature.trace, net, images, labels, None), traces(exact), rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(
        estimated(curvature.frobenius, net, images, labels, None),
        exact.square().sum((1, 2)).sqrt(),
        rtol=1e-8,
        atol=1e-10,
    )


@pytest.mark.parametrize("activation", SMOOTH)
def test_the_closed_forms_are_refused_where_they_do_not_hold(activation):
    with pytest.raises(InputError, match="curvature_hvp"):
        estimated(curvature.trace, network(activation), *batch(), None)


@pytest.mark.parametrize("activation", first([nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU], by_default=2))
@pytest.mark.slow
def test_estimators_agree_with_the_exact_hessian(activation):
    net, (images, labels) = network(activation), batch()
    exact = hessians(net, images, labels)
    squares = exact.square().sum((1, 2))
    scale = squares.sqrt()  # 3000 signs leave a standard error of about 0.03 of it
    assert (many(curvature.hvp, net, images, labels) - traces(exact)).abs().lt(0.1 * scale).all()
    if activation is not nn.ReLU:  # finite differences also see the kinks
        assert (many(curvature.zo_trace, net, images, labels) - traces(exact)).abs().lt(0.1 * scale).all()
        torch.testing.assert_close(many(curvature.fd, net, images, labels), squares, rtol=0.15, atol=0)


class BendsFarOut(nn.Module):
    """As a rectifier, but for large values."""

    def forward(self, x):
        return torch.where(x > 4, x**2 / 4, x.relu())


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, BendsFarOut])
def test_exact_products_are_the_same_through_outputs_and_through_inputs(activation):
    """Of a network that bends at the last of the samples alone, too."""
    net, (images, labels) = network(activation), batch()
    images[-1] *= 20
    asked = losses(ProbedModel(net, AsStored(), Classification()), images, labels)
    found = curvature.hvp(asked, point(images), np.random.default_rng(0))
    product, expected = curvature._through_inputs(asked, point(images)), 0.0
    for v in curvature._signs(point(images), np.random.default_rng(0), 1):
        expected += product(v) / curvature.PROBES
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert (curvature._through_outputs(asked, point(images)) is None) == (activation is not nn.ReLU)
    others = losses(ProbedModel(net, AsStored(), Classification()), images[:-1], labels[:-1])
    assert (curvature._through_outputs(others, point(images[:-1])) is None) == (activation is nn.Tanh)


@pytest.mark.slow
def test_the_released_estimator_gives_three_quarters_of_h_times_the_frobenius_norm():
    net, (images, labels) = network(nn.Tanh, inputs=40), batch(inputs=40)
    frobenius = hessians(net, images, labels).square().sum((1, 2)).sqrt()
    ratio = many(curvature.zo, net, images, labels) / (curvature.STEP * frobenius)
    assert ratio.mean().item() == pytest.approx(0.75, abs=0.07)
    assert ratio.min() > 0.6
    assert ratio.max() < np.sqrt(2 / np.pi) + 0.05  # the limit for Gaussian directions


def test_a_network_without_input_gradients_is_refused():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(12, 5)

        def forward(self, x):
            return self.linear(x.detach().flatten(1))

    net, (images, labels) = FlatModule(Detached(), "fp64"), batch()
    for estimator in (curvature.trace, curvature.hvp, curvature.fd):
        with pytest.raises(InputError, match="no gradient with respect to its input"):
            estimated(estimator, net, images, labels, np.random.default_rng(0))
    assert estimated(curvature.zo, net, images, labels, np.random.default_rng(0)).isfinite().all()


def test_a_kink_within_a_step_swamps_the_mean_of_finite_differences_and_not_their_median():
    """Of 40 samples one lies at a kink of ReLU: what its docstring says, from the closed form."""
    net, (images, labels) = network(nn.ReLU), batch(40, seed=2)
    weight, bias = net.module[1].weight.detach(), net.module[1].bias.detach()
    before = images.flatten(1) @ weight.T + bias
    images[:, 0, 0] += 0.3 * (before.abs().min(1).values < 0.05)[:, None] * weight.sum(0)  # away from kinks
    unit = int((images.flatten(1)[0] @ weight.T + bias).abs().argmin())
    at = images[0].flatten()
    images[0] = (at - weight[unit] * (at @ weight[unit] + bias[unit]) / weight[unit].square().sum()).view(1, 1, -1)
    exact = estimated(curvature.frobenius, net, images, labels, None).square()
    found = many(curvature.fd, net, images, labels, 20)
    assert found[0] > 1e3 * exact[0]
    assert found.mean() > 10 * exact.mean()
    assert found.median() == pytest.approx(exact.median().item(), rel=0.3)
    for name in ("curvature_fd", "curvature_zo", "curvature_zo_trace"):
        assert SIGNALS.load(name).kinks
