"""The membership audit on small runs, from the command line to the report."""

import json
import sys

import numpy as np
import pytest
import torch
from reference.experiments import small

from auditing.attacks.attack import attacks_named
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import signals_named
from auditing.candidates import Candidates, labels_of
from auditing.membership.audit import MembershipAudit
from auditing.membership.figures import figures
from auditing.membership.findings import Judged, SignalAttack
from auditing.membership.leakage import leakage
from auditing.membership.measurement import Measurement
from auditing.metrics import Ranking, Resamples
from auditing.views.observe import Observed, observe
from auditing.views.position import AttackScene, Position, VictimPair
from auditing.views.record import RunRecord, Stored
from simulator import cli, load_experiment, run
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.samples import Samples
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import Audit, audit
from simulator.runs.report import write_run_report
from simulator.runs.run import Run
from topologies import Topology, distances

SIGNALS = ("loss", "curvature_trace")
FINAL = ("final_model", "distance", "consensus")
PLAIN = MembershipAudit.Config(signals=SIGNALS, resamples=60, views=FINAL)


@pytest.fixture(autouse=True)
def _installed(register):
    register("audits", "membership", MembershipAudit)


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """A ring of six nodes, each of which learns its 30 samples by heart; two rounds, so news gets two hops far."""
    changes = ["data.held_out=0.5", "data.partition=iid", "data.validation=0", "data.public=[]", "topology.nodes=6"]
    changes += ["data.train_samples=360", "rounds=2", "training.local_steps=120", "training.optimizer.lr=0.5"]
    changes += ["model.hidden=[64]", "training.batch_size=8", "record.every=1"]
    return run(small(*changes), tmp_path_factory.mktemp("runs"))


def seen(run, *views):
    """What can be seen of a run."""
    return observe(RunRecord.of(run), run.directory.topology, views)[0]


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


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(overfitted):
    folder = overfitted.path / "audit" / "membership"
    twice = [[file.read_bytes() for file in sorted(audit(overfitted.path, PLAIN).iterdir())] for _ in range(2)]
    assert sorted(file.name for file in folder.iterdir()) == ["metrics.json", "result.json", "scores.npz"]
    assert twice[0] == twice[1]


def test_runs_can_be_compared_by_what_audits_found(overfitted, result):
    found = overfitted.directory.audit_metrics()
    assert (
        found["audit/membership/final_model/loss/threshold/auc"]
        == (result["attacks"]["loss, threshold"]["final model"]["auc"]["value"])
    )
    assert not any(name.endswith("loss/threshold/tpr_at_0.001") for name in found)  # too few samples to tell


@pytest.mark.slow
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
        sets = [
            set(labels_of(asked.samples)[(asked.node == node) & (asked.member == member)]) for member in (True, False)
        ]
        assert sets[0] == sets[1]
        shares.append(sets[0])
        assert ((asked.node == node) & asked.member).sum() == 20
    assert any(one != other for one in shares for other in shares)
    # Broken on purpose: with non-members from all nodes' pools, the class alone gives members away.
    pool = np.isin(labels_of(asked.samples), list(shares[0]))
    judged = (asked.node == 0) & asked.member | ~asked.member
    assert Ranking(pool[judged].astype(np.float64), asked.member[judged]).roc().auc > 0.6


def test_candidates_that_are_copies_of_others_are_counted_and_told(tmp_path, capfd):
    images = np.random.default_rng(0).integers(0, 256, (80, 4, 4, 1), dtype=np.uint8)
    images[40:] = images[:40]  # each is there twice
    np.savez(tmp_path / "twice.npz", x_train=images, y_train=np.arange(80) % 2, x_test=images[:9], y_test=[0] * 9)
    data = [f"data.dataset={{name: npz, path: {tmp_path / 'twice.npz'}}}", "data.held_out=0.5", "data.partition=iid"]
    done = run(small(*data, "data.validation=0", "data.public=[]", "rounds=1"), tmp_path)
    asked = Candidates.of(done.nodes, 1000)
    members, others = ({index % 40 for index in asked.samples.index[asked.member == side].tolist()} for side in (1, 0))
    both = members & others
    assert asked.copied(done.nodes) == sum(index % 40 in both for index in asked.samples.index.tolist()) > 0
    folder = audit(done.path, MembershipAudit.Config(signals=("loss",), resamples=9, views=("final_model",)))
    result = json.loads((folder / "result.json").read_text())
    assert result["copies"] == asked.copied(done.nodes)
    told = f"{result['copies']} of the {len(asked)} candidates are exact copies of samples on the other side"
    assert told in " ".join(capfd.readouterr().err.split())
    assert told in write_run_report(RunDirectory.open(done.path)).read_text()


def test_random_scores_and_permuted_members_are_at_chance(overfitted):
    nodes = overfitted.nodes
    asked, rng = Candidates.of(nodes, 1000), np.random.default_rng(5)
    resamples = Resamples(asked.questions.strata, 200, rng)
    for view in seen(overfitted, *FINAL).positions:
        values = rng.normal(size=(7, 360))
        scores = {pair.observation: pair.observation.signal(values) for pair in view.pairs}
        auc = leakage(scores, asked.questions, view, resamples).estimates["auc"]
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


@pytest.mark.slow
def test_the_command_adds_a_section_to_the_report(overfitted, monkeypatch, capsys):
    command = ["rumormill", "audit", str(overfitted.path), "--signal", "loss", "--attack", "threshold"]
    monkeypatch.setattr(sys, "argv", [*command, "resamples=40"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    printed = capsys.readouterr()
    assert printed.out.strip() == str(overfitted.path / "audit" / "membership")
    assert "scoring 360 candidates and 60 test samples in " in printed.err
    assert "values  time left 0:0" in printed.err
    html = write_run_report(RunDirectory.open(overfitted.path)).read_text()
    for shown in ("Audit: membership", "loss, threshold", "TPR at 1 % FPR", "Leakage from node to node", "ROC"):
        assert shown in html
    for shown in ("Leakage by round", "Leakage and overfitting", "Leakage to neighbours", "AUC, message"):
        assert shown in html
    assert "Leakage and degree" not in html  # which is the same everywhere
    assert "an AUC of" in html[: html.index("<section")]


@pytest.mark.parametrize(
    ("settings", "where", "advice"),
    [
        ({"attacks": ("treshold",)}, "--attack", "'threshold'"),
        ({"signals": ("curvature",)}, "--signal", "Known signals"),
        ({"views": ("mesage",)}, "--view", "'message'"),
        ({"attacks": ("lira_online",), "replicas": 1}, "--attack", "--replicas 16"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(overfitted, settings, where, advice):
    with pytest.raises(InputError) as refused:
        audit(overfitted.path, MembershipAudit.Config(**settings))
    (problem,) = refused.value.problems
    assert problem.where == where
    assert advice in problem.advice


def audited(path, **settings):
    """``result.json`` of an audit that judges by the loss and one threshold."""
    config = {"signals": ("loss",), "attacks": ("threshold",), "resamples": 200} | settings
    return json.loads((audit(path, MembershipAudit.Config(**config)) / "result.json").read_text())


def aucs(result):
    return {view: found["auc"] for view, found in result["attacks"]["loss, threshold"].items()}


@pytest.mark.slow
def test_messages_tell_more_than_final_models_and_all_of_them_most(overfitted):
    result = audited(overfitted.path)
    auc = aucs(result)
    assert auc["message"]["value"] > auc["final model"]["value"] + 0.05
    assert auc["all rounds"]["value"] > auc["message"]["value"] > auc["marginalized"]["value"]
    assert auc["mixed"] == auc["final model"]  # the last recorded round is the last
    assert auc["marginalized"]["value"] > auc["mixed"]["value"]
    assert all(auc[view]["low"] > 0.5 for view in ("update", "guessed update", "coalition", "global"))
    assert [found["round"] for found in result["by_round"]["message"]] == [1, 2]
    assert result["by_round"]["message"][1]["value"] == auc["message"]["value"]
    assert all(-1 <= gap <= 1 for gap in result["gaps"])
    assert np.mean(result["gaps"]) > 0.05


@pytest.mark.slow
def test_degrees_are_shown_where_they_differ(result, overfitted):
    ring, chain = (figures(result, Topology.build(graph, 6)) for graph in ("ring", "chain"))
    assert {chart.title for chart in chain} - {chart.title for chart in ring} == {"Leakage and degree"}


@pytest.mark.slow
def test_a_view_does_not_depend_on_which_others_are_asked_for(overfitted):
    some = audited(overfitted.path, views=("guessed_update",), signals=("loss", "curvature_hvp"))["attacks"]
    more = audited(overfitted.path, views=("update", "guessed_update"), signals=("loss", "curvature_hvp"))["attacks"]
    for name in some:
        assert some[name]["guessed update"] == more[name]["guessed update"]


def test_before_news_could_travel_there_is_nothing_to_see(overfitted):
    """After the first round, nodes two or more hops away have nothing of the victim's; neighbours do."""
    record, topology = RunRecord.of(overfitted), overfitted.directory.topology
    scene, hops = AttackScene(record, topology), distances(topology.graph)
    pairs = [VictimPair(v, u, scene.held(Stored("mixed", u, 1))) for v in range(6) for u in range(6) if v != u]
    near, far = (Position("", "", tuple(p for p in pairs if (hops[p[:2]] > 1) == distant)) for distant in (False, True))
    observed = Observed(record, tuple(scene.rows), (near, far), {})
    asked, population = Candidates.of(overfitted.nodes, 1000), overfitted.nodes[0].data.test
    measured = Measurement(overfitted, signals_named(["loss"]), asked, {"loss": population}).of(observed)
    judged = Judged(
        asked,
        labels_of(asked.samples),
        observed,
        measured,
        {"loss": labels_of(population)},
        attacks_named(["threshold"]),
    )
    scores = judged.scores(SignalAttack("loss", "threshold"), [near, far])
    resamples = Resamples(asked.questions.strata, 200, np.random.default_rng(0))
    close, distant = (leakage(scores, asked.questions, view, resamples).estimates["auc"] for view in (near, far))
    assert close.low > 0.5
    assert distant.low < 0.5 < distant.high


@pytest.mark.slow
def test_a_node_that_is_always_away_leaks_nothing_and_sees_nothing(tmp_path):
    changes = ["data.held_out=0.5", "data.partition=iid", "data.validation=0", "data.public=[]", "rounds=2"]
    changes += ["topology.failures.absences=[[3, 1, 10]]", "training.local_steps=60", "training.batch_size=8"]
    done = run(small(*changes, "record.every=2"), tmp_path)
    result = audited(done.path, views=("final_model", "distance", "message"))
    assert [value is None for value in result["victims"]["message"]] == [False, False, False, True]
    rest = [result["victims"][view][3] for view in ("final model", "distance 1", "distance 2")]
    assert rest == pytest.approx([0.5] * 3, abs=0.15)
    untrained = result["matrix"]
    assert [untrained[victim][3] for victim in range(4)] == pytest.approx([0.5] * 4, abs=0.15)
    graph = list(figures(result, done.directory.topology))[-1]
    assert graph.label == "AUC, distance 1"  # no neighbour has a message of the node that is away
    assert graph.values == result["victims"]["distance 1"]


def test_a_view_that_was_not_recorded_is_refused_before_anything_is_scored(tmp_path, capsys):
    done = run(small("rounds=1", "data.held_out=0.3"), tmp_path)
    with pytest.raises(InputError, match=r"--view message: this run recorded nothing[\s\S]*record.every=50"):
        audit(done.path, MembershipAudit.Config(views=("final_model", "message")))
    assert "scoring" not in capsys.readouterr().err
    assert not (done.path / "audit").exists()
    unseen = audited(done.path)["unseen"]
    assert unseen[0].startswith("message, mixed, update")
    assert "global: this run recorded nothing" in unseen[0]


@pytest.mark.slow
def test_the_command_line_takes_views_samples_and_resamples(overfitted, monkeypatch, capsys):
    command = ["rumormill", "audit", str(overfitted.path), "--signal", "loss", "--view", "message", "--view", "mixed"]
    monkeypatch.setattr(sys, "argv", [*command, "samples=10", "resamples=20"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    result = json.loads((overfitted.path / "audit" / "membership" / "result.json").read_text())
    assert list(result["views"]) == ["message", "mixed"]
    assert (result["members"], result["settings"]["samples"], result["settings"]["resamples"]) == (60, 10, 20)
    assert "60 test samples" in capsys.readouterr().err
    assert "Leakage from node to node" not in (overfitted.path / "report.html").read_text()


def test_a_setting_that_an_audit_does_not_have_is_refused(overfitted, register, monkeypatch, capsys):
    register("audits", "other", type("Other", (Audit,), {}))
    monkeypatch.setattr(sys, "argv", ["rumormill", "audit", str(overfitted.path), "--audit", "other", "samples=3"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "samples: other has no setting 'samples'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_in_bf16_is_scored_by_its_parameters_in_double_precision(tmp_path):
    changes = ["training.precision=bf16", "data.held_out=0.5", "rounds=1", "data.partition=iid"]
    done = run(small(*changes, "data.validation=0", "data.public=[]"), tmp_path)
    with np.load(audit(done.path, MembershipAudit.Config(signals=SIGNALS, resamples=5)) / "scores.npz") as scores:
        found, index = scores["curvature_trace"][0], torch.from_numpy(scores["index"])
    node, network = done.nodes[0], FlatModule(done.blueprint.module().module, "fp64")
    assert node.parameters.dtype == torch.float32
    network.bind(node.parameters.double())
    samples = Samples(node.data.train.inputs, node.data.train.targets, index)
    (trace,) = signals_named(["curvature_trace"]).values()
    expected = trace.measure(ProbedModel(network, node.data.preparation, node.data.task), samples, None)
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found).all()


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
