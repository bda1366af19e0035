"""Several signals of several models at once, beside each signal of each model alone."""

import numpy as np
import pytest
import torch
from torch import nn

from auditing.attacks.probed_batch import Stack
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import SIGNALS, Signal, signals_named, values_of
from simulator.core.flat_module import FlatModule
from simulator.core.preparation import AsStored
from simulator.core.registry import PartSettings
from simulator.core.samples import Samples
from simulator.tasks.classification import Classification

NAMES = [name for name in SIGNALS.names() if "tokens" not in SIGNALS.load(name).needs]
MODELS, SAMPLES, CLASSES = 3, 70, 4  # samples: two batches
SMOOTH = {"curvature_trace", "curvature_frobenius"}  # signals that are refused where outputs bend


class Counting(nn.Sequential):
    """Counts how often it is passed through."""

    passes = 0

    def forward(self, x):
        self.passes += 1
        return super().forward(x)


class Drawn(Signal):
    """The loss at inputs that are moved, in place, in directions of one's own."""

    def on_batch(self, model, inputs, targets, rng):
        inputs += torch.from_numpy(rng.normal(size=inputs.shape))
        return model.losses(inputs, targets)


def network(activation=nn.ReLU):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FlatModule(Counting(nn.Flatten(), nn.Linear(6, 8), activation(), nn.Linear(8, CLASSES)), "fp64")


def samples():
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.normal(size=(SAMPLES, 2, 3)))
    return Samples(inputs, torch.from_numpy(rng.integers(0, CLASSES, SAMPLES)), torch.arange(SAMPLES))


def models(net):
    return torch.stack([net.initial * (1 + place) for place in range(MODELS)])


def rngs(signals):
    return {name: np.random.default_rng(5) for name in signals}


def together(signals, net, done=lambda number: None):
    model = ProbedModel(net, AsStored(), Classification())
    return values_of(signals, model, samples(), rngs(signals), Stack(models(net)), done)


def apart(signals, net):
    found = {}
    for name, signal in signals.items():
        rows = []
        for parameters in models(net):
            net.bind(parameters)
            model = ProbedModel(net, AsStored(), Classification())
            rows.append(signal.values(model, samples(), np.random.default_rng(5)))
        found[name] = np.stack(rows)
    return found


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_models_are_asked_together_what_they_are_asked_alone(activation):
    names = [name for name in NAMES if activation is nn.ReLU or name not in SMOOTH]
    signals = {**signals_named(names), "drawn": Drawn(PartSettings(name="drawn"))}
    found, expected = together(signals, network(activation)), apart(signals, network(activation))
    for name in signals:
        rtol = 1e-4 if signals[name].kinks else 1e-10  # differences over small steps magnify rounding
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=1e-9 if rtol > 1e-9 else 1e-12)


def test_what_is_put_out_is_computed_once_for_all_signals():
    net = network()
    model, signals = ProbedModel(net, AsStored(), Classification()), signals_named(["loss", "logit_margin"])
    values_of(signals, model, samples(), rngs(signals))
    assert net.module.passes == 2  # a batch each
    together(signals, net)
    assert net.module.passes == 4


def test_it_is_told_batch_by_batch_how_many_values_there_are():
    told = []
    together(signals_named(["loss", "logit_margin"]), network(), told.append)
    assert told == [2 * 64 * MODELS, 2 * 6 * MODELS]
