"""Networks that put out something else than what the task asks for."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from reference.experiments import results, simulate
from reference.network import random_data
from reference.tokens import tokens
from torch import nn

from simulator import run
from simulator.core.copied_inputs import give_copies
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.runs.build import Simulation
from simulator.tasks.classification import Classification
from simulator.tasks.next_token import NextToken
from simulator.testing import check_model
from simulator.training.outputs import check_outputs


class Few(nn.Module):
    """Always three outputs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, x):
        return self.layer(x.flatten(1))


class Pair(Few):
    """Two results."""

    def forward(self, x):
        return super().forward(x), x


class Pooled(nn.Module):
    """One result for the whole batch."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(64, classes)

    def forward(self, x):
        return self.layer(x.flatten(1)).mean(dim=0)


class Maps(nn.Module):
    """Outputs for every pixel."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(1, classes)

    def forward(self, x):
        return self.layer(x.flatten(1)[..., None])


class Detached(Few):
    """Outputs that no parameter has a part in."""

    def forward(self, x):
        return self.layer(x.flatten(1)).detach()


class NotANumber(Few):
    """Takes a logarithm of what is below 0."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(64, classes)

    def forward(self, x):
        return self.layer(x.flatten(1)).log()


class Doubled(NotANumber):
    """Computes in a precision of its own."""

    def forward(self, x):
        return self.layer(x.flatten(1).half())


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (Few, r"model: the network puts out \[2, 3\] for 2 samples, and the task classification asks for 10 each"),
        (Pair, "the network returns tuple, and no tensor"),
        (Pooled, r"puts out \[10\] for 2 samples"),
        (Detached, r"outputs depend on no parameter that is trained\.\n.*without detach"),
        (NotANumber, r"\(NaN\) as a loss, before it is trained"),
        (Doubled, r"(?s)RuntimeError: mat1 and mat2 .* leave \.double\(\), \.half\(\) and dtypes out"),
        (Maps, r"puts out \[2, 64, 10\] for 2 samples, which the task classification cannot judge"),
    ],
)
def test_they_are_refused_before_the_run(experiment, tmp_path, network, says):
    with pytest.raises(InputError, match=says):
        run(experiment(model=network), tmp_path)
    assert not list(tmp_path.iterdir())


def test_parameters_without_a_part_in_the_outputs_are_told(experiment):
    class Idle(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.layer, self.spare = nn.Linear(64, classes), nn.Linear(2, 3)

        def forward(self, x):
            return self.layer(x.flatten(1))

    (note,) = Simulation.of(experiment(model=Idle)).told
    assert note.startswith("9 parameters have no part in the outputs of 16 samples")
    assert note.endswith("spare.weight, spare.bias")
    assert not Simulation.of(experiment()).told


class Listed(nn.Module):
    """Layers that a list has, which PyTorch does not look into."""

    def __init__(self, classes):
        super().__init__()
        self.first = nn.Linear(64, classes)
        self._rest = self.held([nn.Linear(classes, classes) for _ in range(2)])

    def held(self, layers):
        return layers

    def forward(self, x):
        x = self.first(x.flatten(1))
        for layer in self._rest.values() if isinstance(self._rest, dict) else self._rest:
            x = layer.to(x.dtype)(x)  # nobody else gives it the precision of the others
        return x


class InADict(Listed):
    def held(self, layers):
        return dict(enumerate(layers))


class Known(Listed):
    def held(self, layers):
        self.again = [self.first, *layers]
        return nn.ModuleList(layers)


class Nested(Listed):
    def held(self, layers):
        return [{"both": (layers[0], layers[1])}]

    def forward(self, x):
        return self._rest[0]["both"][0].to(x.dtype)(self.first(x.flatten(1)))


class Enclosed(Listed):
    def held(self, layers):
        return lambda x: layers[1].to(x.dtype)(x)

    def forward(self, x):
        return self._rest(self.first(x.flatten(1)))


class PlainTensor(Listed):
    def held(self, layers):
        return torch.ones(10, dtype=torch.float64, requires_grad=True)

    def forward(self, x):
        return self.first(x.flatten(1)) * self._rest


class Helped(Listed):
    def held(self, layers):
        return SimpleNamespace(layer=layers[0])

    def forward(self, x):
        return self._rest.layer.to(x.dtype)(self.first(x.flatten(1)))


class Circular(Helped):
    """A helper that knows itself, and a module of Python's."""

    def held(self, layers):
        helper = super().held(layers)
        helper.own, helper.tools = helper, torch
        return helper


class InATuple(Listed):
    def held(self, layers):
        return tuple(layers)


class InASet(Listed):
    def held(self, layers):
        return set(layers)


class Within(nn.Module):
    """Has a layer that has layers in a list."""

    def __init__(self, classes):
        super().__init__()
        self.inner = Listed(classes)

    def forward(self, x):
        return self.inner(x)


class Fixed(Listed):
    """Layers in a list that need no training."""

    def held(self, layers):
        return [layer.requires_grad_(False) for layer in layers]


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Listed, "220 parameters in _rest .* since a plain list holds them: make it an nn.ModuleList"),
        (InADict, "220 parameters in _rest .* plain dict holds them: make it an nn.ModuleDict"),
        (Nested, "110 parameters in _rest .* plain list"),
        (Enclosed, "110 parameters have a part in the outputs, and are neither trained nor sent"),
        (PlainTensor, "10 parameters in _rest .* plain Tensor holds them: make it an nn.Parameter"),
        (Helped, "110 parameters in _rest .* plain SimpleNamespace holds them: make it an nn.Module"),
        (Circular, "110 parameters in _rest .* plain SimpleNamespace"),
        (InATuple, "220 parameters in _rest .* plain tuple holds them: make it an nn.ModuleList"),
        (InASet, "220 parameters in _rest .* plain set"),
        (Within, r"220 parameters in inner\._rest .* plain list"),
        (Known, None),
        (Fixed, None),
    ],
)
def test_layers_that_nobody_trains_are_told(experiment, network, told):
    found = Simulation.of(experiment(model=network)).told
    assert len(found) == (told is not None)
    assert all(re.match(told, note) for note in found)


class Softmax(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes), nn.Softmax(dim=1))


class LogSoftmax(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes), nn.LogSoftmax(dim=1))


class SoftmaxOverTheBatch(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes), nn.Softmax(dim=0))


class Sigmoid(nn.Sequential):
    """Through a view."""

    def __init__(self, classes):
        super().__init__(
            nn.Flatten(), nn.Linear(64, classes), nn.Sigmoid(), nn.Unflatten(1, (classes, 1)), nn.Flatten()
        )


class Shares(nn.Module):
    """A softmax by hand."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(64, classes)

    def forward(self, x):
        powers = self.layer(x.flatten(1)).exp()
        return powers / powers.sum(dim=1, keepdim=True)


class NotNegative(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes), nn.ReLU())


class AddUpToOne(nn.Module):
    """Some of which are below 0."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(64, classes)

    def forward(self, x):
        x = self.layer(x.flatten(1))
        return x - x.mean(dim=1, keepdim=True) + 1 / x.shape[1]


@pytest.mark.parametrize(
    ("network", "advice"),
    [
        (Softmax, "leave the last softmax out"),
        (SoftmaxOverTheBatch, "leave the last softmax out"),
        (Shares, "leave the last softmax out"),
        (Sigmoid, "leave the last sigmoid out"),
        (LogSoftmax, None),
        (NotNegative, None),
        (AddUpToOne, None),
    ],
)
def test_probabilities_in_the_place_of_logits_are_told(experiment, network, advice):
    found = [note for note in Simulation.of(experiment(model=network)).told if "logits" in note]
    assert len(found) == (advice is not None)
    assert all(note.endswith(advice) for note in found)


class Yes(nn.Sequential):
    def __init__(self, outputs):
        super().__init__(nn.Linear(3, outputs), nn.Sigmoid())


@pytest.mark.parametrize(("task", "notes"), [("binary", 1), ("regression", 0)])
def test_a_sigmoid_is_told_where_the_loss_takes_logits_alone(experiment, tmp_path, task, notes):
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    targets = y if task == "binary" else y / 3
    np.savez(tmp_path / "table.npz", x_train=x, y_train=targets, x_test=x, y_test=targets)
    data = {"dataset": {"name": "npz", "path": "table.npz"}, "root": str(tmp_path)}
    assert len(Simulation.of(experiment(data=data, task=task, model=Yes)).told) == notes


def test_scores_that_are_drawn_at_random_are_told(experiment):
    class Always(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.layer = nn.Linear(64, classes)

        def forward(self, x):
            return nn.functional.dropout(self.layer(x.flatten(1)), 0.5)

    (note,) = Simulation.of(experiment(model=Always)).told
    assert note.endswith("let dropout and noise depend on self.training")


class Centred(nn.Module):
    """Takes the batch's mean away."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(64, classes)

    def forward(self, x):
        return self.layer((x - x.mean(dim=0)).flatten(1))


class LogOverTheBatch(Centred):
    def forward(self, x):
        return self.layer(x.flatten(1)).log_softmax(dim=0)


@pytest.mark.parametrize("network", [Centred, LogOverTheBatch])
def test_outputs_that_depend_on_the_batch_are_told(experiment, network):
    (note,) = Simulation.of(experiment(model=network)).told
    assert note.startswith("the outputs of a sample depend on those beside it in a batch")


def test_what_is_tried_leaves_no_trace(experiment):
    state = torch.get_rng_state()
    module = Simulation.of(experiment()).blueprint.module()
    assert torch.equal(torch.get_rng_state(), state)
    assert module.module.training


def test_of_whole_numbers_it_is_told_that_they_stay_whole(experiment, tmp_path):
    x, y = np.arange(600, dtype=np.uint8).reshape(60, 10) % 7, np.arange(60) % 2
    np.savez(tmp_path / "whole.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    data = {"dataset": {"name": "npz", "path": "whole.npz"}, "root": str(tmp_path)}
    with pytest.raises(InputError, match=r"samples \(int64 \[2, 10\]\)(.|\n)*store float32"):
        run(experiment(data=data, model={"name": "mlp"}), tmp_path / "runs")


class Shifts(nn.Module):
    """Writes to what it is given."""

    def __init__(self, classes):
        super().__init__()
        self.first, self.last = nn.ReLU(inplace=True), nn.Linear(64, classes)

    def forward(self, x):
        x += 0.5
        return self.last(self.first(x).flatten(1))


class ShiftsACopy(Shifts):
    def forward(self, x):
        return super().forward(x.clone())


PRIVATE = [{"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0}]


@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
@pytest.mark.parametrize("methods", [[], PRIVATE], ids=["plain", "private"])
def test_a_network_that_writes_to_its_inputs_is_trained_like_one_that_copies_them(
    experiment, tmp_path, trainer, methods
):
    training = {"batch_size": 16, "trainer": trainer, "precision": "fp64"}
    metrics = []
    for network in Shifts, ShiftsACopy:
        small = experiment(model=network, methods=methods, training=training, rounds=1)
        assert not Simulation.of(small).told
        simulate(small, tmp_path / network.__name__, lambda _: None)
        metrics.append(results(tmp_path / network.__name__)["metrics.jsonl"])
    assert metrics[0] == metrics[1]


class ShiftsInEvaluation(ShiftsACopy):
    def forward(self, x):
        return super().forward(x) if self.training else Shifts.forward(self, x)


@pytest.mark.parametrize("network", [Shifts, ShiftsInEvaluation])
def test_what_a_network_is_given_is_not_changed_for_others(experiment, network):
    simulation = Simulation.of(experiment(model=network))
    assert not simulation.told
    module = simulation.blueprint.module().module.eval()
    given = torch.ones(2, 1, 8, 8, dtype=torch.float64)
    module(given)
    assert (given == 1).all()


def test_check_model_passes_a_network_that_writes_to_its_inputs():
    check_model(Shifts, shape=(8, 8, 1))


class Sometimes(nn.Module):
    """Has layers for large batches, and for training, alone."""

    def __init__(self, classes):
        super().__init__()
        self.layer, self.large, self.trained = (nn.Linear(n, classes) for n in (64, classes, classes))

    def forward(self, x):
        x = self.layer(x.flatten(1))
        x = self.large(x) if len(x) > 4 else x
        return self.trained(x) if self.training else x


def test_parameters_that_have_a_part_at_times_are_not_told(experiment):
    assert not Simulation.of(experiment(model=Sometimes)).told


class Experts(nn.Module):
    """Each sample goes to one of eight."""

    def __init__(self, classes):
        super().__init__()
        self.gate, self.experts = nn.Linear(64, 8), nn.ModuleList(nn.Linear(64, classes) for _ in range(8))

    def forward(self, x):
        share, chosen = self.gate(x.flatten(1)).softmax(1).max(1)
        outputs = torch.stack([expert(rows) for expert, rows in self.sent(x.flatten(1), chosen)])
        return share[:, None] * outputs

    def sent(self, x, chosen):
        return [(self.experts[number], row) for number, row in zip(chosen.tolist(), x, strict=True)]


def test_check_model_passes_a_mixture_of_experts():
    check_model(Experts, shape=(8, 8, 1))


class Averaging(nn.Module):
    """Each token's outputs are of the mean over tokens: of those before it and itself, or of all but padding."""

    def __init__(self, looks_ahead=False):
        super().__init__()
        self.embedding, self.head, self.looks_ahead = nn.Embedding(7, 8), nn.Linear(8, 7), looks_ahead

    def forward(self, ids, mask):
        x = self.embedding(ids) * mask[..., None]
        if self.looks_ahead:
            return self.head((x.sum(dim=1) / mask.sum(dim=1)[:, None])[:, None].expand_as(x))
        return self.head(x.cumsum(dim=1) / torch.arange(1, ids.shape[1] + 1)[:, None])


class Noisy(Averaging):
    """By a generator that nobody else knows."""

    own = torch.Generator()

    def forward(self, ids, mask):
        outputs = super().forward(ids, mask)
        return outputs + torch.randn(outputs.shape, generator=self.own)


class Endless(Averaging):
    """Grows beyond all numbers."""

    def forward(self, ids, mask):
        return super().forward(ids, mask) * torch.nan


@pytest.fixture
def text():
    torch.manual_seed(0)
    data = tokens(NextToken(NextToken.Config()), length=6, vocabulary=7, outputs=7)
    return replace(data, train=data.train.subset(torch.arange(3, 6)))


def test_a_network_that_looks_ahead_predicts_nothing(text):
    assert check_outputs(FlatModule(Averaging()), text, 4) == ()
    with pytest.raises(InputError, match=r"(?s)outputs of a token depend on tokens after it.*causal mask"):
        check_outputs(FlatModule(Averaging(looks_ahead=True)), text, 4)


def test_what_comes_of_noise_or_is_no_number_is_not_taken_for_looking_ahead(text):
    with pytest.raises(InputError, match="give no number"):
        check_outputs(FlatModule(Endless()), text, 4)
    (note,) = check_outputs(FlatModule(Noisy()), text, 4)
    assert note.endswith("let dropout and noise depend on self.training")


class Clears(Averaging):
    """Writes to its tokens, where there are none."""

    def forward(self, ids, mask):
        return super().forward(ids.masked_fill_(~mask, 0), mask)


def test_inputs_with_names_are_not_changed_for_others_either():
    ids, network = torch.ones(2, 3, dtype=torch.int64), Clears()
    give_copies(network)
    network(ids=ids, mask=torch.zeros(2, 3, dtype=torch.bool))
    assert (ids == 1).all()


class OfTheBatch(Classification):
    """A loss for all samples together."""

    def losses(self, outputs, targets):
        return super().losses(outputs, targets).mean()


def test_a_task_that_has_one_loss_for_several_samples_is_refused():
    data = random_data(20)
    data = replace(data, outputs=replace(data.outputs, task=OfTheBatch(Classification.Config())))
    with pytest.raises(InputError, match=r"the task classification cannot judge: its losses are \(\)"):
        check_outputs(FlatModule(Few()), data, 4)
