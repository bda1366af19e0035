"""Replicas: whole networks trained again on other halves of the nodes' pools, alone together, and attacks by them."""

import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.experiments import METHODS, At, small
from sklearn.datasets import load_digits

from auditing import replicas
from auditing.attacks.attack import attacks_named
from auditing.attacks.evidence import Evidence
from auditing.candidates import Candidates, labels_of
from auditing.cost import cost
from auditing.membership.audit import MembershipAudit
from auditing.membership.leakage import leakage
from auditing.metrics import Ranking, Resamples
from auditing.replicas import FOLDER, seeds, train
from auditing.views.observe import observe
from auditing.views.record import RunRecord
from methods.differential_privacy.dp_sgd import DPSGD
from simulator import load_experiment, run
from simulator.core.errors import InputError, Interrupted
from simulator.core.observer import Observer
from simulator.results.checkpoint import Checkpoints
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audit
from simulator.runs.blueprint import ExperimentNodes
from simulator.runs.build import Simulation
from simulator.runs.launch import carry_on, run_networks
from simulator.runs.report import write_run_report
from simulator.runs.run import Run

HELD_OUT = ("data.held_out=0.4", "data.train_samples=240")
VARIED = (
    *("topology.schedule=random_matching", "topology.failures={links: 0.2}", "mixer={name: gossip, rate: 0.9}"),
    *("training.nodes={1: {batch_size: 5, local_steps: 2}}", "data.augment={flip: true}"),
    *("training.optimizer.weight_decay=0.01", "evaluate.every=3", "rounds=4"),
)
LOUD = MembershipAudit.Config(
    replicas=4, signals=("loss", "logit_margin"), attacks=("threshold", "lira_online", "rmia"), resamples=60
)


class Started(Observer):
    """Counts the starts."""

    count = 0

    def started(self, info):
        self.count += 1
        self.info = info


@pytest.fixture(autouse=True)
def _installed(register):
    register("audits", "membership", MembershipAudit)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run(small(*HELD_OUT, "rounds=4", "data.public=[]"), tmp_path_factory.mktemp("runs"))


@pytest.fixture
def fresh(plain, tmp_path):
    """A copy of the run, without replicas."""
    shutil.copytree(plain.path, tmp_path / "run", ignore=shutil.ignore_patterns("audit"))
    return Run(RunDirectory(tmp_path / "run"), "finished")


@pytest.fixture(scope="module")
def trained(plain):
    return train(plain, 3)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """Two rings that never hear of each other; every node learns its 30 samples by heart.

    One interval of 95 % in twenty leaves out what it should hold; with this seed, none does.
    """
    changes = ["seed=3", "data.held_out=0.5", "data.partition=iid", "data.validation=0", "data.public=[]", "rounds=2"]
    changes += ["topology={graph: disjoint_union, of: ring, copies: 2, nodes: 6}", "training.trainer=stacked"]
    changes += ["data.train_samples=360", "training.local_steps=120", "training.optimizer.lr=0.5"]
    return run(small(*changes, "model.hidden=[64]", "training.batch_size=8"), tmp_path_factory.mktemp("runs"))


def parameters(replicas):
    return torch.stack(
        [torch.stack([model.parameters for model in replicas.models(r)]) for r in range(replicas.number)]
    )


@pytest.mark.slow
def test_a_replica_is_what_its_network_would_be_alone(tmp_path):
    done = run(small(*HELD_OUT, *VARIED, methods=METHODS), tmp_path / "runs")
    together = train(done, 3)
    for replica, seed in enumerate(seeds(done.nodes[0].seed, 3)):
        alone = Simulation.of(together.experiment)
        alone.data = alone.data.resplit(seed)
        alone.blueprint = ExperimentNodes(alone.experiment, alone.network.base, alone.data, [seed])
        saved = Checkpoints(tmp_path / f"{replica}", alone.experiment.digest())
        (tmp_path / f"{replica}").mkdir()
        assert carry_on(alone, tmp_path / f"{replica}", saved, []) == "finished"
        states = saved.load(4).nodes
        for node, found in enumerate(model.parameters for model in together.models(replica)):
            torch.testing.assert_close(found, states[node]["parameters"], rtol=1e-9, atol=1e-12)  # they are stacked


@pytest.mark.parametrize(("changes", "trainer"), [((), "stacked"), (("model={name: cnn, width: 4}",), "sequential")])
def test_replicas_are_stacked_where_that_pays(changes, trainer, tmp_path, monkeypatch):
    experiment, used = small(*HELD_OUT, "rounds=1", "data.public=[]", "training.local_steps=1", *changes), []

    def noting(experiment, *rest):
        used.append(experiment.training.trainer)
        return run_networks(experiment, *rest)

    monkeypatch.setattr(replicas, "run_networks", noting)
    together = train(run(experiment, tmp_path), 2)
    assert used == [trainer]
    assert together.experiment.training.trainer == "sequential"  # as of those that were trained before
    assert len(together.models(1)) == 4


class Evaluated(Observer):
    """Keeps the network's last metrics."""

    def evaluated(self, round, metrics, speed):
        self.last = {metric.name: metric.value for metric in metrics if metric.node is None}


def test_each_replica_has_a_consensus_of_its_own(tmp_path):
    experiment = small(*HELD_OUT, "rounds=2", "data.public=[]")
    found = []
    for index, networks in enumerate(([5, 8], [5], [8])):
        folder, seen = tmp_path / str(index), Evaluated()
        folder.mkdir()
        simulation = Simulation.of(experiment, networks)
        carry_on(simulation, folder, Checkpoints(folder, experiment.digest()), [seen])
        found.append(seen.last)
    together, *alone = found
    for name in ("consensus/test/accuracy", "consensus/test/loss", "consensus/distance", "test/accuracy/mean"):
        assert together[name] == pytest.approx(np.mean([each[name] for each in alone]), rel=1e-12)


def test_each_replica_trains_on_another_half_of_every_pool(plain, trained):
    parts = [(node.id, samples) for node in plain.nodes for samples in (node.data.train, node.data.held_out)]
    index, sizes = torch.cat([samples.index for _, samples in parts]), [len(samples) for _, samples in parts]
    owner, member = np.repeat([node for node, _ in parts], sizes), np.repeat([True, False] * 4, sizes)
    everyone = replace(plain.nodes[0].data.train, index=index)
    masks = np.concatenate([member[None], trained.member_of(everyone)])
    for node in range(4):
        assert set(masks[:, owner == node].sum(axis=1)) == {len(plain.nodes[node].data.train)}
    # Two independent masks with a share of 0.6 agree in 0.36 + 0.16 of the samples.
    agree = [np.mean(masks[a] == masks[b]) for a in range(4) for b in range(a)]
    assert np.abs(np.array(agree) - 0.52).max() < 0.12
    with np.load(trained.path / "partition.npz") as saved:
        validation = np.concatenate([node.data.validation.index.numpy() for node in plain.nodes])
        np.testing.assert_array_equal(saved["validation_index"], np.tile(validation, 3))


def test_replicas_begin_and_learn_each_in_its_own_way(plain, trained):
    found = parameters(trained)
    assert found.shape == (3, 4, plain.nodes[0].parameters.numel())
    own = torch.stack([node.parameters for node in plain.nodes])
    apart = [(found[r] - other).norm() for r in range(3) for other in (own, *found[:r])]
    assert min(apart) > 1


@pytest.mark.parametrize("how", ["Ctrl-C", "killed"])
def test_stopped_and_continued_is_as_never_stopped(fresh, trained, how):
    def stop():
        if how == "killed":
            raise RuntimeError("killed")
        signal.raise_signal(signal.SIGINT)

    stopped = pytest.raises(Interrupted, match="after round 2 of 4") if how == "Ctrl-C" else pytest.raises(RuntimeError)
    with stopped:
        train(fresh, 3, [At(1, stop)])
    watch = Started()
    again = train(fresh, 3, [watch])
    assert watch.info.rounds_done == (2 if how == "Ctrl-C" else 1)
    assert torch.equal(parameters(again), parameters(trained))
    assert len(list((fresh.path / FOLDER / "checkpoints").iterdir())) == 1


def test_replicas_that_are_there_are_used_and_no_others(plain, trained):
    watch = Started()
    assert torch.equal(parameters(train(plain, 3, [watch])), parameters(trained))
    assert watch.count == 0
    with pytest.raises(InputError, match=r"holds 3 replicas\.\s+Ask for --replicas 3, or delete the folder"):
        train(plain, 2)


def test_the_cost_is_told_before(fresh):
    expected, watch = cost(fresh, 2), Started()
    assert expected.node_steps == 2 * 4 * 4
    assert expected.speed > 0
    train(fresh, 2, [watch])
    assert watch.info.nodes == 8
    assert f"{expected}" in watch.info.notes
    assert "32 node-steps, about 0:00:0" in f"{expected}"
    (folder,) = (fresh.path / FOLDER / "checkpoints").iterdir()
    assert sum(file.stat().st_size for file in folder.iterdir()) == pytest.approx(expected.disk, rel=0.1)
    assert expected.memory > 2 * expected.disk
    (fresh.path / "timing.jsonl").unlink()
    assert f"{cost(fresh, 2)}".startswith("32 node-steps; about")


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        (("data.held_out=0",), "data.held_out", "data.held_out=0.5"),
        (("mode=asynchronous", "clock={step_seconds: 0.1}"), "mode", "without --replicas"),
    ],
)
def test_runs_that_have_no_replicas(tmp_path, changes, where, text):
    done = run(small(*HELD_OUT, "rounds=1", "data.public=[]", *changes), tmp_path)
    with pytest.raises(InputError) as refused:
        train(done, 2)
    (problem,) = refused.value.problems
    assert problem.where == where
    assert text in problem.advice
    assert not (done.path / "audit").exists()


def test_a_run_that_was_stopped_is_to_be_finished_first(tmp_path):
    settings = small(*HELD_OUT, "rounds=3", "data.public=[]")
    stopped = run(settings, tmp_path, [At(0, lambda: signal.raise_signal(signal.SIGINT))])
    with pytest.raises(InputError, match=r"stopped after round 1 of 3[\s\S]*rumormill resume"):
        train(stopped, 2)


@pytest.mark.slow
def test_references_find_members_and_nothing_passes_between_components(apart):
    result = json.loads((audit(apart.path, LOUD) / "result.json").read_text())
    attacks = result["attacks"]
    assert set(attacks) == {
        *(f"{s}, {a}" for s in ("loss", "logit_margin") for a in ("threshold", "lira_online")), "loss, rmia",
    }  # fmt: skip
    for views in attacks.values():
        assert list(views) == ["final model", "distance 1", "another component", "consensus"]
        assert views["final model"]["auc"]["low"] > 0.5
        assert views["another component"]["auc"]["low"] < 0.5 < views["another component"]["auc"]["high"]
        assert views["another component"]["distance"] is None
    folder = apart.path / "audit" / "membership" / "references"
    assert np.load(folder / "loss-candidates.npy").shape == (4, 7, 360)
    assert np.load(folder / "loss-population.npy").shape == (4, 7, 60)
    assert not (folder / "logit_margin-population.npy").exists()  # RMIA alone would ask
    html = write_run_report(apart.directory).read_text()
    assert "another component" in html


@pytest.mark.slow
def test_a_reference_signal_is_what_a_replica_says(apart):
    audit(apart.path, LOUD)
    replicas, asked = train(apart, 4), Candidates.of(apart.nodes, 1000)
    signals = np.load(apart.path / "audit" / "membership" / "references" / "loss-candidates.npy")
    member_of = replicas.member_of(asked.samples)
    own = signals[:, asked.node, np.arange(len(asked))]
    assert own[member_of].mean() > own[~member_of].mean() + 0.1
    module, own_parameters = apart.blueprint.module(), [model.parameters for model in replicas.models(2)]
    module.bind(own_parameters[5])
    logits = module.outputs(asked.samples, apart.nodes[0].data.preparation)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels_of(asked.samples)), reduction="none")
    np.testing.assert_allclose(signals[2, 5], -loss.numpy(), atol=1e-9)


@pytest.mark.slow
def test_members_shuffled_within_a_node_are_at_chance(apart):
    audit(apart.path, LOUD)
    asked, rng = Candidates.of(apart.nodes, 1000), np.random.default_rng(0)
    with np.load(apart.path / "audit" / "membership" / "scores.npz") as saved:
        signal = saved["loss"]
    member = asked.member.copy()
    for node in range(6):
        member[asked.node == node] = rng.permutation(member[asked.node == node])
    shuffled = replace(asked, member=member)
    observed, _ = observe(RunRecord.of(apart), apart.directory.topology, ["final_model"])
    (view,) = observed.positions
    scores = {pair.observation: pair.observation.signal(signal) for pair in view.pairs}
    auc = leakage(scores, shuffled.questions, view, Resamples(shuffled.questions.strata, 200, rng)).estimates["auc"]
    assert auc.low < 0.5 < auc.high


@pytest.mark.slow
def test_a_mislabelled_sample_known_by_heart_is_found_among_others_as_hard(tmp_path):
    """A threshold calls what is hard a non-member; references know how hard a sample is."""
    digits, rng = load_digits(), np.random.default_rng(0)
    images, labels = digits.images.astype(np.uint8) * 15, digits.target.astype(np.int64)
    wrong = rng.permutation(240)[:40]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, 40)) % 10
    np.savez(tmp_path / "d.npz", x_train=images[:240], y_train=labels[:240], x_test=images[240:], y_test=labels[240:])
    content = {
        "name": "canaries", "rounds": 2, "topology": {"graph": "ring", "nodes": 2},
        "data": {"dataset": {"name": "npz", "path": str(tmp_path / "d.npz")}, "partition": "iid", "held_out": 0.5,
                 "validation": 0, "test_samples": 100},
        "model": {"name": "mlp", "hidden": [64]}, "evaluate": {"every": 2},
        "training": {"local_steps": 200, "batch_size": 16, "optimizer": {"lr": 0.3}, "trainer": "stacked"},
    }  # fmt: skip
    done = run(load_experiment(content), tmp_path / "runs")
    settings = MembershipAudit.Config(replicas=8, signals=("logit_margin",), attacks=("lira_online",), resamples=20)
    folder = audit(done.path, settings)
    with np.load(folder / "scores.npz") as saved:
        node, member, hard = saved["node"], saved["member"], np.isin(saved["index"], wrong)
        signal = saved["logit_margin"][node, np.arange(len(node))]
    references = np.load(folder / "references" / "logit_margin-candidates.npy")[:, node, np.arange(len(node))]
    member_of = train(done, 8).member_of(Candidates.of(done.nodes, 1000).samples)
    evidence = Evidence(signal, np.zeros_like(node), signal, np.zeros_like(node), references, member_of)
    asked = ~member | hard
    attacks = attacks_named(["threshold", "lira_online"])
    auc = {name: Ranking(each.judge(evidence)[asked], member[asked]).roc().auc for name, each in attacks.items()}
    assert auc["threshold"] < 0.5
    assert auc["lira_online"] > 0.95


def test_replicas_record_what_the_run_recorded_and_are_judged_by_it(tmp_path):
    """The view of a neighbour that keeps all messages, formed of each replica's own."""
    changes = ("rounds=4", "data.public=[]", "data.validation=0", "record.rounds=[2,4]")
    done = run(small(*HELD_OUT, *changes), tmp_path)
    settings = MembershipAudit.Config(
        replicas=2, signals=("loss",), attacks=("lira_online",), views=("all_rounds", "update"), resamples=20
    )
    folder = audit(done.path, settings)
    replicas, asked = train(done, 2), Candidates.of(done.nodes, 1000)
    observed, _ = observe(RunRecord.of(done), done.directory.topology, settings.views)
    found = np.load(folder / "references" / "loss-candidates.npy")
    module, first = done.blueprint.module(), asked.node == 0
    for replica in range(2):
        record = replicas.record(replica)
        assert record.rounds == (2, 4)
        (row,) = {
            row for row, model in enumerate(observed.models) if model[0][0][:3] == ("message", 0, 2) and len(model) == 1
        }
        sent = record.load(observed.models[row][0][0])
        assert torch.equal(sent, record.recordings.load(2, 4 * replica, "sent/parameters"))
        module.bind(sent)
        logits = module.outputs(asked.samples, done.nodes[0].data.preparation)
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels_of(asked.samples)), reduction="none")
        np.testing.assert_allclose(found[replica, row, first], -loss.numpy()[first], atol=1e-9)
        assert np.isnan(found[replica, row, ~first]).all()


@pytest.mark.slow
def test_replicas_keep_the_rounds_that_the_run_recorded_and_no_marks_of_its_canaries(tmp_path, register):
    register("methods", "dp_sgd", DPSGD)
    private = [{"name": "dp_sgd", "clip": 0.1, "noise_multiplier": 1.0}]
    canaries = "data.canaries={kind: block, number: 3, coins: 1}"
    every = ("rounds=2", "evaluate.every=2", "record={every: 2, without: [mixed]}", "data.public=[]")
    done = run(small(*HELD_OUT, *every, canaries, methods=private), tmp_path)
    assert RunRecord.of(Run.open(done.path)).rounds == train(done, 2).record(1).rounds == (2,)
