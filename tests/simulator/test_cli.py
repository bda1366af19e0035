"""The command line as a person meets it: output, exit codes, and errors without a traceback."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml
from reference.experiments import SMALL

METHODS = [{"name": "quasi_global_momentum"}, {"name": "idkd", "first_round": 3, "every": 2}]


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump({**SMALL, "methods": METHODS}))
    return file


def test_a_run_ends_with_its_path_and_has_a_report(rumormill, experiment, tmp_path):
    code, out, err = rumormill("run", experiment, "rounds=3", "--out", tmp_path / "runs")
    path = Path(out.strip())
    assert code == 0
    assert path.parent == tmp_path / "runs"
    assert "IDKD: nodes labelled" in (path / "report.html").read_text()
    assert json.loads((path / "provenance.json").read_text())["status"] == "finished"
    assert "round 3/3" in err


def test_a_report_can_be_written_anew(rumormill, experiment, tmp_path):
    _, out, _ = rumormill("run", experiment, "rounds=1", "methods=[]", "--out", tmp_path)
    report = Path(out.strip()) / "report.html"
    before = report.read_bytes()
    report.unlink()
    assert rumormill("report", report.parent)[:2] == (0, f"{report}\n")
    assert report.read_bytes() == before


def test_every_mistake_is_printed_and_nothing_is_run(rumormill, experiment, tmp_path):
    out_dir = tmp_path / "runs"
    code, out, err = rumormill("run", experiment, "rounds=x", "model.hiden=[3]", "--out", out_dir)
    assert code == 2
    assert out == ""
    assert "small.yaml:" not in err  # where none of it stands
    assert "rounds: " in err
    assert "Did you mean 'hidden'?" in err
    assert "Traceback" not in err
    assert not out_dir.exists()


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("data.partition={name: dirichlet, alpha: 0}", "data.partition.alpha"),
        ("data.train_samples=3", "data.partition"),
        ("topology.nodes=600", "data.partition"),
        ("data.dataset={name: npz, path: missing.npz}", "missing.npz"),
        ("data.dataset={name: image_folder, path: missing}", "missing"),
        ("data.dataset={name: cifar10, download: false}", "cifar"),
        ("model={name: resnet20, norm: batch}", "Set buffers: local"),
        ("data.public.0.samples=1000000", "data.public"),
        ("topology={graph: torus, nodes: 4, rows: 3}", "rows"),
    ],
)
def test_bad_input_is_refused_before_training(rumormill, experiment, tmp_path, change, shown):
    code, _, err = rumormill("run", experiment, change, f"data.root={tmp_path}", "--out", tmp_path / "runs")
    assert code == 2, err
    assert shown in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arrays", "shown"),
    [
        ({"x_train": np.zeros((4, 8, 8), np.uint8)}, "y_train"),
        (
            {
                "x_train": np.zeros((40, 8, 8), np.uint8),
                "y_train": np.zeros(39, np.int64),
                "x_test": np.zeros((4, 8, 8), np.uint8),
                "y_test": np.zeros(4, np.int64),
            },
            "39",
        ),
    ],
)
def test_unusable_npz_files_are_refused(rumormill, experiment, tmp_path, arrays, shown):
    np.savez(tmp_path / "own.npz", **arrays)
    code, _, err = rumormill(
        "run", experiment, f"data.dataset={{name: npz, path: {tmp_path / 'own.npz'}}}", "methods=[]"
    )
    assert code == 2
    assert shown in err


def test_a_run_directory_is_not_written_into(rumormill, experiment, tmp_path):
    _, out, _ = rumormill("run", experiment, "rounds=1", "methods=[]", "--out", tmp_path)
    code, _, err = rumormill("run", experiment, "methods=[]", "--out", out.strip())
    assert code == 2
    assert "rumormill resume" in err


def test_a_missing_run_cannot_be_resumed_or_reported(rumormill, tmp_path):
    for verb in ("resume", "report"):
        code, _, err = rumormill(verb, tmp_path / "nothing")
        assert code == 2
        assert "is not a run directory" in err


def test_a_diverging_run_exits_with_1_and_keeps_its_metrics(rumormill, experiment, tmp_path):
    code, _, err = rumormill("run", experiment, "training.optimizer.lr=1e200", "methods=[]", "--out", tmp_path)
    (run,) = tmp_path.glob("*-small-s0")
    assert code == 1
    assert "training diverged" in err
    assert (run / "metrics.jsonl").read_text().startswith('{"round": 0')
    assert json.loads((run / "provenance.json").read_text())["status"] == "failed"


def test_an_unknown_tracker_is_refused_before_training(rumormill, experiment, tmp_path):
    code, _, err = rumormill("run", experiment, "--track", "tensorbord", "--out", tmp_path / "runs")
    assert code == 2
    assert "Did you mean 'tensorboard'?" in err
    assert not (tmp_path / "runs").exists()


def test_tensorboard_files_lie_in_the_run_directory(rumormill, experiment, tmp_path):
    _, out, _ = rumormill("run", experiment, "rounds=1", "methods=[]", "--track", "tensorboard", "--out", tmp_path)
    assert list((Path(out.strip()) / "tensorboard").glob("events*"))


def test_a_sweep_runs_each_setting_once_and_compare_shows_mean_and_spread(rumormill, experiment, tmp_path):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        yaml.safe_dump(
            {
                "experiment": str(experiment),
                "overrides": ["rounds=2", "methods=[]"],
                "seeds": [0, 1],
                "arms": {"slow": ["training.optimizer.lr=0.01"], "fast": ["training.optimizer.lr=0.3"]},
            }
        )
    )
    code, out, _ = rumormill("sweep", sweep, "--out", tmp_path / "runs")
    assert code == 0
    assert len(set(out.split())) == 4
    assert rumormill("sweep", sweep, "--out", tmp_path / "runs")[1] == out
    assert len(list((tmp_path / "runs").glob("[!.]*"))) == 4
    code, table, _ = rumormill("compare", tmp_path / "runs", "--markdown", "--html", tmp_path / "all.html")
    assert code == 0
    assert "| slow |" in table
    assert "±" in table
    assert (tmp_path / "all.html").read_text().startswith("<!doctype html>")


LISTED = [
    ("recipes", "quickstart"),
    ("graphs", "florentine"),
    ("weights", "metropolis_hastings"),
    ("schedules", "random_matching"),
    ("methods", "idkd"),
    ("models", "resnet20"),
    ("datasets", "fashion_mnist"),
    ("partitions", "dirichlet"),
    ("label_noise", "symmetric"),
    ("mixers", "gossip"),
    ("backends", "local"),
    ("metrics", "consensus/distance"),
]


@pytest.mark.parametrize(("kind", "expected"), LISTED)
def test_list_shows_every_kind(rumormill, kind, expected):
    code, out, _ = rumormill("list", kind)
    assert code == 0
    assert expected in out


def test_list_shows_all_kinds_at_once(rumormill):
    code, out, _ = rumormill("list")
    assert code == 0
    assert all(expected in out for _, expected in LISTED)


def test_lists_fit_the_terminal(rumormill, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    _, out, _ = rumormill("list", "metrics")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 70
    name = lines.index("  audit/membership/<view>/<signal>/<attack>/auc")
    assert lines[name + 1].startswith(" " * 38 + "Area under the ROC curve")
    beside = next(line for line in lines if line.startswith("  privacy/epsilon "))
    assert beside.index("A node's epsilon") == 38


def test_list_suggests_the_nearest_kind(rumormill):
    code, _, err = rumormill("list", "method")
    assert code == 2
    assert "Did you mean 'methods'?" in err


def test_the_version_is_that_of_the_package(rumormill):
    assert rumormill("--version")[:2] == (0, f"rumormill {version('rumormill')}\n")


@pytest.mark.slow
def test_doctor_finds_everything_in_place(rumormill):
    code, _, err = rumormill("doctor")
    assert code == 0, err
    assert "FAIL" not in err


@pytest.mark.parametrize(("module", "noted"), [("raise RuntimeError('operator is missing')", True), ("", False)])
def test_doctor_notes_where_a_plain_import_of_torchvision_fails(rumormill, monkeypatch, tmp_path, module, noted):
    (tmp_path / "torchvision.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, _, err = rumormill("doctor")
    told = " ".join(err.split())

    assert code == 0, err
    assert ("note torchvision loads" in told) == noted
    assert ("fails here (RuntimeError: operator is missing)" in told) == noted


@pytest.mark.slow
def test_doctor_fails_when_a_part_is_broken(rumormill, declare):
    declare("models", "broken", "import gone_from_here")
    code, _, err = rumormill("doctor")
    assert code == 1
    assert "No module named 'gone_from_here'" in " ".join(err.split())


@pytest.mark.slow
def test_ctrl_c_checkpoints_exits_130_and_resume_finishes(rumormill, experiment, tmp_path):
    command = [sys.executable, "-m", "simulator", "run", str(experiment), "rounds=100000", "evaluate.every=50000"]
    process = subprocess.Popen(
        [*command, "methods=[]", "--out", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_for(lambda: any(file.stat().st_size > 440 for file in tmp_path.glob("*/messages.arrow")))
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    run = Path(out.strip())
    assert process.returncode == 130, err
    assert f"rumormill resume {run}" in err
    assert list(run.glob("checkpoints/round-*"))
    assert json.loads((run / "provenance.json").read_text())["status"] == "interrupted"


def _wait_for(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the run did not start"
        time.sleep(0.05)
