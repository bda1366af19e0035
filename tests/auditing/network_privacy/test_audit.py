"""The audit network_privacy on small runs, from the command line to the report; and one with canaries."""

import json
import sys

import numpy as np
import pytest
import torch
from reference.experiments import small
from reference.marks import MANY

from auditing.network_privacy.audit import NetworkPrivacyAudit
from auditing.network_privacy.network_dp import network_epsilon
from auditing.network_privacy.report import section
from auditing.privacy.empirical_epsilon import one_run
from methods.differential_privacy.correlated_noise import CorrelatedNoise
from simulator import cli, run
from simulator.config.parsing import load_experiment
from simulator.core.declaration import Declared
from simulator.core.errors import InputError
from simulator.core.linear_memory import Memory
from simulator.core.method import Method
from simulator.core.registry import PartSettings
from simulator.core.samples import Samples
from simulator.core.traits import Traits
from simulator.privacy.gaussian_dp import epsilon_of
from simulator.runs.audit import audit
from simulator.runs.run import Run
from topologies import Topology

RING = Topology.build("ring", 6)
TINY = ("rounds=3", "topology.nodes=6", "data.public=[]", "evaluate.every=3", "data.partition=iid")
CORRELATED = {"name": "correlated_noise", "noise_multiplier": 2.0, "correlated_multiplier": 0.5, "clip": 0.1}


class NoisyGradients(Method):
    """Has settings as DP-SGD has them, and saves what it gave its nodes."""

    class Config(PartSettings):
        name: str = "noisy_gradients"
        noise_multiplier: float | None = None
        target_epsilon: float | None = None
        clip: float = 1.0

    @classmethod
    def traits(cls, config):
        return Traits(memory=Memory())

    def finalize(self, node):
        node.save("noisy_gradients", noise_multiplier=np.array(1.0 + node.id))


class Chatty(Method):
    """Sends something of its own."""

    Config = type("Config", (PartSettings,), {"__annotations__": {"name": str}, "name": "chatty"})

    @classmethod
    def traits(cls, config):
        return Traits(memory=Memory())

    def parts(self, node, sender, round):
        return {"gossip": Declared(torch.float32, (1,))}

    def outgoing(self, node, message):
        return type(message)(
            message.sender, message.receiver, message.round, {**message.parts, "gossip": torch.ones(1)}
        )


@pytest.fixture(autouse=True)
def _installed(register):
    register("audits", "network_privacy", NetworkPrivacyAudit)
    for method in (CorrelatedNoise, NoisyGradients, Chatty):
        register("methods", method.Config.model_fields["name"].default, method)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run(small(*TINY), tmp_path_factory.mktemp("plain"))


def conducted(path, **settings):
    return json.loads((audit(path, NetworkPrivacyAudit.Config(**settings)) / "result.json").read_text())


def refused(path, match, **settings):
    with pytest.raises(InputError, match=match):
        audit(path, NetworkPrivacyAudit.Config(**settings))
    assert not (path / "audit").exists()


def test_a_run_with_correlated_noise_needs_no_settings(tmp_path):
    found = conducted(run(small(*TINY, methods=[CORRELATED]), tmp_path).path)
    expected = network_epsilon(RING, 3, 2.0, 1e-5, correlated_multiplier=0.5)
    np.testing.assert_allclose(np.array(found["epsilon"], dtype=float), expected)
    assert found["noise"]["source"] == "correlated_noise"
    assert found["published"] is None
    assert found["block"] is None
    # A node that sees all messages knows the noise it shares, so it faces a little more than its own part.
    assert np.nanmax(expected) < found["all_messages"] < epsilon_of(np.sqrt(3) / 2, 1e-5)


@pytest.mark.slow
def test_a_run_without_noise_is_accounted_as_if(plain, monkeypatch, capsys):
    command = ["rumormill", "audit", str(plain.path), "noise_multiplier=2", "graphs=[ring, hypercube]"]
    monkeypatch.setattr(sys, "argv", [*command, "--audit", "network_privacy"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    folder = plain.path / "audit" / "network_privacy"
    assert capsys.readouterr().out.strip() == str(folder)
    found = json.loads((folder / "result.json").read_text())
    expected = network_epsilon(RING, 3, 2.0, 1e-5)
    assert found["by_distance"] == found["graphs"]["ring"]
    assert [at["largest"] for at in found["by_distance"]] == pytest.approx([expected[0, d] for d in (1, 2, 3)])
    assert [at["pairs"] for at in found["by_distance"]] == [12, 12, 6]
    assert all(
        far["largest"] >= at["largest"] for far, at in zip(found["published"], found["by_distance"], strict=True)
    )
    (left_out,) = found["left_out"]
    assert "hypercube" in left_out
    html = (plain.path / "report.html").read_text()
    for shown in ("Audit: network privacy", "Epsilon by distance", "Epsilon from node to node", "assumed", "hypercube"):
        assert shown in html
    first = (folder / "result.json").read_bytes()
    conducted(plain.path, noise_multiplier=2, graphs=("ring", "hypercube"))
    assert (folder / "result.json").read_bytes() == first


def test_blocks_and_relations(plain):
    once, twice, told = (
        conducted(plain.path, noise_multiplier=2, graphs=(), **changes)
        for changes in ({}, {"relation": "replace"}, {"block": 1})
    )
    assert twice["all_messages"] > 2 * once["all_messages"]
    assert told["block"] == 1
    # At distance 3 nothing is seen of three rounds but what is told after the first and the second.
    assert once["by_distance"][2]["largest"] < 0.5
    assert told["by_distance"][2]["largest"] == pytest.approx(epsilon_of(np.sqrt(2) / 2, 1e-5))


def test_noise_on_gradients_is_read_from_settings_or_from_what_nodes_saved(tmp_path):
    steps = {"training": {"local_steps": 4, "batch_size": 8}}
    given = run(small(*TINY, methods=[{"name": "noisy_gradients", "noise_multiplier": 2.0}], **steps), tmp_path / "a")
    found = conducted(given.path, graphs=())
    expected = network_epsilon(RING, 3, 2.0, 1e-5, sensitivity=2.0)  # the square root of four steps
    np.testing.assert_allclose(np.array(found["epsilon"], dtype=float), expected)
    saved = run(small(*TINY, methods=[{"name": "noisy_gradients", "target_epsilon": 1.0}], **steps), tmp_path / "b")
    found = conducted(saved.path, graphs=())
    assert found["noise"]["noise_multipliers"] == [1, 2, 3, 4, 5, 6]
    assert found["published"] is None
    assert found["epsilon"][0][1] > found["epsilon"][5][4]
    for artifact in saved.path.glob("artifacts/*"):
        artifact.unlink()
    with pytest.raises(InputError, match="rumormill resume"):
        conducted(saved.path)


@pytest.mark.slow
def test_a_learning_rate_that_falls_moves_epsilon(tmp_path):
    method, falling = [{"name": "noisy_gradients", "noise_multiplier": 1.0}], {"milestones": [0.3, 0.6], "gamma": 0.1}
    found = [
        conducted(run(small(*TINY, methods=method, training={"schedule": s}), tmp_path / n).path, graphs=())["epsilon"]
        for n, s in (("a", {}), ("b", falling))
    ]
    assert found[0][2][0] != found[1][2][0]


HEAVY = {"optimizer": {"lr": 0.1, "weight_decay": 5.0}}  # a shrink of a half a step
QGM = {"name": "quasi_global_momentum", "nesterov": False}
EARLY = {"name": "gossip", "order": "combine_then_adapt"}


@pytest.mark.parametrize(
    ("changes", "expected", "memory"),
    [
        ({}, [3.21, 1.38, 0.67, 0.41], []),
        ({"methods": [QGM]}, [3.19, 1.50, 0.83, 0.57], ["quasi_global_momentum"]),
        pytest.param(
            {"methods": [{"name": "quasi_global_momentum"}]}, [3.19, 1.49, 0.82, 0.55], ["quasi_global_momentum"],
            marks=MANY,
        ),
        ({"training": HEAVY}, [3.30, 0.52, 0.09, 0.02], ["weight decay"]),
        ({"mixer": EARLY}, [3.03, 1.28, 0.59, 0.34], ["the order of gossip"]),
    ],
    ids=["plain", "quasi_global_momentum", "with nesterov", "weight decay", "combine then adapt"],
)  # fmt: skip
def test_what_nodes_remember_reaches_far(changes, expected, memory, tmp_path):
    """Ten rounds on a ring of 8, noise 4; the values are those of impulses through the training itself."""
    done = run(small(*TINY, "rounds=10", "topology.nodes=8", **changes), tmp_path)
    found = conducted(done.path, noise_multiplier=4, graphs=())
    assert [round(at["largest"], 2) for at in found["by_distance"]] == expected
    assert found["memory"] == memory
    assert (found["published"] is None) == bool(memory)
    assert any("followed exactly" in text for text in section(found).paragraphs) == bool(memory)


def test_a_run_of_nodes_with_different_inputs_is_refused(plain, monkeypatch):
    held = load_experiment(plain.directory.experiment)
    apart = held.model_copy(update={"data": held.data.model_copy(update={"modality_by_node": ("a", "b") * 3})})
    monkeypatch.setattr(Run, "experiment", apart)
    with pytest.raises(InputError, match="different modalities"):
        audit(plain.path, NetworkPrivacyAudit.Config(noise_multiplier=1.0))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"methods": [CORRELATED, {"name": "noisy_gradients", "noise_multiplier": 1.0}]}, "both add noise"),
        ({"methods": [{"name": "noisy_gradients", "noise_multiplier": 1.0}],
          "training": {"nodes": {"1": {"batch_size": 2}}}}, "steps or batches differ"),
        ({"methods": [CORRELATED, {"name": "chatty"}]}, "messages carry gossip"),
        ({"methods": [CORRELATED], "mixer": {"name": "push_sum"}}, "mixer: gossip"),
        ({"methods": [CORRELATED, {"name": "gradient_tracking"}]}, "gradient_tracking, with these settings, declares"),
        ({"methods": [CORRELATED], "training": {"optimizer": {"weight_decay": 0.1}}}, "clips updates"),
        ({"methods": [CORRELATED, {"name": "quasi_global_momentum"}]}, "clips updates"),
        ({"methods": [CORRELATED | CorrelatedNoise.neutral]}, "without noise"),
    ],
)  # fmt: skip
def test_what_cannot_be_accounted_is_refused(changes, match, tmp_path):
    refused(run(small(*TINY, **changes), tmp_path).path, match)


def test_settings_that_say_nothing_are_refused(tmp_path):
    path = run(small(*TINY, methods=[CORRELATED]), tmp_path / "with").path
    refused(path, "own noise", noise_multiplier=1.0)
    without = run(small(*TINY), tmp_path / "without").path
    refused(without, "noise_multiplier=1.0")


def test_a_setting_misspelt_on_the_command_line_is_refused(plain, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rumormill", "audit", str(plain.path), "detla=1", "--audit", "network_privacy"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "'delta'" in capsys.readouterr().err


@pytest.mark.slow
def test_canaries_of_a_run_without_noise_give_a_lower_bound_and_untrained_ones_none(tmp_path):
    """Six nodes that learn 40 of 80 mislabelled digits by heart; the score of a canary is minus its loss."""
    changes = ["data.canaries=80", "data.validation=0", "data.train_samples=900", "training.local_steps=150"]
    done = run(small(*TINY, *changes, "rounds=2", "model.hidden=[64]", "training.optimizer.lr=0.5"), tmp_path)
    partition, start = done.directory.partition(), done.blueprint.nodes(range(6))
    found = []
    for nodes in (done.nodes, start):
        module = done.blueprint.module()
        for node in nodes[:2]:
            mine, train = partition["canary_node"] == node.id, node.data.train
            canaries = Samples(train.inputs, train.targets, torch.from_numpy(partition["canary_index"][mine]))
            labels = torch.from_numpy(partition["canary_label"][mine])
            assert (canaries.targets_at(torch.arange(80)) == labels).all()
            with torch.no_grad(), node.using(module):
                scores = -torch.nn.functional.cross_entropy(node.outputs(canaries), labels, reduction="none").numpy()
            found.append(one_run(scores, partition["canary_included"][mine], 40, 1e-5))
    assert all(0.8 < bound.epsilon <= bound.ceiling for bound in found[:2])
    assert all(bound.epsilon == 0 for bound in found[2:])
