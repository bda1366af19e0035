"""Models that plain PyTorch loops have trained, audited as files: members are found, and bad input is named."""

import copy
import sys

import numpy as np
import pytest
import torch
from reference import pages
from safetensors.torch import save_file
from torch import nn

from auditing.attacks import lira
from auditing.attacks.attack import attacks_named
from auditing.attacks.evidence import Evidence
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import signals_named
from auditing.metrics import Ranking
from auditing.trained_elsewhere import audit_models
from simulator import cli
from simulator.core.arrays import called
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.preparation import AsStored
from simulator.core.samples import Samples
from simulator.tasks.classification import Classification

MODELS, SAMPLES, CLASSES = 8, 60, 3
CODE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes, hidden=16):
        super().__init__(nn.Linear(6, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, classes))
"""


class Net(nn.Sequential):
    def __init__(self, classes=CLASSES, hidden=16):
        super().__init__(nn.Linear(6, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, classes))


class Lonely(Net):
    """Normalises by the statistics of the batch, also in evaluation."""

    def __init__(self):
        super().__init__()
        self[1] = nn.BatchNorm1d(16, track_running_stats=False)


class Shifting(nn.Linear):
    """Writes to what it is given."""

    def forward(self, x):
        x += 1
        return super().forward(x)


@pytest.fixture(scope="module")
def trained():
    """Eight networks with batch normalisation, each on its own half of samples with random labels."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(SAMPLES, 6)).astype(np.float32), rng.integers(0, CLASSES, SAMPLES)
    members = np.argsort(rng.random((MODELS, SAMPLES)), axis=1) < SAMPLES // 2
    members[:, (members.sum(0) % MODELS) == 0] = np.arange(MODELS)[:, None] % 2 == 0
    states = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for row in members:
            network, inside = Net(), torch.from_numpy(row)
            optimizer = torch.optim.Adam(network.parameters(), 0.03)
            for _ in range(150):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(network(torch.from_numpy(x)[inside]), torch.from_numpy(y)[inside])
                loss.backward()
                optimizer.step()
            states.append(copy.deepcopy(network.state_dict()))
    return states, members, {"x": x, "y": y}


@pytest.fixture(scope="module")
def audited(trained):
    states, members, data = trained
    signals = ("logit_margin", "curvature_hvp")
    return audit_models(states, members, data, Net, signals=signals, resamples=50)


@pytest.mark.slow
def test_online_lira_finds_members_of_all_models_and_of_each(audited):
    found = audited.result["attacks"]["logit_margin, lira_online"]
    assert found["all models"]["auc"]["low"] > 0.7
    assert found["all models"]["tpr_at_0.01"] is None  # of 60 samples no such rate can be told
    assert [*found][1:] == [f"model {k}" for k in range(MODELS)]
    assert min(found[f"model {k}"]["auc"]["value"] for k in range(MODELS)) > 0.6
    assert audited.metrics()["logit_margin/lira_online/auc"] == found["all models"]["auc"]["value"]
    row = next(each for each in audited.rows() if each["attack"] == "logit_margin, lira_online")
    assert (row["model"], row["auc_low"]) == ("all models", found["all models"]["auc"]["low"])
    assert all(inside > outside for inside, outside in (model["scores"] for model in audited.result["models"]))


@pytest.mark.slow
def test_signals_and_scores_are_those_of_the_same_networks_and_matrices(trained, audited):
    states, members, data = trained
    samples = Samples(torch.from_numpy(data["x"]), torch.from_numpy(data["y"]), torch.arange(SAMPLES))
    signal = np.empty((MODELS, SAMPLES))
    for row, state in zip(signal, states, strict=True):
        network = Net().double()
        network.load_state_dict(state)
        logits = called(network.eval(), samples.inputs.double()).detach().log_softmax(1)  # by running averages
        own = logits.gather(1, samples.targets[:, None])[:, 0]
        row[:] = own - logits.scatter(1, samples.targets[:, None], -torch.inf).logsumexp(1)
        model = ProbedModel(FlatModule(network, "fp64"), AsStored(), Classification())
        again = signals_named(["logit_margin"])["logit_margin"].measure(model, samples, np.random.default_rng(0))
        np.testing.assert_allclose(again, row)
    np.testing.assert_allclose(audited.arrays["logit_margin"], signal)
    values, scores, labels = audited.arrays["logit_margin"], audited.arrays["logit_margin, lira_online"], data["y"]
    for target in range(MODELS):
        rest = np.arange(MODELS) != target
        none = np.empty(0)
        evidence = Evidence(values[target], labels, none, none.astype(int), values[rest], members[rest])
        np.testing.assert_array_equal(scores[target], lira.online(evidence))
        own = audited.result["attacks"]["logit_margin, calibrated"][f"model {target}"]["auc"]["value"]
        assert own == Ranking(attacks_named(["calibrated"])["calibrated"].judge(evidence), members[target]).roc().auc


def test_what_lacks_something_is_left_out_and_told(trained, audited):
    told = " ".join(audited.result["notes"])
    assert "class_threshold compares with samples that no model trained on" in told
    assert not any("rmia" in name for name in audited.result["attacks"])
    states, members, data = trained
    assert "not used" not in told
    with_test = data | {"groups": data["y"], "x_test": data["x"][:20] + 3, "y_test": data["y"][:20]}
    more = audit_models(
        states, members, with_test, Net, signals=["loss"], attacks=["rmia", "class_threshold"], resamples=5
    )
    assert any("not used of the data: groups; known are x, y" in note for note in more.result["notes"])
    assert more.result["attacks"]["loss, rmia"]["all models"]["auc"]["value"] > 0.7
    turned = audit_models(states, members[::-1], data, Net, signals=["loss"], attacks=["threshold"], resamples=5)
    assert "see that row k of the mask is about model k" in " ".join(turned.result["notes"])


def test_groups_are_asked_as_one_and_may_not_be_cut(trained):
    states, members, data = trained
    pairs = np.repeat(members[:, ::2], 2, axis=1)
    grouped = data | {"group": np.arange(SAMPLES) // 2 + 100}
    found = audit_models(states, pairs, grouped, Net, signals=["loss"], attacks=["threshold"], resamples=5)
    assert (found.result["unit"], found.result["asked"]) == ("group", SAMPLES // 2)
    mean = found.arrays["loss"].reshape(MODELS, -1, 2).mean(2)
    np.testing.assert_allclose(found.arrays["loss, threshold"], mean)
    with pytest.raises(InputError, match=r"--members: model 0 trained on a part of \d+ of the groups"):
        audit_models(states, members, grouped, Net)


def changed(name):
    """``trained`` with one thing wrong: models, members, data, network and further settings."""

    def change(states, members, data):
        more, network = {}, Net
        states, members, data = [*states], members.copy(), dict(data)
        match name:
            case "key missing":
                states[2] = {key: value for key, value in states[2].items() if key != "0.bias"}
            case "key unexpected":
                states[2] = states[2] | {"9.weight": torch.ones(1)}
            case "wrapped":
                states[0] = {f"module.{key}": value for key, value in states[0].items()}
            case "shape":
                network, more = (lambda hidden: Net(hidden=hidden)), {"network_settings": {"hidden": 12}}
            case "nan":
                states[1] = states[1] | {"0.bias": torch.full((16,), torch.nan)}
            case "mask of numbers":
                members = members.astype(int)
            case "mask turned":
                members = members.T
            case "too few rows":
                members = members[1:]
            case "never in":
                members[:, 7] = False
            case "never out":
                members[:, 7] = True
            case "no non-member":
                members[3] = True
            case "no member":
                members[3] = False
            case "one-hot":
                data["y"] = np.eye(CLASSES)[data["y"]]
            case "labels from 1":
                data["y"] = data["y"] + 1
            case "floats for labels":
                data["y"] = data["y"].astype(float)
            case "text":
                data["y"] = data["y"].astype(str)
            case "nan in x":
                data["x"] = np.where(np.arange(6) == 2, np.nan, data["x"])
            case "lengths":
                data["y"] = data["y"][:-1]
            case "no y":
                del data["y"]
            case "mean alone":
                data["mean"] = np.zeros(6)
            case "wrong input":
                data["x"] = data["x"][:, :4]
            case "channels first":
                data["x"] = np.zeros((SAMPLES, 3, 8, 8), np.uint8)
            case "x_test alone":
                data["x_test"] = data["x"]
            case "batch statistics":
                network = Lonely
                states = [{k: v for k, v in s.items() if "running" not in k and "num" not in k} for s in states]
            case "unfit signal":
                more = {"signals": ["embedding_gradient"]}
            case "too few models":
                states, members, more = states[:2], members[:2], {"attacks": ["lira_online"]}
                members[1] = ~members[0]
            case "unknown attack":
                more = {"attacks": ["lira_onlin"]}
        return audit_models(states, members, data, network, **more)

    return change


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("key missing", r"model 2: lacks 0\.bias"),
        ("key unexpected", r"model 2: holds, and the network has not, 9\.weight"),
        ("wrapped", r"model 0: all names begin with 'module\.'"),
        ("shape", r"0\.weight has shape \(16, 6\), and \(12, 6\) in the network"),
        ("nan", r"model 1: 0\.bias holds values that are not finite"),
        ("mask of numbers", r"--members: members is int64[\s\S]*astype\(bool\)"),
        ("mask turned", r"--members: members has shape \(60, 8\), for 8 models[\s\S]*Transpose it"),
        ("too few rows", r"members has shape \(7, 60\), for 8 models and 60 samples"),
        ("never in", r"no model trained on 1 of the samples, such as 7"),
        ("never out", r"every model trained on 1 of the samples, such as 7"),
        ("no non-member", r"model 3 trained on all of the samples"),
        ("no member", r"model 3 trained on none of the samples"),
        ("one-hot", r"--data: y is one-hot, of shape \(60, 3\)[\s\S]*y\.argmax\(1\)"),
        ("labels from 1", r"--network: the network puts out 3 numbers, where the data ask for 4 classes"),
        ("floats for labels", r"y is float64, and no classes[\s\S]*y\.astype\(int\)"),
        ("text", r"y holds no numbers"),
        ("nan in x", r"x holds values that are NaN or infinite, in 60 of 60 samples"),
        ("lengths", r"arrays differ in their numbers of samples: x has 60, y has 59"),
        ("no y", r"holds no array y, but x"),
        ("mean alone", r"there is a mean alone"),
        ("wrong input", r"--network: the network cannot be given these samples"),
        ("channels first", r"with the channels in front[\s\S]*transpose\(0, 2, 3, 1\)"),
        ("x_test alone", r"there is x_test alone"),
        ("batch statistics", r"depends on chance, or on the other samples of its batch"),
        ("unfit signal", r"--signal: embedding_gradient needs tokens"),
        ("too few models", r"--attack: lira_online needs at least 2 models beside its target, and there are 1"),
        ("unknown attack", r"unknown name 'lira_onlin'"),
    ],
)
def test_bad_input_is_named(name, told, trained):
    with pytest.raises(InputError, match=told):
        changed(name)(*trained)


def test_images_are_normalised_as_training_did(trained):
    _, members, data = trained
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (SAMPLES, 2, 2, 1), dtype=np.uint8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, CLASSES))
    states = [nn.Linear(4, CLASSES).state_dict(prefix="1.") for _ in range(MODELS)]
    with_images = data | {"x": images}
    plain = audit_models(states, members, with_images, network, signals=["loss"], attacks=["threshold"], resamples=5)
    assert "pixel / 255" in " ".join(plain.result["notes"])
    same = {"x": (images / 255 - 0.5).transpose(0, 3, 1, 2) / 0.25}
    floats = audit_models(states, members, data | same, network, signals=["loss"], attacks=["threshold"], resamples=5)
    by_statistics = with_images | {"mean": 0.5, "std": np.array([0.25])}
    found = audit_models(states, members, by_statistics, network, signals=["loss"], attacks=["threshold"], resamples=5)
    np.testing.assert_allclose(found.arrays["loss"], floats.arrays["loss"])
    assert not np.allclose(found.arrays["loss"], plain.arrays["loss"])
    with pytest.raises(InputError, match=r"mean goes up to 127\.5: it is of images scaled to \[0, 1\]"):
        audit_models(states, members, with_images | {"mean": 127.5, "std": 60.0}, network)


def test_a_network_that_writes_to_its_inputs_is_measured_on_samples_as_they_are(trained):
    _, members, data = trained
    states = [nn.Linear(6, CLASSES).state_dict() for _ in range(MODELS)]
    chosen = {"signals": ["loss"], "attacks": ["threshold"], "resamples": 5}
    found = audit_models(states, members, data, Shifting(6, CLASSES), **chosen)
    shifted = data | {"x": data["x"] + 1}
    expected = audit_models(states, members, shifted, nn.Linear(6, CLASSES), **chosen)
    np.testing.assert_allclose(found.arrays["loss"], expected.arrays["loss"], rtol=1e-5)


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    states, members, data = trained
    for number, state in enumerate(states):
        save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / f"m{number}.safetensors")
    np.savez(tmp_path / "masks.npz", members=members)
    np.savez(tmp_path / "d.npz", **data)
    (tmp_path / "net.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


FILES = ("--models", "m*.safetensors", "--members", "masks.npz", "--data", "d.npz", "--network", "net.py:Net")


def command(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["rumormill", "audit", *args])
    try:
        cli.main()
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_the_command_writes_what_the_function_returns(folder, audited, monkeypatch, capsys):
    chosen = ("--signal", "logit_margin", "--attack", "lira_online", "--network-settings", "hidden=16")
    assert not command(monkeypatch, *FILES, *chosen, "--out", "found")
    assert capsys.readouterr().out.strip().endswith("found")
    with np.load(folder / "found" / "scores.npz") as scores:
        np.testing.assert_array_equal(scores["logit_margin, lira_online"], audited.arrays["logit_margin, lira_online"])
    assert (folder / "found" / "result.json").exists()
    page = pages.page((folder / "found" / "report.html").read_text())
    assert "Membership in models trained elsewhere" in page
    assert "m7.safetensors" in page
    assert "src=" not in page


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (FILES[2:], "--models: it is missing"),
        ((*FILES, "--replicas", "4"), "--replicas: there is no use for it"),
        ((*FILES, "--audit", "robustness"), "--audit: this audit needs a run"),
        ((*FILES[:-1], "net.py:Nett"), "there is no 'Nett' in net.py"),
        ((*FILES[:-1], "net.py:Net", "--network-settings", "depth=3"), "depth"),
        ((*FILES, "--network-settings", "hidden"), "'hidden' sets nothing"),
        ((*FILES, "--mean", "half"), "--mean: 'half' is no number"),
        ((*FILES, "--mean", "0.5"), "--data: there is a mean alone"),
        ((*FILES, "--task", "clasification"), "--task: unknown name 'clasification'"),
        (("--models", "n*.pt", *FILES[2:]), "--models: there is no file n*.pt"),
        (("somewhere", *FILES), "cannot be audited at once"),
        ((), "there is nothing to audit"),
    ],
)
def test_a_command_that_lacks_something_says_what(args, told, folder, monkeypatch, capsys):
    assert command(monkeypatch, *args) == 2
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda state: {"epoch": 3, "state_dict": dict(state)}, "is no state dict, but a dict of epoch, state_dict"),
        (lambda state: Net(), "holds Python objects beside tensors"),
        (lambda state: [1, 2], "is no state dict, but list"),
    ],
)
def test_files_that_hold_no_state_dict_are_named_and_nothing_in_them_is_executed(content, told, trained, tmp_path):
    states, members, data = trained
    torch.save(content(states[0]), tmp_path / "m.pt")
    with pytest.raises(InputError, match=told):
        audit_models([tmp_path / "m.pt", *states[1:]], members, data, Net)


def test_files_whose_order_is_not_certain_are_refused(tmp_path):
    for number in (1, 2, 10):
        save_file({"w": torch.ones(1)}, tmp_path / f"m{number}.safetensors")
    with pytest.raises(InputError, match=r"m1\.safetensors, m10\.safetensors, m2\.safetensors[\s\S]*pad the numbers"):
        audit_models(
            str(tmp_path / "m*.safetensors"), np.ones((3, 1), bool), {"x": np.ones((1, 1)), "y": np.zeros(1, int)}, Net
        )
