"""Selection: nothing that is not better, and the first of what is."""

import pytest
import torch
from reference.network import random_data, seeded

from simulator.core.flat_module import FlatModule
from simulator.models.small import MLP
from simulator.testing.network import of_images
from simulator.training.evaluation import evaluate
from simulator.training.selection import UNCHANGED, select

DATA = random_data(samples=60)
MODULE = FlatModule(seeded(lambda: MLP(MLP.Config(hidden=(9,))).build(*of_images((8, 8, 1), 3)))(), "fp64")


def accuracy(parameters):
    return evaluate(MODULE, parameters, DATA.train, DATA)["accuracy"]


def candidates(count, seed):
    noise = torch.Generator().manual_seed(seed)
    return [
        MODULE.initial + torch.randn(len(MODULE.initial), generator=noise, dtype=torch.float64) for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_best_is_taken_and_accuracy_never_falls(seed):
    offered = candidates(6, seed)
    chosen = select(MODULE, MODULE.initial, iter(offered), DATA.train, DATA)
    accuracies = [accuracy(parameters) for parameters in offered]

    assert chosen.accuracies.tolist() == accuracies
    assert chosen.before == accuracy(MODULE.initial)
    assert chosen.after == accuracy(chosen.parameters) == max(chosen.before, *accuracies)
    assert chosen.is_changed == (max(accuracies) > chosen.before)


def test_of_equals_the_first_is_taken_and_the_model_before_all():
    (better,) = [parameters for parameters in candidates(30, 1) if accuracy(parameters) > accuracy(MODULE.initial)][:1]
    twice = select(MODULE, MODULE.initial, [better, better.clone()], DATA.train, DATA)
    same = select(MODULE, MODULE.initial, [MODULE.initial.clone()], DATA.train, DATA)

    assert (twice.place, twice.parameters is better) == (0, True)
    assert (same.place, same.parameters is MODULE.initial) == (UNCHANGED, True)


def test_without_candidates_the_model_stays():
    assert select(MODULE, MODULE.initial, [], DATA.train, DATA).place == UNCHANGED
