import numpy as np
import pytest
import torch
from torch import nn

from auditing.attacks import signals
from auditing.attacks.attack import attacks_named
from auditing.attacks.curvature_signals import Hvp
from auditing.attacks.evidence import Evidence
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import SIGNALS, signals_named
from auditing.candidates import labels_of
from simulator.core.arrays import taken
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.normalizer import Normalizer
from simulator.core.registry import PartSettings
from simulator.core.samples import Samples
from simulator.tasks.classification import Classification

CLASSES, SIDE = 4, 3
NAMES = [name for name in SIGNALS.names() if "tokens" not in SIGNALS.load(name).needs]
NORMALIZER = Normalizer(torch.tensor([0.4]), torch.tensor([0.3]))


def samples(number=100):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (number, SIDE, SIDE, 1), dtype=np.uint8))
    return Samples(images, torch.from_numpy(rng.integers(0, CLASSES, number)), torch.arange(number))


def network(scale=1.0):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = FlatModule(nn.Sequential(nn.Flatten(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, CLASSES)), "fp64")
    net.bind(scale * net.initial)
    return net


def model(net):
    return ProbedModel(net, NORMALIZER, Classification())


def measure(name, net=None, of=None):
    rng = np.random.default_rng(0)
    return signals_named([name])[name].measure(model(net or network()), of or samples(), rng)


def probabilities(net):
    p = torch.softmax(net.outputs(samples(), NORMALIZER), 1).detach().numpy()
    return p, labels_of(samples())


def test_output_signals_are_those_of_their_formulas():
    p, y = probabilities(network())
    rows = np.arange(len(y))
    true = p[rows, y]
    rest = np.delete(p, 0, axis=1)  # any shape [N, classes - 1]
    rest[rows] = [np.delete(row, label) for row, label in zip(p, y, strict=True)]
    entropy = -(1 - true) * np.log(true) - (rest * np.log(1 - rest)).sum(1)
    np.testing.assert_allclose(measure("loss"), np.log(true))
    np.testing.assert_allclose(measure("logit_margin"), np.log(true) - np.log(rest.sum(1)))
    np.testing.assert_allclose(measure("modified_entropy"), -entropy)


def test_signals_stay_finite_where_probabilities_round_to_one():
    for name in NAMES:
        assert np.isfinite(measure(name, network(100.0))).all(), name


def test_an_estimate_below_zero_still_has_a_logarithm():
    class Negative(Hvp):
        logarithm = True

        def on_batch(self, model, inputs, targets, rng):
            return torch.full((len(inputs),), -1.0)

    estimated = Negative(PartSettings(name="negative"))
    assert np.isfinite(estimated.measure(model(network()), samples(), np.random.default_rng(0))).all()


def test_gradient_norm_is_that_of_each_sample_alone():
    net, few, norms = network(), samples(5), []
    for k in range(5):
        logits = net.module(NORMALIZER(few.inputs_at(torch.tensor([k])), torch.float64))
        net.differentiate(torch.nn.functional.cross_entropy(logits, few.targets_at(torch.tensor([k]))))
        norms.append(-net.gradient.norm().item())
    np.testing.assert_allclose(measure("gradient_norm", net, few), norms)


def test_input_gradient_is_that_of_each_sample_alone_as_the_network_takes_it():
    net, few, norms = network(), samples(5), []
    for k in range(5):
        image = NORMALIZER(few.inputs_at(torch.tensor([k])), torch.float64).requires_grad_()
        torch.nn.functional.cross_entropy(net.module(image), few.targets_at(torch.tensor([k]))).backward()
        norms.append(-image.grad.norm().item())
    np.testing.assert_allclose(measure("input_gradient", net, few), norms)


def test_gradients_of_large_networks_are_taken_a_few_samples_at_a_time(monkeypatch):
    """Where layers do not tell their norms."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        twice = nn.Linear(8, 8)
        layers = nn.Linear(9, 8), twice, nn.ReLU(), twice, nn.Linear(8, CLASSES)
    net = FlatModule(nn.Sequential(nn.Flatten(), *layers), "fp64")
    together, taken_at_once = measure("gradient_norm", net), []

    def noting(arrays, rows):
        taken_at_once.append(len(rows))
        return taken(arrays, rows)

    monkeypatch.setattr(signals, "taken", noting)
    monkeypatch.setattr(signals, "GRADIENT_BYTES", 2 * net.initial.nbytes)
    np.testing.assert_allclose(measure("gradient_norm", net), together, rtol=1e-9)
    assert set(taken_at_once) == {2}


@pytest.mark.parametrize("name", ["loss", "gradient_norm", "curvature_trace"])
def test_a_signal_of_a_sample_does_not_depend_on_the_others(name):
    whole, part = measure(name), measure(name, of=samples().subset(torch.arange(70, 100)))
    np.testing.assert_allclose(whole[70:], part, rtol=1e-9)


def test_class_thresholds_take_away_how_hard_a_class_is():
    signal, labels = np.array([1.0, 5.0, 2.0, 7.0]), np.array([0, 1, 0, 2])
    evidence = Evidence(signal, labels, np.array([1.0, 3.0, 4.0, 6.0]), np.array([0, 0, 1, 1]))
    attacks = attacks_named(["threshold", "class_threshold"])
    assert attacks["threshold"].judge(evidence).tolist() == signal.tolist()
    # Medians: 2 of class 0, 5 of class 1; class 2 is not there and gets 3.5, that of all.
    assert attacks["class_threshold"].judge(evidence).tolist() == [-1.0, 0.0, 0.0, 3.5]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("curvature")])
def test_curvature_in_bf16_is_refused(name):
    net = FlatModule(nn.Sequential(nn.Flatten(), nn.Linear(9, CLASSES)), "bf16")
    with pytest.raises(InputError, match=r"precision: curvature cannot be measured in bf16[\s\S]*fp64"):
        signals_named([name])[name].measure(model(net), None, np.random.default_rng(0))


@pytest.mark.parametrize(
    "inner", [nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.Identity()], ids=lambda each: type(each).__name__
)
def test_norms_that_layers_tell_are_those_of_gradients_that_are_written_out(inner, monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = FlatModule(nn.Sequential(nn.Flatten(), nn.Linear(9, 8), inner, nn.ReLU(), nn.Linear(8, CLASSES)), "fp64")
    written, lengths = signals.GradientNorm._of_gradients, []

    def noting(own, model, inputs, targets):
        lengths.append(len(targets))
        return written(own, model, inputs, targets)

    monkeypatch.setattr(signals.GradientNorm, "_of_gradients", noting)
    by_layers = measure("gradient_norm", net)
    assert set(lengths) == {signals.CHECKED}
    monkeypatch.setattr(signals, "CHECKED", 10**6)
    np.testing.assert_allclose(by_layers, measure("gradient_norm", net), rtol=1e-12)


def test_what_layers_tell_is_checked_on_a_few_samples_of_a_network(monkeypatch):
    net = network()
    expected, told = measure("gradient_norm", net), signals.GradientNorm._of_layers
    monkeypatch.setattr(signals.GradientNorm, "_of_layers", staticmethod(lambda *asked: 2 * told(*asked)))
    np.testing.assert_allclose(measure("gradient_norm", net), expected, rtol=1e-12)
