"""Norms of samples' gradients told from layers, beside those of the gradients themselves."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy, linear

from simulator.training.ghost_norms import squared_gradient_norms

SAMPLES, CLASSES = 5, 3


class Tokens(nn.Module):
    """Two layers that look at every token, a mean over tokens, and one more."""

    def __init__(self, width):
        super().__init__()
        self.tokens = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x):
        return self.head(self.tokens(x).mean(1))


class Twice(nn.Module):
    """One layer that is passed through twice."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(self.layer(self.layer(x).tanh()))


class Outside(nn.Module):
    """The weight of a layer that is passed through once is used beside it, too."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.head(self.layer(x).tanh() + linear(x, self.layer.weight))


class More(nn.Linear):
    """Not what a linear layer does."""

    def forward(self, x):
        return super().forward(x) * self.bias


def tied():
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, CLASSES))
    net[2].weight = net[0].weight
    return net


def frozen():
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, CLASSES, bias=False))
    net[0].weight.requires_grad = net[2].weight.requires_grad = net[2].bias.requires_grad = False
    return net


def convolutional(width):
    first = nn.Conv2d(2, width, 3, padding=1, stride=2)
    second = nn.Conv2d(width, 4, (1, 2), dilation=2, bias=False)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(), nn.Flatten(), nn.LazyLinear(CLASSES))


KNOWN = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, CLASSES)), (4,)),
    "frozen": (frozen, (4,)),
    "few places": (lambda: convolutional(40), (2, 7, 9)),
    "many places": (lambda: convolutional(3), (2, 21, 23)),
    "few tokens": (lambda: Tokens(30), (2, 2)),
    "many tokens": (lambda: Tokens(3), (40, 2)),
}
UNKNOWN = {
    "norm": (lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, CLASSES)), (4,)),
    "groups": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, CLASSES)), (2, 3, 3)),
    "descendant": (lambda: nn.Sequential(nn.Linear(4, 6), More(6, CLASSES)), (4,)),
    "tied": (tied, (4,)),
    "twice": (Twice, (4,)),
    "outside": (Outside, (4,)),
}


def made(build, shape):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inputs, targets = torch.randn(SAMPLES, *shape, dtype=torch.float64), torch.randint(0, CLASSES, (SAMPLES,))
        net = build().double()
        net(inputs)
    return net, inputs, targets


def of_gradients(net, inputs, targets):
    trained = {name: each.detach() for name, each in net.named_parameters() if each.requires_grad}

    def loss(parameters, one, target):
        return cross_entropy(functional_call(net, parameters, (one[None],)), target[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))(trained, inputs, targets)
    return sum(each.flatten(1).square().sum(1) for each in gradients.values())


def ghosts(net, inputs, targets):
    return squared_gradient_norms(net, lambda: cross_entropy(net(inputs), targets, reduction="none"))


@pytest.mark.parametrize("kind", KNOWN)
def test_they_are_those_of_the_gradients(kind):
    asked = made(*KNOWN[kind])
    torch.testing.assert_close(ghosts(*asked), of_gradients(*asked), rtol=1e-12, atol=0)
    assert not any(layer._forward_hooks for layer in asked[0].modules())


def test_many_places_are_not_summed_where_few_are_cheaper(monkeypatch):
    """Of few tokens pairs of places are compared, of many the products are summed: [inputs, outputs] appears then."""
    shapes = list[tuple[int, ...]]()
    plain = torch.Tensor.__matmul__

    def noting(one, other):
        found = plain(one, other)
        shapes.append(tuple(found.shape[1:]))
        return found

    for kind, expected in (("few tokens", (2, 2)), ("many tokens", (3, 3))):
        asked = made(*KNOWN[kind])
        shapes.clear()
        monkeypatch.setattr(torch.Tensor, "__matmul__", noting)
        ghosts(*asked)
        monkeypatch.undo()
        assert expected in shapes
        assert (40, 40) not in shapes


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_layers_do_not_tell_is_not_told(kind):
    assert ghosts(*made(*UNKNOWN[kind])) is None
