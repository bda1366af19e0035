"""What all audits have in common: the run is opened and checked once, everything is told, the result comes last."""

import json
import shutil
import signal
import sys
from typing import ClassVar

import numpy as np
import pytest
from reference.experiments import At, small

from auditing.memorization import MemorizationAudit
from simulator import cli, resume, run
from simulator.core.errors import InputError, Problem, RunError
from simulator.core.registry import PartSettings
from simulator.core.report import Section
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import Audit, audit, audit_settings
from simulator.runs.report import write_run_report
from simulator.runs.run import Run


class Mean(Audit):
    """Of all parameters; from another package."""

    class Config(PartSettings):
        name: str = "mean"
        scale: float = 1.0
        attacks: tuple[str, ...] = ()

    names: ClassVar = {"attacks": ("arithmetic", "geometric")}
    stopped = False

    def objections(self, run):
        if self.config.scale < 0:
            yield Problem("scale", "is below 0.", "Set it higher.")
            yield Problem("scale", "is no good.", "Set it right.")

    def conduct(self, run, folder):
        folder.save_arrays({"means": np.array([node.parameters.mean().item() for node in run.nodes])})
        if self.stopped:
            raise KeyboardInterrupt
        return {"round": run.nodes[0].round, "range": (0, self.config.scale * len(run.nodes))}

    @classmethod
    def metrics(cls, result):
        return {"most": result["range"][1]}

    @classmethod
    def sections(cls, folder):
        return [Section("Means", [f"of {len(folder.arrays()['means'])} nodes, scale {folder.result()['range'][1]}"])]


@pytest.fixture(autouse=True)
def _brought(register):
    register("audits", "mean", Mean)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(small("rounds=2", "data.public=[]"), tmp_path_factory.mktemp("runs")).path


def test_the_base_writes_the_settings_and_what_was_found_and_tells_the_time_elsewhere(finished, capsys):
    folder = AuditFolder(audit(finished, Mean.Config(scale=2.0)))
    settings = {"name": "mean", "attacks": [], "signals": [], "replicas": 0, "scale": 2.0}
    assert folder.result() == {"settings": settings, "round": 2, "range": [0, 8.0]}
    assert json.loads((folder.path / "metrics.json").read_text()) == {"most": 8.0}
    assert "mean: audited in 0:00:0" in capsys.readouterr().err
    assert "of 4 nodes, scale 8.0" in write_run_report(folder.run).read_text()


def test_all_objections_are_told_at_once_and_nothing_is_written(finished):
    before = (audit(finished, Mean.Config()) / "result.json").read_bytes()
    with pytest.raises(InputError) as caught:
        audit(finished, Mean.Config(scale=-1.0))
    assert [problem.what for problem in caught.value.problems] == ["is below 0.", "is no good."]
    with pytest.raises(InputError) as caught:
        audit(finished, Mean.Config(attacks=("geometrical", "harmonic")))
    assert [problem.where for problem in caught.value.problems] == ["--attack", "--attack"]
    assert "Did you mean 'geometric'?" in str(caught.value)
    assert (finished / "audit" / "mean" / "result.json").read_bytes() == before


def test_an_audit_that_does_not_end_leaves_no_result(finished, monkeypatch):
    audit(finished, Mean.Config())
    monkeypatch.setattr(Mean, "stopped", True)
    with pytest.raises(KeyboardInterrupt):
        audit(finished, Mean.Config())
    assert not (finished / "audit" / "mean" / "result.json").exists()


def test_a_run_that_was_stopped_is_told_and_audited_where_it_is(tmp_path, capsys):
    stop = At(1, lambda: signal.raise_signal(signal.SIGINT))
    path = run(small("rounds=4", "data.public=[]"), tmp_path, [stop]).path
    assert AuditFolder(audit(path, Mean.Config())).result()["round"] == 2
    assert "note: this run was interrupted; its last checkpoint is that after round 2 of 4" in capsys.readouterr().err
    file, told = path / "provenance.json", json.loads((path / "provenance.json").read_text())
    for status, words in (("failed", "this run failed;"), ("running", "this run was cut off;")):
        file.write_text(json.dumps({**told, "status": status}))
        assert Run.open(path).status == status
        audit(path, Mean.Config())
        assert words in capsys.readouterr().err
    resume(path)
    audit(path, Mean.Config())
    assert "note:" not in capsys.readouterr().err


def raising(error):
    def conduct(self, run, folder):
        raise error

    return conduct


def test_a_file_of_another_run_is_told_by_its_name(finished, tmp_path):
    """It can be read, and is of the same data; only that it does not fit shows in the midst of the audit."""
    other = run(small("rounds=1", "data.public=[]", "data.train_samples=200"), tmp_path).path
    shutil.copy(finished / "partition.npz", other)
    with pytest.raises(InputError, match=r"as memorization reads it: cannot be understood: [^$]*partition.npz"):
        audit(other, MemorizationAudit.Config(attacks=("final_loss",)))
    assert not (other / "audit").exists()


@pytest.mark.parametrize(
    ("error", "kind", "match"),
    [
        (
            ZeroDivisionError("by zero"),
            RunError,
            r"audit mean \(.*:Mean\) failed in conduct: ZeroDivisionError: by zero",
        ),
        (MemoryError("8 TB"), RunError, "not enough memory for the audit mean: 8 TB"),
        (OSError(28, "No space left on device"), InputError, "mean: cannot be written: No space left on device"),
    ],
)
def test_what_else_goes_wrong_is_told_as_what_it_is(finished, monkeypatch, error, kind, match):
    monkeypatch.setattr(Mean, "conduct", raising(error))
    with pytest.raises(kind, match=match):
        audit(finished, Mean.Config())


def test_a_result_that_is_no_plain_data_is_refused(finished, monkeypatch):
    monkeypatch.setattr(Mean, "conduct", lambda self, run, folder: {"nodes": np.arange(3)})
    with pytest.raises(RunError, match=r"the audit mean returns cannot be written as JSON: .*ndarray"):
        audit(finished, Mean.Config())


@pytest.mark.parametrize(
    ("name", "useless", "advice"),
    [
        ("early_exit", ("--attack", "--signal", "--view", "--replicas"), "Leave the option out."),
        ("privacy", ("--attack", "--view", "--replicas"), "it has --signal."),
        ("robustness", ("--signal", "--view", "--replicas"), "it has --attack."),
        ("memorization", ("--view",), "it has --attack, --signal, --replicas."),
        ("membership", (), ""),
    ],
)
def test_options_that_an_audit_has_no_use_for_are_refused_together(name, useless, advice):
    options = {"attacks": ["a"], "signals": ["b"], "views": ["c"], "replicas": 2}
    if not useless:
        assert audit_settings(name, options).replicas == 2
        return
    with pytest.raises(InputError) as caught:
        audit_settings(name, options)
    assert [problem.where for problem in caught.value.problems] == [*useless]
    assert all(problem.what == f"{name} has no use for it." for problem in caught.value.problems)
    assert all(problem.advice.endswith(advice) for problem in caught.value.problems)


def test_the_command_refuses_an_option_before_it_looks_at_the_run(finished, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["rumormill", "audit", str(finished), "--audit", "class_shares", "--replicas", "2"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "--replicas: class_shares has no use for it." in capsys.readouterr().err
    with pytest.raises(InputError, match=r"--audit: unknown name 'membershp'\.\s+Did you mean 'membership'"):
        audit_settings("membershp", {})
