"""What Verifix does in a run: to copies, to the models themselves, and to models that go on training."""

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.experiments import At, results, small
from reference.marks import first
from reference.network import Network, random_data, seeded, sgd
from torch import nn

from methods.verifix import Verifix
from methods.verifix.activations import layer_inputs
from methods.verifix.projection import corrected, spectrum
from simulator import load_experiment, resume, run
from simulator.core.errors import InputError, RunError
from simulator.core.model import Model
from simulator.core.node_program import NodeProgram
from simulator.core.registry import PartSettings
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.data.offline import Digits
from simulator.data.partition import Iid
from simulator.data.splits import DataSettings, VerifiedSettings, prepare
from simulator.models.small import CNN, MLP
from simulator.testing.network import of_images
from simulator.training.evaluation import evaluate
from topologies import Topology

ALPHAS = [1.0, 10.0, 100.0]
FED_BACK = ("before_mixing", "after_mixing")


def lines(done):
    return {(m.round, m.node, m.name): m.value for m in done.metrics()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory, noted):
    """The run without Verifix."""
    return run(noted(methods=[]), tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def copied(tmp_path_factory, noted):
    """The run whose final models are corrected as copies."""
    return run(noted(alphas=ALPHAS), tmp_path_factory.mktemp("copied"))


def test_a_copy_is_corrected_at_the_end_and_the_run_is_as_without(plain, copied):
    found = lines(copied)

    assert {key: value for key, value in found.items() if not key[2].startswith("verifix/")} == lines(plain)
    assert {round for round, _, name in found if name.startswith("verifix/")} == {6}
    for one, other in zip(copied.nodes, plain.nodes, strict=True):
        assert torch.equal(one.parameters, other.parameters)


def test_what_is_measured_of_the_copies_holds_for_models_that_are_replaced(copied, tmp_path, noted):
    """Accuracy of every node, and of the consensus model: the average of what the nodes would end with."""
    replaced, of_copies = lines(run(noted(use="replace", alphas=ALPHAS), tmp_path)), lines(copied)
    compared = [key for key in of_copies if key[2].startswith("verifix/") and "test/" in key[2]]

    assert len(compared) == 4 * 2 + 5
    for round, node, name in compared:
        assert of_copies[round, node, name] == replaced[round, node, name.removeprefix("verifix/")]


def test_some_node_does_better_and_none_does_worse_where_it_selects(copied):
    found = lines(copied)
    before, after = (
        [found[6, node, f"verifix/select/accuracy/{when}"] for node in range(4)] for when in ("before", "after")
    )

    assert all(a <= b for a, b in zip(before, after, strict=True))
    assert before != after
    for kept in copied.directory.artifacts("verifix"):
        best = max(before[kept.node], *kept.arrays["accuracies"])
        assert after[kept.node] == best
        assert kept.arrays["alphas"].tolist() == sorted(ALPHAS, reverse=True)


def test_a_probe_corrects_a_copy_at_every_evaluation(plain, copied, tmp_path, noted):
    found = lines(run(noted(use="probe", alphas=ALPHAS), tmp_path))

    assert {key: value for key, value in found.items() if not key[2].startswith("verifix/")} == lines(plain)
    assert {round for round, _, name in found if name == "verifix/consensus/test/accuracy"} == {0, 2, 4, 6}
    assert {key: value for key, value in found.items() if key[0] == 6} == {
        key: value for key, value in lines(copied).items() if key[0] == 6
    }


@pytest.mark.parametrize("use", FED_BACK)
def test_feeding_back_happens_every_so_many_rounds_and_changes_training(use, plain, tmp_path, noted):
    found = lines(run(noted(use=use, every=2, alphas=ALPHAS), tmp_path))
    rounds = {round for round, _, name in found if name == "verifix/alpha"}

    assert rounds == {2, 4, 6}
    assert found[6, None, "consensus/test/loss"] != lines(plain)[6, None, "consensus/test/loss"]


class Sees(Verifix):
    """Keeps what it chose."""

    def _correct(self, node):
        self.seen, self.chosen = node.parameters.clone(), super()._correct(node)
        return self.chosen


def test_before_mixing_neighbours_get_the_corrected_model_and_momentum_starts_anew():
    methods = [Sees(Sees.Config(use="before_mixing", every=1, alphas=ALPHAS)) for _ in range(4)]
    network = Network(
        Topology.build("ring", 4),
        seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3))),
        [random_data(seed=node) for node in range(4)],
        sgd(0.3, batch_size=8, momentum=0.9),
        methods=lambda node: [methods[node]],
    )
    messages = network.work()

    assert any(method.chosen.is_changed for method in methods)
    for message in messages:
        assert torch.equal(message.parts["parameters"], methods[message.sender].chosen.parameters)
    for node, method in zip(network.nodes, methods, strict=True):
        assert (node.momentum == 0).all() == method.chosen.is_changed


def test_the_correction_is_that_of_the_formulas():
    network = Network(
        Topology.build("ring", 4),
        seeded(lambda: CNN(CNN.Config(width=2)).build(*of_images((8, 8, 1), 3))),
        random_data(),
        sgd(0.1),
        methods=lambda node: [Sees(Sees.Config(use="probe", alphas=[50.0]))],
    )
    node, method = network.nodes[0], network.nodes[0].methods[0]
    with node.using(network.module):
        NodeProgram(node).variants()
        given = layer_inputs(node.model, node.data.verified.fit, node.data.preparation)
    spectra = {name: spectrum(inputs) for name, inputs in given.items()}
    by_hand = corrected(network.module, method.seen, spectra, 50.0)
    accuracy = evaluate(network.module, by_hand, node.data.verified.select, node.data)["accuracy"]

    assert method.chosen.accuracies.tolist() == [accuracy]
    if method.chosen.is_changed:
        assert torch.equal(method.chosen.parameters, by_hand)


@pytest.fixture(scope="module", params=first(["probe", *FED_BACK], by_default=2))
def straight(request, noted, tmp_path_factory):
    """A run with momentum in which somebody is corrected, and its experiment."""
    use = request.param
    training = {"batch_size": 16, "precision": "fp64", "local_steps": 10, "optimizer": {"lr": 0.02, "momentum": 0.9}}
    changes = {"every": 2 if use in FED_BACK else None, "training": training, "checkpoint": {"every": 3}}
    experiment = noted("rounds=5", use=use, alphas=ALPHAS, **changes)
    done = run(experiment, tmp_path_factory.mktemp(use))
    assert any(np.isfinite(value) for (_, _, name), value in lines(done).items() if name == "verifix/alpha")
    return experiment, done


@pytest.mark.slow
def test_stopped_and_resumed_is_as_never_stopped(straight, tmp_path):
    experiment, done = straight
    stopped = run(experiment, tmp_path, [At(3, lambda: signal.raise_signal(signal.SIGINT))])
    assert stopped.status == "interrupted"
    resume(stopped.path)

    assert results(stopped.path) == results(done.path)


@pytest.mark.slow
def test_two_workers_give_the_same_bytes(straight, tmp_path):
    experiment, done = straight
    two = run(load_experiment(experiment.to_dict(), ["backend.workers=2"]), tmp_path)

    assert results(two.path) == results(done.path)


@pytest.mark.slow
def test_stacked_is_sequential_up_to_rounding(straight, tmp_path):
    experiment, done = straight
    stacked = run(load_experiment(experiment.to_dict(), ["training.trainer=stacked"]), tmp_path)
    for one, other in zip(stacked.nodes, done.nodes, strict=True):
        torch.testing.assert_close(one.parameters, other.parameters, rtol=1e-10, atol=1e-12)


def with_noise(data, rate, seed):
    """``data`` with that share of its training labels replaced by other ones."""
    rng, rows, labels = generator(seed, "noise"), data.train.index.numpy(), data.train.targets.clone()
    hit = rng.choice(rows, round(rate * len(rows)), replace=False)
    labels[hit] = (labels[hit] + torch.from_numpy(rng.integers(1, data.classes, len(hit)))) % data.classes
    return replace(data, train=Samples(data.train.inputs, labels, data.train.index))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=[pytest.mark.slow, pytest.mark.exhaustive]) for seed in (1, 2))]
)
@pytest.mark.slow
def test_models_that_have_learnt_wrong_labels_by_heart_get_better(seed):
    """30 % of all labels are wrong, and 86 to 92 % of them learnt; half of the samples are verified."""
    verified = VerifiedSettings(share=0.5, shared=True)
    settings = DataSettings(dataset=Digits.Config(), partition=Iid.Config(), validation=0, verified=verified)
    data = [with_noise(node, 0.3, seed) for node in prepare(settings, 2, seed).nodes]
    network = Network(
        Topology.build("complete", 2),
        seeded(lambda: MLP(MLP.Config(hidden=(64,))).build(*of_images((8, 8, 1), 10))),
        data,
        sgd(0.3, batch_size=16, local_steps=20),
        methods=lambda node: [Verifix(Verifix.Config(use="probe"))],
        seed=seed,
    )
    network.run(60)
    before, after = [], []
    for node in network.nodes:
        with node.using(network.module):
            made = {"before": node.parameters, "after": NodeProgram(node).variants()["verifix"]}
        for scores, parameters in zip((before, after), made.values(), strict=True):
            scores.append(evaluate(network.module, parameters, node.data.test, node.data)["accuracy"])

    assert all(b < a for b, a in zip(before, after, strict=True))
    assert np.mean(after) > np.mean(before) + 0.03


class Depthwise(Model):
    """A network with a grouped convolution."""

    class Config(PartSettings):
        name: str = "depthwise"

    def build(self, inputs, outputs):
        return nn.Sequential(
            nn.Conv2d(inputs.shape[2], 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(64, outputs.width)
        )


class Tied(Model):
    """A network in which two layers have one weight."""

    class Config(PartSettings):
        name: str = "tied"

    def build(self, inputs, outputs):
        first, second = nn.Linear(64, 64), nn.Linear(64, 64)
        second.weight = first.weight
        return nn.Sequential(nn.Flatten(), first, second, nn.Linear(64, outputs.width))


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (Depthwise, r"methods\[0\]: cannot correct the grouped convolution 1.weight: its 4 groups"),
        (Tied, r"methods\[0\]: cannot correct 2.weight: another layer has the same weight"),
    ],
)
def test_networks_that_cannot_be_corrected_are_refused_by_the_name_of_the_layer(
    model, complaint, register, tmp_path, noted
):
    register("models", "odd", model)
    with pytest.raises(InputError, match=complaint):
        run(noted(model={"name": "odd"}), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"alphas": [0.0]}, r"methods\[0\].alphas\[0\]: input should be greater than 0"),
        ({"alphas": [-1.0]}, "greater than 0"),
        ({"use": "after_mixing"}, r"methods\[0\].every: after_mixing is done every so many rounds"),
        ({"every": 2}, r"methods\[0\].every: has no effect with use: copy"),
        ({"use": "before_mixing", "every": 7}, r"methods\[0\].every: the first correction would be after 7 rounds"),
    ],
)
def test_bad_settings_are_refused(changes, complaint, noted):
    with pytest.raises(InputError, match=complaint):
        noted(**changes)


def test_verified_data_are_needed():
    with pytest.raises(InputError, match=r"verifix needs verified data[\s\S]*data.verified: {share: 0.05}"):
        small(methods=[{"name": "verifix"}])


def test_activations_that_are_not_finite_end_the_run_with_advice():
    network = Network(
        Topology.build("ring", 4),
        seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3))),
        random_data(),
        sgd(0.1),
        methods=lambda node: [Verifix(Verifix.Config(use="probe"))],
    )
    node = network.nodes[0]
    node.parameters.fill_(1e308)
    with node.using(network.module), pytest.raises(RunError, match=r"node 0 has activations that are not finite"):
        NodeProgram(node).variants()
