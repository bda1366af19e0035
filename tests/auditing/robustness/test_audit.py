"""The audit on a run: what it writes, that it can be repeated, what the report says, and what it refuses."""

import numpy as np
import pytest
from reference.experiments import small

from auditing.robustness import RobustnessAudit
from simulator import run
from simulator.config.parsing import load_part
from simulator.core.errors import InputError
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import AUDITS, audit
from simulator.runs.report import write_run_report

QUICK = {
    "samples": 16,
    "steps": 4,
    "queries": 8,
    "size": 2,
    "hops": 1,
    "draws": 2,
    "eps": 0.1,
    "strengths": (0.5, 1.0),
}
DATA = {"dataset": "digits", "partition": "iid", "validation": 0.2, "train_samples": 600, "test_samples": 60}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    topology, methods = {"graph": "ring", "nodes": 6}, [{"name": "trend", "bits": [None, None, 1, 2, None, None]}]
    experiment = small("rounds=30", topology=topology, data=DATA, methods=methods, evaluate={"every": 30})
    return run(experiment, tmp_path_factory.mktemp("robustness"))


def conducted(done, **settings):
    return AuditFolder(audit(done.path, RobustnessAudit.Config(**{**QUICK, **settings}))).result()


@pytest.mark.slow
def test_the_result_holds_together(done):
    result = conducted(done, hosts=(0, 2))

    assert result["quantizers"] == ["none", "none", "1 bit", "2 bits", "none", "none"]
    host = result["hosts"][0]
    assert host["candidates"] == [0, 1, 5]
    assert host["surrogate"] == 4
    assert all(host["surrogate"] not in members for members in host["members"]["unquantized"])
    for accuracies in host["accuracies"].values():
        attacks = [value for name, value in accuracies.items() if name.startswith("adaptive: ")]
        assert len(attacks) == 8
        assert accuracies["adaptive"] <= min(attacks) <= max(attacks) <= accuracies["clean"]
    for rule in ("random", "best clean", "unquantized"):
        assert all(np.isfinite(value) for value in host["accuracies"][rule].values())
    compared = RobustnessAudit.metrics(result)
    both = [host["accuracies"]["least transferable"]["adaptive: pgd"] for host in result["hosts"]]
    assert compared["least_transferable/adaptive/pgd"] == np.mean(both)
    metric = np.array(result["transfers"]["metric"])
    assert metric.shape == (6, 6)
    assert ((np.diag(metric) == 1) | (np.diag(metric) == 0)).all()


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(done):
    one, other = ((audit(done.path, RobustnessAudit.Config(**QUICK)) / "result.json").read_bytes() for _ in range(2))

    assert one == other


def test_an_attacker_without_strength_changes_nothing(done):
    (host,) = conducted(done, eps=0.0)["hosts"]

    for accuracies in host["accuracies"].values():
        assert len(set(accuracies.values())) == 1


@pytest.mark.slow
def test_the_report_has_a_section_with_tables_and_figures(done):
    audit(done.path, RobustnessAudit.Config(**QUICK, answer="vote"))
    text = write_run_report(done.directory).read_text()

    for words in ("Audit: robustness", "masked gradients", "Which attacks transfer", "How transfer grows", "2 bits"):
        assert words in text


@pytest.mark.slow
def test_a_run_without_quantizers_can_be_audited(tmp_path):
    plain = run(small("rounds=2", topology={"graph": "ring", "nodes": 6}, data=DATA, methods=[]), tmp_path)
    result = conducted(plain)

    assert set(result["quantizers"]) == {"none"}
    for accuracies in result["hosts"][0]["accuracies"].values():
        assert accuracies["naive"] == pytest.approx(accuracies["adaptive: pgd"])  # there is nothing to mask


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"eps": -0.1}, "eps: input"),
        ({"strengths": [0.02, -0.1]}, "strengths: strengths are multiples"),
        ({"strengths": [0.1]}, "strengths: "),
        ({"answer": "loudest"}, "answer: "),
    ],
)
def test_settings_are_checked_before_anything(settings, complaint):
    with pytest.raises(InputError, match=complaint):
        load_part(AUDITS, {"name": "robustness", **settings})


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"attacks": ("pdg",)}, "--attack: unknown name 'pdg'"),
        ({"attacks": ("square",)}, "--attack: no attack is asked for"),
        ({"hosts": (6,)}, "hosts: there is no node 6"),
        ({"size": 4}, "size: node 0 can ask 3 nodes"),
        ({"hops": 3}, "hops: every node"),
    ],
)
def test_what_cannot_be_measured_is_refused_and_nothing_is_written(settings, complaint, done):
    before = sorted((file, file.stat().st_mtime_ns) for file in done.path.glob("audit/*/*"))
    with pytest.raises(InputError, match=complaint):
        conducted(done, **settings)
    assert sorted((file, file.stat().st_mtime_ns) for file in done.path.glob("audit/*/*")) == before


def test_without_validation_images_there_is_nothing_to_choose_by(tmp_path):
    data = {**DATA, "validation": 0.0}
    bare = run(small("rounds=1", topology={"graph": "ring", "nodes": 6}, data=data, methods=[]), tmp_path)

    with pytest.raises(InputError, match=r"data\.validation: node 0"):
        conducted(bare)
