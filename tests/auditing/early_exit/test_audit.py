"""The account of exits on finished runs: what it writes, shows and refuses."""

import json

import pytest
from reference.multi_exit import PKD, clips

from auditing.early_exit.audit import EarlyExitAudit
from simulator import run
from simulator.core.errors import InputError
from simulator.results.audit_folder import AuditFolder
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(clips(methods=[PKD]), tmp_path_factory.mktemp("runs")).path


@pytest.mark.slow
def test_the_result_is_complete_repeatable_and_in_the_report(finished):
    results = audit(finished, EarlyExitAudit.Config())
    first = (results / "result.json").read_bytes()
    result = json.loads(first)
    assert result["exits"] == [[m, s] for m in ("mv", "residual", "iframe") for s in (1, 2)]
    assert result["macs"]["passed"] == sorted(result["macs"]["passed"])
    for name in ("WISE", "equal weights"):
        assert result["found"][f"{name}/at"]["mean"][-1] == pytest.approx(result["found"][f"{name}/prefix"]["mean"][-1])
    assert all(loss > 0 for loss, _ in result["flatness"].values())
    assert audit(finished, EarlyExitAudit.Config()) == results
    assert (results / "result.json").read_bytes() == first
    page = write_run_report(RunDirectory.open(finished)).read_text()
    assert "WISE: exits weighed" in page
    assert "Accuracy against cost" in page


@pytest.mark.slow
def test_exits_alone_are_as_accurate_as_the_method_logged(finished):
    result = json.loads((audit(finished, EarlyExitAudit.Config()) / "result.json").read_text())
    directory = RunDirectory.open(finished)
    for (modality, stage), accuracy in zip(result["exits"], result["found"]["exits"]["mean"], strict=True):
        assert directory.series(f"pkd/accuracy/{modality}/{stage}")[1][-1].mean() == pytest.approx(accuracy)
    compared, logged = directory.audit_metrics(), directory.series("pkd/accuracy/internal")[1][-1].mean()
    assert compared["audit/early_exit/internal"] == pytest.approx(logged)
    assert compared["audit/early_exit/WISE/at_1"] == result["found"]["WISE/at"]["mean"][-1]


@pytest.mark.slow
def test_the_order_of_streams_can_be_chosen(finished):
    result = json.loads(
        (audit(finished, EarlyExitAudit.Config(modalities=("iframe", "mv"))) / "result.json").read_text()
    )
    assert [exit[0] for exit in result["exits"]] == ["iframe"] * 2 + ["mv"] * 2
    with pytest.raises(InputError, match=r"modalities: the network has no stream 'mw'") as caught:
        audit(finished, EarlyExitAudit.Config(modalities=("mw",)))
    assert "Did you mean 'mv'?" in str(caught.value)


@pytest.mark.slow
def test_a_price_that_leaves_no_exit_a_weight_is_said(finished):
    (said,) = EarlyExitAudit.sections(AuditFolder(audit(finished, EarlyExitAudit.Config(l1=1e6))))

    assert "leaves no exit a weight at 100.0% of the nodes" in said.verdict
    assert any("Set l1 lower" in paragraph for paragraph in said.paragraphs)
    (said,) = EarlyExitAudit.sections(AuditFolder(audit(finished, EarlyExitAudit.Config(l1=1e-6))))
    assert not any("Set l1 lower" in paragraph for paragraph in said.paragraphs)


def test_a_run_without_validation_samples_or_exits_is_refused(tmp_path):
    done = run(clips("data.validation=0", "model=mlp", rounds=1), tmp_path)
    with pytest.raises(InputError) as caught:
        audit(done.path, EarlyExitAudit.Config())
    where = [problem.where for problem in caught.value.problems]
    assert where == ["model", "data.validation"]
    assert not (done.path / "audit").exists()


def test_settings_without_sense_are_refused():
    with pytest.raises(ValueError, match="l1"):
        EarlyExitAudit.Config(l1=0)
