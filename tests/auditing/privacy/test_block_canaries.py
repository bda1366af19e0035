"""The audit of canaries in a block: what it reads off messages, what it shows by distance, and who is caught."""

import json

import numpy as np
import pytest
from reference.broken_dp import BROKEN
from reference.experiments import small
from reference.marks import first

from auditing.privacy.audit import EmpiricalPrivacyAudit
from auditing.privacy.mark_record import MarkRecord
from auditing.privacy.promise import Promise
from methods.differential_privacy.dp_sgd import DPSGD
from simulator import run
from simulator.core.errors import InputError
from simulator.privacy.accounting import GaussianSteps
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import audit

NODES, CANARIES = 5, 60
QUIET = (
    "topology.nodes=5", "data.public=[]", "data.partition=iid", "data.validation=0", "data.train_samples=400",
    "rounds=6", "evaluate.every=6", "training.batch_size=1000",
    "data.canaries={kind: block, number: 60, coins: 9, signs: '+-'}",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _installed(register):
    register("audits", "privacy", EmpiricalPrivacyAudit)
    for name, method in {"dp_sgd": DPSGD, **BROKEN}.items():
        register("methods", name, method)


def trained(path, *overrides, method="dp_sgd", noise=4.0):
    methods = [{"name": method, "clip": 0.1, "delta": 1e-5, "noise_multiplier": noise}]
    return run(small(*QUIET, *overrides, methods=methods), path)


def conducted(done, **settings):
    return json.loads((audit(done.path, EmpiricalPrivacyAudit.Config(**settings)) / "result.json").read_text())


def verdict(done):
    (section,) = EmpiricalPrivacyAudit.sections(AuditFolder(done.path / "audit" / "privacy"))
    return section.verdict


def verdict_of(folder):
    (run,) = folder.glob("*/audit")
    (section,) = EmpiricalPrivacyAudit.sections(AuditFolder(run / "privacy"))
    return section.verdict


@pytest.mark.parametrize(
    "changes",
    [
        ["training.optimizer={lr: 0.2, momentum: 0.9, weight_decay: 0.01}", "training.schedule={warmup: 3}"],
        ["training.local_steps=3", "topology.failures={absences: [[1, 2, 3]]}"],
    ],
)
def test_without_noise_what_is_read_off_is_how_often_each_canary_was_drawn(tmp_path, changes):
    done = trained(tmp_path, *changes, noise=0.0)
    steps = done.experiment.training.local_steps
    promise = Promise(1.0, 1e-5, GaussianSteps(1.0, 1.0, 1e-5, "rdp"), 6 * steps)
    record, kept = MarkRecord.of(done, [promise] * NODES), done.directory.partition()
    there = np.array([round.links.active for round in record.rounds])[:, :, None]
    for node in range(NODES):
        for other in range(NODES):
            whose = kept["canary_node"] == other
            expected = steps * kept["canary_included"][whose] * (other == node)
            assert record.shown(node, whose) == pytest.approx(expected * there[:, node], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("changes", first([[], ["training.batch_size=20", "training.local_steps=2"]]))
def test_sound_dp_sgd_keeps_its_promise_at_every_distance(tmp_path, changes):
    done = trained(tmp_path, *changes)
    found = conducted(done, confidence=1 - 1e-6)
    assert list(found["attacks"]) == ["canary block"]
    claim = max(promise["epsilon"] for promise in found["promises"])
    assert verdict(done).startswith("No node's empirical epsilon exceeds its promise.")
    assert "Flagged" not in verdict(done)
    assert [(each["distance"], each["remembers"]) for each in found["by_distance"]] == [
        (1, True), (2, True), (1, False), (2, False),
    ]  # fmt: skip
    for each in found["by_distance"]:
        assert each["canaries"] == NODES * CANARIES
        assert changes or each["contributed"] <= each["network"] + 1e-9
        assert each["promised"] == min(claim, each["network"]) or changes
        assert each["independent"]["epsilon"] <= each["promised"]


@pytest.mark.parametrize("kind", ["block", "direction"])
def test_coins_that_all_came_out_alike_are_refused(tmp_path, kind):
    done = trained(tmp_path, f"data.canaries={{kind: {kind}, number: 1, coins: 2}}", "topology.nodes=3")
    with pytest.raises(InputError, match=r"data\.canaries: the coins of all 3 canaries came out alike"):
        conducted(done)


@pytest.mark.slow
def test_random_directions_show_noise_that_is_missing_where_the_network_is(tmp_path):
    changes = ["data.canaries={kind: direction, number: 40, coins: 9}"]
    found = conducted(trained(tmp_path / "sound", *changes), confidence=1 - 1e-6)
    (name,) = found["attacks"]
    assert name == "canary direction"
    assert found["attacks"][name]["independent"] is None
    assert not found["by_distance"]
    assert verdict_of(tmp_path / "sound").startswith("No node's empirical epsilon exceeds its promise.")
    assert "Flagged" not in verdict_of(tmp_path / "sound")
    conducted(trained(tmp_path / "broken", *changes, method="block_noise", noise=16.0))
    assert verdict_of(tmp_path / "broken").startswith("A promise of privacy is broken")
    assert "the noise in all messages is 0." in verdict_of(tmp_path / "broken")
    sound_in_block = conducted(trained(tmp_path / "block", method="block_noise", noise=16.0))
    assert sound_in_block["noise"]["spreads"][0]["ratio"] == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_half_the_noise_is_caught_where_labels_would_not_tell(tmp_path):
    done = trained(tmp_path, method="half_noise", noise=2.0)
    found = conducted(done, confidence=0.99)
    assert found["attacks"]["canary block"]["independent"]["epsilon"] > max(p["epsilon"] for p in found["promises"])
    assert "all messages show an epsilon of at least" in verdict(done)
    assert "Flagged: the noise in all messages is 0.5" in verdict(done)


@pytest.mark.parametrize("broken", ["no_noise", pytest.param("batch_clipped", marks=pytest.mark.slow)])
def test_what_forgets_the_noise_or_clips_batches_breaks_its_promise(tmp_path, broken):
    done = trained(tmp_path, method=broken, noise=16.0)
    conducted(done)
    assert verdict(done).startswith("A promise of privacy is broken")


def test_a_node_that_reaches_nobody_is_named(tmp_path):
    done = trained(tmp_path, "topology.failures={links: 0.7}")
    with pytest.raises(InputError, match=r"topology\.failures: node \d reached nobody in round \d"):
        conducted(done)


def test_without_noise_of_a_known_size_there_is_nothing_to_weigh(tmp_path):
    with pytest.raises(InputError, match=r"methods: the run trained without noise of a known size"):
        conducted(trained(tmp_path, noise=0.0))
