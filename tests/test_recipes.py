"""The built-in experiments run: all of them shrunk on made-up images, and the quickstart as it is."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reference.marks import MANY
from reference.recipes import VARIANTS, shrunk

import simulator
from auditing.membership.audit import MembershipAudit
from auditing.robustness import RobustnessAudit
from methods.idkd import IDKD
from simulator import load_experiment, run
from simulator.config.recipe_files import recipes
from simulator.runs.audit import audit
from simulator.sweep import plan
from simulator.sweep.plan import load_sweep
from simulator.sweep.settings import read_sweep

LONGER = (  # than a second, or beside shorter ones that show the same parts
    *("dp-ring", "idkd-cifar10-small", "lora-text", "pkd-ring", "resnet18-folder", "table-sites"),
    *("verifix-cifar10-small", "pkd-one-modality", "ring-verifix-digits", "batch-norm-cifar10-small"),
    *("ltc-cifar10-small", "text-authors", "memorization-cifar10-small", "ring-mixup-digits", "torus-qgm-fashion"),
)
PAPER = (  # made for a GPU; beside smaller ones
    *(
        "curvature-cifar100",
        "ltc-cifar100",
        "memorization-cifar100",
        "optimizers-cifar10",
        "pkd-ucf101",
        "trend-cifar10",
    ),
    "verifix-cifar10",
)
MARKS = {
    **dict.fromkeys(LONGER, pytest.mark.slow),
    **dict.fromkeys((*VARIANTS, *PAPER), MANY),
}
SWEEPS = sorted((Path(simulator.__file__).parent / "recipes" / "sweeps").glob("*.yaml"))
BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in recipes()])
def test_every_recipe_runs_when_shrunk(name, tmp_path):
    assert run(shrunk(name, tmp_path), tmp_path).status == "finished"


# Of many runs; byzantine-digits-one is made alike.
LARGE = {
    *("byzantine-digits", "byzantine-digits-torus"),
    *("byzantine-fashion", "byzantine-fashion-one", "byzantine-fashion-torus"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "sweep",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.exhaustive] if path.stem in LARGE else ()) for path in SWEEPS],
)
def test_every_sweep_is_valid(sweep, monkeypatch):
    """With its first seed, as nothing of a run's settings depends on which it is."""
    settings = read_sweep(sweep)
    monkeypatch.setattr(plan, "read_sweep", lambda what: settings.model_copy(update={"seeds": settings.seeds[:1]}))
    assert load_sweep(sweep).runs
    assert len({*settings.seeds}) == len(settings.seeds)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (1, 2))])
def test_in_the_quickstart_the_detector_beats_labelling_everything(seed, tmp_path):
    done = run(load_experiment("quickstart", [f"seed={seed}"]), tmp_path)
    inside = done.directory.partition()["public_in_distribution"]
    last = [a for a in done.directory.artifacts("idkd") if a.round == 181]
    labelled = np.concatenate([artifact.arrays["labelled"] for artifact in last])

    assert len(last) == 8
    assert inside.mean() == 0.5
    assert inside[labelled].mean() > 0.85
    assert len(labelled) > 8 * 100
    assert done.directory.network_series("test/accuracy/mean")[1][-1] > 0.92
    settings = IDKD.Config.model_validate(done.directory.experiment["methods"][1])
    assert "truly in distribution" in IDKD.sections(settings, done.directory)[0].verdict


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (1, 2))])
def test_in_audit_ring_final_models_leak_more_than_those_of_distant_nodes(seed, tmp_path):
    done = run(load_experiment("audit-ring", [f"seed={seed}"]), tmp_path)
    result = json.loads((audit(done.path, MembershipAudit.Config(signals=("loss",))) / "result.json").read_text())
    auc = {view: found["auc"] for view, found in result["attacks"]["loss, threshold"].items()}
    assert auc["final model"]["low"] > 0.52
    assert auc["distance 4"]["value"] < auc["final model"]["value"]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_in_trend_ring_attacks_transfer_less_between_different_quantizers(tmp_path):
    done = run(load_experiment("trend-ring"), tmp_path)
    config = RobustnessAudit.Config(eps=0.15, samples=100, steps=20, queries=50, draws=1, attacks=("pgd", "square"))
    result = json.loads((audit(done.path, config) / "result.json").read_text())
    metric, plain, coarse = np.array(result["transfers"]["metric"]), [0, 1, 4, 5], [2, 3]
    alike = metric[np.ix_(plain, plain)][~np.eye(4, dtype=bool)]

    assert [result["quantizers"][node] for node in coarse] == ["1 bit", "1 bit"]
    assert metric[np.ix_(plain, coarse)].mean() < alike.mean() - 0.2
    best = result["hosts"][0]["accuracies"]["best single member"]
    assert best["naive"] > best["adaptive"] + 0.2  # what masked gradients would have one believe


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_overhead_benchmark_prints_its_ratios():
    command = [sys.executable, str(BENCHMARKS / "overhead.py"), "--rounds", "2"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ratios = json.loads(printed.splitlines()[-1])
    assert all(ratios[model][key] > 0 for model in ("cnn", "mlp") for key in ("ratio", "memory_ratio"))
