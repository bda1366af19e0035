"""The membership audit on small runs, from the command line to the report."""

import json
import sys

import numpy as np
import pytest
from reference.experiments import small

from auditing.audit import MembershipAudit
from auditing.candidates import Candidates
from auditing.leakage import leakage
from auditing.metrics import Ranking, Resamples
from auditing.views import final_models, views_of
from simulator import cli, load_experiment, run
from simulator.core.errors import InputError
from simulator.launch import Run, audit, write_run_report
from simulator.results.run_directory import RunDirectory
from topologies import Topology

SIGNALS = ("loss", "curvature_trace")
PLAIN = MembershipAudit.Config(signals=SIGNALS, resamples=60)


@pytest.fixture(autouse=True)
def _installed(register):
    register("audits", "membership", MembershipAudit)


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """A ring of six nodes, each of which has learnt its 30 samples by heart; two rounds, so news gets two hops far."""
    changes = ["data.held_out=0.5", "data.partition=iid", "data.validation=0", "data.public=[]", "topology.nodes=6"]
    changes += ["data.train_samples=360", "rounds=2", "training.local_steps=120", "training.optimizer.lr=0.5"]
    return run(small(*changes, "model.hidden=[64]", "training.batch_size=8"), tmp_path_factory.mktemp("runs"))


@pytest.fixture
def result(overfitted):
    return json.loads((audit(overfitted.path, PLAIN) / "result.json").read_text())


def test_the_own_model_leaks_most_and_what_news_cannot_reach_nothing(result):
    auc = {view: found["auc"] for view, found in result["attacks"]["loss, threshold"].items()}
    assert list(auc) == ["final model", *(f"distance {d}" for d in (1, 2, 3)), "consensus"]
    assert auc["final model"]["low"] > 0.5
    assert auc["final model"]["value"] > auc["distance 2"]["value"]
    assert auc["distance 3"]["low"] < 0.5 < auc["distance 3"]["high"]
    matrix = np.array(result["matrix"])
    assert matrix.shape == (6, 6)
    assert np.diag(matrix).mean() > matrix[~np.eye(6, dtype=bool)].mean()


def test_rates_that_cannot_be_resolved_are_not_given(result):
    found = result["attacks"]["loss, threshold"]["final model"]
    assert (result["members"], result["non_members"]) == (180, 180)
    assert found["tpr_at_0.01"]["value"] >= 0
    assert found["tpr_at_0.001"] is None


def test_the_same_run_gives_the_same_bytes(overfitted):
    folder = overfitted.path / "audit" / "membership"
    twice = [[file.read_bytes() for file in sorted(audit(overfitted.path, PLAIN).iterdir())] for _ in range(2)]
    assert sorted(file.name for file in folder.iterdir()) == ["result.json", "scores.npz"]
    assert twice[0] == twice[1]


def test_saved_signals_are_those_of_the_final_models(overfitted):
    with np.load(audit(overfitted.path, PLAIN) / "scores.npz") as scores:
        assert scores["loss"].shape == (7, 360)
        own = scores["loss"][scores["node"], np.arange(360)]
        assert own[scores["member"]].mean() > own[~scores["member"]].mean()
        partition = overfitted.directory.partition()
        assert set(scores["index"][scores["member"]]) == set(partition["train_index"])


def test_members_and_non_members_come_from_the_pool_of_the_same_node(tmp_path):
    changes = ["data.held_out=0.5", "data.partition={name: shards, shards_per_node: 2}", "rounds=1"]
    done = run(small(*changes, "data.validation=0", "data.public=[]"), tmp_path)
    asked = Candidates.of(done.nodes, limit=20)
    shares = []
    for node in range(4):
        sets = [set(asked.labels[(asked.node == node) & (asked.member == member)]) for member in (True, False)]
        assert sets[0] == sets[1]
        shares.append(sets[0])
        assert ((asked.node == node) & asked.member).sum() == 20
    assert any(one != other for one in shares for other in shares)
    # Broken on purpose: with non-members from all nodes' pools, the class alone gives members away.
    pool = np.isin(asked.labels, list(shares[0]))
    judged = (asked.node == 0) & asked.member | ~asked.member
    assert Ranking(pool[judged].astype(np.float64), asked.member[judged]).roc().auc > 0.6


def test_random_scores_and_permuted_members_are_at_chance(overfitted):
    nodes = overfitted.nodes
    asked, rng = Candidates.of(nodes, 1000), np.random.default_rng(5)
    resamples = Resamples(asked.strata, 200, rng)
    for view in views_of(overfitted.directory.topology):
        auc = leakage(rng.normal(size=(7, 360)), asked, view, resamples).estimates["auc"]
        assert auc.low < 0.5 < auc.high


def test_a_memorised_canary_is_found(tmp_path):
    """Images of noise, half of them trained on until they are known by heart."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (80, 6, 6), dtype=np.uint8), rng.permutation(np.arange(80) % 4)
    np.savez(tmp_path / "noise.npz", x_train=images, y_train=labels, x_test=images[:8], y_test=labels[:8])
    data = {"dataset": {"name": "npz", "path": str(tmp_path / "noise.npz")}, "partition": "iid", "held_out": 0.5}
    content = {
        "name": "canary", "rounds": 4, "topology": {"graph": "ring", "nodes": 2}, "data": data | {"validation": 0},
        "model": {"name": "mlp", "hidden": [128]},
        "training": {"local_steps": 120, "batch_size": 10, "optimizer": {"lr": 0.3}}, "evaluate": {"every": 4},
    }  # fmt: skip
    done = run(load_experiment(content), tmp_path / "runs")
    found = json.loads((audit(done.path, PLAIN) / "result.json").read_text())["attacks"]
    assert found["loss, threshold"]["final model"]["auc"]["low"] > 0.9


def test_views_know_who_stands_where():
    views = {view.name: view for view in views_of(Topology.build("chain", 3))}
    assert views["final model"].pairs == ((0, 0), (1, 1), (2, 2))
    assert set(views["distance 1"].pairs) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert views["distance 2"].pairs == ((0, 2), (2, 0))
    assert views["consensus"].pairs == ((0, 3), (1, 3), (2, 3))
    assert views["consensus"].distance is None


def test_the_last_model_is_the_mean_of_the_others(overfitted):
    models = final_models(overfitted.nodes)
    assert models.shape == (7, overfitted.nodes[0].parameters.numel())
    np.testing.assert_allclose(models[-1], models[:-1].mean(0))


def test_the_command_adds_a_section_to_the_report(overfitted, monkeypatch, capsys):
    command = ["rumormill", "audit", str(overfitted.path), "--signal", "loss", "--attack", "threshold"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out.strip() == str(overfitted.path / "audit" / "membership")
    html = write_run_report(RunDirectory.open(overfitted.path)).read_text()
    for shown in ("Audit: membership", "loss, threshold", "TPR at 1 % FPR", "Leakage from node to node", "ROC"):
        assert shown in html
    assert "an AUC of" in html[: html.index("<section>")]


@pytest.mark.parametrize(
    ("settings", "where", "advice"),
    [
        ({"attacks": ("treshold",)}, "--attack", "'threshold'"),
        ({"signals": ("curvature",)}, "--signal", "Known signals"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(overfitted, settings, where, advice):
    with pytest.raises(InputError) as refused:
        audit(overfitted.path, MembershipAudit.Config(**settings))
    (problem,) = refused.value.problems
    assert problem.where == where
    assert advice in problem.advice


def test_a_run_without_held_out_samples_is_refused(tmp_path):
    done = run(small("rounds=1"), tmp_path)
    with pytest.raises(InputError, match=r"data.held_out: no samples were held out[\s\S]*data.held_out=0.5"):
        audit(done.path, PLAIN)
    assert not (done.path / "audit").exists()


def test_a_run_without_a_checkpoint_or_with_a_damaged_one_is_refused(tmp_path):
    done = run(small("rounds=1", "data.held_out=0.3"), tmp_path)
    (state,) = done.path.glob("checkpoints/*/node-0002.safetensors")
    state.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="damaged"):
        audit(done.path, PLAIN)
    for file in state.parent.iterdir():
        file.unlink()
    state.parent.rmdir()
    with pytest.raises(InputError, match="no checkpoint"):
        Run(RunDirectory.open(done.path), "finished").nodes  # noqa: B018
    with pytest.raises(InputError, match="no checkpoint"):
        audit(done.path, PLAIN)
