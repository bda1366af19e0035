"""The audit that puts a promise next to what an attack achieves: sound DP-SGD keeps its word, broken ones do not."""

import json
import shutil
import sys

import numpy as np
import pytest
from reference.broken_dp import BROKEN
from reference.experiments import small
from reference.marks import first

from auditing.candidates import Candidates
from auditing.membership.audit import MembershipAudit
from auditing.privacy.audit import EmpiricalPrivacyAudit
from auditing.privacy.empirical_epsilon import one_run
from auditing.privacy.gaussian_bounds import one_run_gaussian
from methods.differential_privacy.dp_sgd import DPSGD
from methods.differential_privacy.node_dp import NodeDP
from simulator import cli, run
from simulator.core.errors import InputError
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report

TINY = (
    "topology.nodes=3", "data.public=[]", "data.partition=iid", "data.canaries=100", "data.train_samples=450",
    "data.validation=0", "evaluate.every=12", "rounds=12", "record.every=1", "training.batch_size=200",
    "training.local_steps=1",
)  # fmt: skip
METHODS = {"dp_sgd": DPSGD, "node_dp": NodeDP, **BROKEN}
SURE = 1 - 1e-6
REGRESSION = "update regression"


@pytest.fixture(autouse=True)
def _installed(register):
    for name, kind in (("privacy", EmpiricalPrivacyAudit), ("membership", MembershipAudit)):
        register("audits", name, kind)
    for name, method in METHODS.items():
        register("methods", name, method)


def trained(path, method="", *overrides, **settings):
    """A ring whose nodes train with ``method``; every batch is the whole set unless ``overrides`` say otherwise."""
    methods = [{"name": method, "clip": 0.1, "delta": 1e-5, "noise_multiplier": 16.0, **settings}] if method else []
    return run(small(*TINY, *overrides, methods=methods), path)


def conducted(path, **settings):
    return json.loads((audit(path, EmpiricalPrivacyAudit.Config(**settings)) / "result.json").read_text())


def verdict(path):
    (section,) = EmpiricalPrivacyAudit.sections(AuditFolder(path / "audit" / "privacy"))
    return section.verdict


def bounds(found, attack=REGRESSION):
    of = found["attacks"][attack]
    return np.array([*(each["epsilon"] for each in of["nodes"]), of["pooled"]["epsilon"]])


def claims(found):
    claimed = [promise["epsilon"] for promise in found["promises"]]
    return np.array([*claimed, max(claimed)])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize(
    "changes", first([[], ["seed=1"], ["seed=2", "training.batch_size=30", "training.local_steps=3"]])
)
@pytest.mark.slow
def test_sound_dp_sgd_keeps_its_promise(tmp_path, changes):
    """So sure that chance practically never says otherwise; such certainty needs a smaller delta."""
    done = trained(tmp_path, "dp_sgd", *changes, delta=1e-9)
    found = conducted(done.path, confidence=SURE)
    for attack in found["attacks"]:
        assert (bounds(found, attack) <= claims(found)).all()
    assert found["attacks"][REGRESSION]["pooled"]["ceiling"] > claims(found).max()  # it could have been refuted
    assert found["flags"] == []
    assert "No node's empirical epsilon exceeds its promise." in verdict(done.path)


@pytest.mark.parametrize("broken", first(["batch_clipped", "no_noise"]))
@pytest.mark.slow
def test_what_forgets_the_noise_or_clips_batches_is_caught(tmp_path, broken):
    done = trained(tmp_path, broken)
    found = conducted(done.path)
    assert bounds(found)[-1] > claims(found)[-1]
    assert "A promise of privacy is broken" in verdict(done.path)
    assert "all nodes shows an epsilon of at least" in verdict(done.path)


@pytest.mark.slow
def test_shuffled_batches_that_are_accounted_as_poisson_samples_are_flagged(tmp_path):
    done = trained(tmp_path, "shuffled", "training.batch_size=20")
    (flag,) = conducted(done.path)["flags"]
    assert flag.startswith("shuffled accounts for Poisson samples, and the batches of nodes 0, 1, 2 are shuffled ones")
    assert f"Flagged: {flag}" in verdict(done.path)


@pytest.mark.slow
def test_passes_keep_their_promise_and_batches_that_are_no_parts_of_them_are_flagged(tmp_path):
    settings = {"delta": 1e-9, "sampling": "shuffled"}
    done = trained(tmp_path / "sound", "dp_sgd", "training.batch_size=50", "training.local_steps=3", **settings)
    found = conducted(done.path, confidence=SURE)
    assert (bounds(found) <= claims(found)).all()
    assert found["flags"] == []
    assert "each sample is in one step of every pass" in (write_run_report(done.directory)).read_text()
    (flag,) = conducted(trained(tmp_path / "joined", "shuffled", "training.batch_size=20", **settings).path)["flags"]
    assert flag.startswith("shuffled accounts for one step of each pass, and the batches of nodes 0, 1, 2 are no parts")


@pytest.mark.slow
def test_node_level_privacy_promises_less_of_one_sample(tmp_path):
    """What differs is one data set from another, so half the noise counts."""
    done = trained(tmp_path, "node_dp")
    found, (whole,) = conducted(done.path), {each.value for each in last(done, "privacy/epsilon")}
    halved = trained(tmp_path / "halved", "node_dp", noise_multiplier=8.0)
    (doubled,) = {each.value for each in last(halved, "privacy/epsilon")}
    assert claims(found) == pytest.approx(doubled)
    assert doubled > 2 * whole


def last(done, name):
    return [each for each in done.metrics() if (each.name, each.round) == (name, 12)]


def test_without_a_promise_memorised_canaries_are_found(plain):
    found = conducted(plain.path)
    assert found["promises"] == [{"epsilon": None, "delta": 1e-5}] * 3
    assert bounds(found)[-1] > 3
    assert verdict(plain.path).startswith("No privacy was promised; canaries show an epsilon of at least 3.")
    assert "could not have detected an epsilon above 3." in verdict(plain.path) or "above 4." in verdict(plain.path)
    assert found["perfect_attack"] is None
    assert list(found["attacks"]) == [
        REGRESSION, "loss, final model", "loss, message", "loss, all rounds", "loss, global",
    ]  # fmt: skip


@pytest.mark.slow
def test_no_noise_at_all_promises_nothing(tmp_path):
    assert conducted(trained(tmp_path, "dp_sgd", noise_multiplier=0.0).path)["promises"][0]["epsilon"] is None


def test_bounds_are_those_of_the_guesses(plain, monkeypatch):
    """Of scores that say nothing but the coins themselves, every guess is right; half of the canaries are guessed."""
    kept = plain.directory.partition()
    monkeypatch.setattr("auditing.privacy.audit.scores_of", lambda *_: {"coins": kept["canary_included"].astype(float)})
    nodes, pooled = (conducted(plain.path, guessed=0.5)["attacks"]["coins"][which] for which in ("nodes", "pooled"))
    mine = kept["canary_included"][kept["canary_node"] == 0]
    expected = one_run(mine.astype(float), mine, 50, 1e-5)
    assert nodes[0] == vars(expected)
    assert expected.epsilon == expected.ceiling < pooled["epsilon"] == pooled["ceiling"]
    assert (pooled["correct"], pooled["guesses"]) == (150, 150)
    gaussian = json.loads((plain.path / "audit/privacy/result.json").read_text())["attacks"]["coins"]["gaussian"]
    assert gaussian == vars(one_run_gaussian(300, 150, 150, 1e-5))
    assert gaussian["epsilon"] > pooled["epsilon"]


def test_the_final_model_is_enough_where_nothing_was_recorded(tmp_path):
    done = trained(tmp_path, "", "record.every=null")
    assert list(conducted(done.path, recorded=0.0)["attacks"]) == ["loss, final model"]


def test_a_run_of_which_too_few_rounds_were_recorded_is_refused(tmp_path):
    done = trained(tmp_path, "", "record.every=4")
    with pytest.raises(InputError, match=r"record: 3 of 12 rounds were recorded[^$]*record.every=1 record.without"):
        conducted(done.path)
    assert not (done.path / "audit").exists()
    assert conducted(done.path, recorded=0.25)["recorded"] == {"rounds": 3, "of": 12}


@pytest.mark.slow
def test_recorded_rounds_and_what_could_not_have_been_seen_are_told(tmp_path):
    """Fewer recorded rounds show less, even to a perfect attack; without mixed models the audit has all it reads."""
    done = trained(tmp_path, "dp_sgd", "record.without=[mixed]", noise_multiplier=8.0)
    found = conducted(done.path)
    assert next(iter(found["attacks"])) == REGRESSION
    whole = found["perfect_attack"]["pooled"]
    assert (
        0 < whole["typical"] < whole["most"] < min(claims(found)[-1], found["attacks"][REGRESSION]["pooled"]["ceiling"])
    )
    ceiling = f"{found['attacks'][REGRESSION]['pooled']['ceiling']:.3g}"
    assert f"This test could not have detected an epsilon above {ceiling} whatever the noise, nor" in verdict(done.path)
    assert "a perfect attack on all 12 rounds exceeds" in verdict(done.path)
    for folder in sorted((done.path / "recordings").iterdir())[3:]:
        shutil.rmtree(folder)
    few = conducted(done.path, recorded=0.0)["perfect_attack"]["pooled"]
    assert few["most"] < whole["most"]
    assert "on the 3 recorded of 12 rounds exceeds" in verdict(done.path)
    metrics = EmpiricalPrivacyAudit.metrics(AuditFolder(done.path / "audit" / "privacy").result())
    assert (metrics["recorded"], metrics["perfect_attack"]) == (0.25, few["typical"])


@pytest.mark.slow
def test_the_command_repeats_itself_and_shows_the_membership_audit_beside(tmp_path, monkeypatch, capsys):
    done = trained(tmp_path, "dp_sgd", "data.held_out=0.2", "data.canaries=30", "rounds=3", "evaluate.every=3")
    command = ["rumormill", "audit", str(done.path)]
    for options in (["--signal", "loss", "--attack", "threshold", "resamples=20"], ["--audit", "privacy"]):
        monkeypatch.setattr(sys, "argv", [*command, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
    folder = done.path / "audit" / "privacy"
    assert capsys.readouterr().out.split()[-1] == str(folder)
    first = (folder / "result.json").read_bytes()
    conducted(done.path)
    assert (folder / "result.json").read_bytes() == first
    found, membership = json.loads(first), json.loads((folder.parent / "membership" / "result.json").read_text())
    assert found["membership_auc"] == membership["victims"]["final model"]
    assert found["accuracy"] == [each.value for each in done.metrics() if each.name == "test/accuracy"][-3:]
    html = (done.path / "report.html").read_text()
    for shown in ("Audit: privacy", "claimed epsilon", "empirical lower bound", "ceiling", "attack AUC", "all nodes"):
        assert shown in html


def test_canaries_are_no_candidates_of_the_membership_audit(plain):
    """Their wrong labels would tell members from non-members."""
    canaries = plain.directory.partition()["canary_index"]
    nodes = plain.nodes
    for node in nodes:
        node.data = node.data.__class__(**{**vars(node.data), "held_out": node.data.test})
    assert not np.isin(Candidates.of(nodes, 1000, canaries).samples.index, canaries).any()


def test_an_unknown_signal_is_refused(plain):
    with pytest.raises(InputError, match=r"--signal: unknown name 'los'[^$]*Did you mean 'loss'"):
        audit(plain.path, EmpiricalPrivacyAudit.Config(signals=("los",)))


def test_a_run_without_canaries_is_refused(tmp_path):
    done = trained(tmp_path, "", "data.canaries=0", "rounds=1", "evaluate.every=1")
    with pytest.raises(InputError, match=r"data.canaries: this run has no canaries[^$]*data.canaries=20 "):
        conducted(done.path)
    assert not (done.path / "audit").exists()


def test_a_run_that_has_not_told_what_it_spent_is_refused(tmp_path):
    done = trained(tmp_path, "dp_sgd", "rounds=1", "evaluate.every=1")
    next((done.path / "artifacts").glob("dp_sgd-*")).unlink()
    with pytest.raises(InputError, match=r"methods.dp_sgd: the nodes have not told[^$]*rumormill resume"):
        conducted(done.path)
