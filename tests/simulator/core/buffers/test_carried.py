"""State in plain attributes, which would go from node to node unseen, and parameters that a network writes to."""

import random

import numpy as np
import pytest
import torch
from reference.stateful import BatchNet, Dropped, FrozenBase, Tied
from torch import nn

from simulator.core.buffers.discovery import findings, set_training_modes
from simulator.core.errors import InputError

IMAGES = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0))


class Linear(nn.Module):
    """Moves its inputs by what it keeps."""

    def __init__(self):
        super().__init__()
        self.layer, self.kept = nn.Linear(4, 3), self.begun()

    def begun(self):
        return 0.0

    def forward(self, x):
        return self.layer(x.flatten(1) - self.moved(x.flatten(1)))


class Mean(Linear):
    def moved(self, x):
        self.kept = 0.9 * self.kept + 0.1 * x.mean().item()
        return self.kept


class InPlace(Linear):
    def begun(self):
        return torch.zeros(4)

    def moved(self, x):
        return self.kept.mul_(0.9).add_(x.mean(0), alpha=0.1).clone()


class FirstBatch(Linear):
    def begun(self):
        return None

    def moved(self, x):
        self.kept = x.mean(0) if self.kept is None else self.kept
        return self.kept


class InAList(Linear):
    def begun(self):
        return []

    def moved(self, x):
        self.kept.append(x.mean())
        return torch.stack(self.kept).mean()


class InTraining(Mean):
    def moved(self, x):
        return super().moved(x) if self.training else 0


class InEvaluation(Mean):
    def moved(self, x):
        return 0 if self.training else super().moved(x)


class FromNumpy(Linear):
    def moved(self, x):
        return np.random.rand()  # noqa: NPY002


class FromRandom(Linear):
    def moved(self, x):
        return random.random()


class LastMap(Linear):
    """Keeps what nobody reads again, as for a picture of it."""

    def moved(self, x):
        self.kept = x
        return 0


def found(network):
    set_training_modes(network, None)
    return findings(network, IMAGES.clone())


@pytest.mark.parametrize(
    ("network", "mode"),
    [
        (Mean, "training"),
        (InPlace, "training"),
        (FirstBatch, "training"),
        (InAList, "training"),
        (InTraining, "training"),
        (InEvaluation, "evaluation"),
    ],
)
def test_outputs_that_depend_on_earlier_batches_are_refused_by_what_is_kept(network, mode):
    with pytest.raises(InputError, match=rf"in {mode} depends on those before it by kept, which(.|\n)*register_buffer"):
        found(network())
    with pytest.raises(InputError, match=r"by 0\.kept,"):
        found(nn.Sequential(network()))


@pytest.mark.parametrize("network", [FromNumpy, FromRandom])
def test_other_generators_than_torchs_are_refused(network):
    with pytest.raises(InputError, match=r"or on a generator other than torch's(.|\n)*draw random numbers by torch"):
        found(network())


class NoNumbers(Linear):
    def moved(self, x):
        return float("nan")


@pytest.mark.parametrize(
    "network", [LastMap, NoNumbers, lambda: BatchNet(4, 3, 0.5), lambda: Dropped(4, 3), lambda: Tied(4, 3)]
)
def test_what_depends_on_nothing_else_passes(network):
    assert found(network()).counted == ()
    assert found(FrozenBase(4, 3)).counted == ()


def test_numbers_that_change_without_an_effect_yet_are_named():
    class Warmed(Linear):
        def moved(self, x):
            self.kept += 1
            return 0 if self.kept < 1000 else 1

    network = Warmed()
    assert found(network).counted == ("kept",)


class Renormed(Linear):
    def moved(self, x):
        self.layer.weight.data = torch.renorm(self.layer.weight.data, 2, 0, 100.0)
        return 0


class Clipped(Linear):
    def moved(self, x):
        with torch.no_grad():
            self.layer.weight.clamp_(-0.01, 0.01)
        return 0


@pytest.mark.parametrize("network", [Renormed, Clipped])
def test_a_network_that_writes_to_its_parameters_is_refused(network):
    with pytest.raises(InputError, match=r"writes to its parameter 'layer\.weight' in a forward pass"):
        found(network())


def test_a_network_that_cannot_be_copied_is_looked_at_itself():
    class Uncopied(Mean):
        def __deepcopy__(self, memo):
            raise TypeError

    with pytest.raises(InputError, match="by kept, which"):
        found(Uncopied())
