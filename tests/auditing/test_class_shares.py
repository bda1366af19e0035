"""What messages tell of the classes that a node holds: the attackers' arithmetic, and whole audits."""

import json

import numpy as np
import pytest
import torch
from reference.experiments import small
from torch.nn.functional import cross_entropy

from auditing.class_shares import ClassSharesAudit
from auditing.class_shares.attackers import ATTACKERS, RecordedRound, compared_labels, histogram, labels, model, update
from auditing.class_shares.audit import largest_class, rank_correlation, total_variation
from auditing.views.record import Stored
from simulator import run
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.soft_labels import SoftLabels
from simulator.results.recordings import Recordings
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audit
from simulator.runs.build import Simulation
from simulator.runs.report import write_run_report

ROUNDS = [1, 2, 4, 6]
IDKD = {"name": "idkd", "first_round": 4, "every": 2, "threshold": 0.2}


class Kept:
    """A record of one round by hand: ``start`` and ``sent``, float64 [parameters] by node; others were away."""

    def __init__(self, start, sent):
        self.start, self.models = start, sent
        self.nodes, self.rounds, self.lasted = len(start), (1,), 1

    def receivers(self, round, node):
        return (0,) if node in self.models else ()

    def message(self, round, node, receiver):
        return Stored("message", node, round)

    def load(self, stored):
        return {"start": self.start, "message": self.models}[stored.kind][stored.node]


def true_shares(node):
    counts = np.bincount(node.data.train.targets_at(torch.arange(len(node.data.train))), minlength=10)
    return counts / counts.sum()


@pytest.fixture(scope="module")
def world():
    """Nodes of very different classes, and an instance of their network."""
    blueprint = Simulation.of(small("data.partition.alpha=0.1")).blueprint
    return blueprint.nodes(range(4)), FlatModule(blueprint.module().module, "fp64")


def random_model(network, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=network.num_parameters))


def scene(world, sent=None, told=None):
    nodes, network = world
    start = {node.id: torch.zeros(network.num_parameters, dtype=torch.float64) for node in nodes}
    return RecordedRound(Kept(start, sent or {}), 1, nodes, network, told or {})


class TestAttackers:
    def test_one_full_gradient_step_from_an_undecided_model_gives_the_shares_away(self, world):
        """The gradient of the last biases is 1/C minus the shares."""
        nodes, network = world
        sent = {}
        for node in nodes:
            start = torch.zeros(network.num_parameters, dtype=torch.float64)
            network.bind(start)
            images = node.data.preparation(node.data.train.inputs_at(torch.arange(len(node.data.train))), torch.float64)
            network.differentiate(cross_entropy(network.module(images), torch.from_numpy(_labels(node))))
            sent[node.id] = start - 0.1 * network.gradient
        found = update(scene(world, sent))
        for node, shares in zip(nodes, found, strict=True):
            truth = true_shares(node)
            np.testing.assert_allclose(shares, (truth - truth.min()) / (truth - truth.min()).sum(), atol=1e-12)
        assert any(true_shares(node).min() == 0 for node in nodes)  # then they are exact

    def test_a_model_is_known_by_its_mean_answer_to_public_samples(self, world):
        nodes, network = world
        sent = {0: random_model(network)}
        network.bind(sent[0])
        expected = network.outputs(nodes[0].data.public, nodes[0].data.preparation).softmax(1).mean(0)
        found = model(scene(world, sent))

        np.testing.assert_allclose(found[0], expected, rtol=1e-12)
        assert np.isnan(found[1:]).all()  # these were away

    def test_labels_and_histograms_are_taken_at_their_word(self, world):
        rows = torch.tensor([[0.5, 0.5] + [0.0] * 8, [1.0] + [0.0] * 9])
        told = {
            1: SoftLabels(torch.tensor([3, 7]), rows, torch.arange(10)),
            2: SoftLabels(torch.empty(0, dtype=torch.int64), torch.empty(0, 10)),
        }
        by_labels, by_histogram = labels(scene(world, told=told)), histogram(scene(world, told=told))

        np.testing.assert_allclose(by_labels[1], [0.75, 0.25, *[0] * 8])
        np.testing.assert_allclose(by_histogram[1], np.arange(10) / 45)
        assert np.isnan(by_labels[[0, 2, 3]]).all()
        assert np.isnan(by_histogram[[0, 2, 3]]).all()

    def test_compared_labels_are_what_a_node_says_more_often_than_the_others(self, world):
        first, second = torch.zeros(4, 10), torch.zeros(2, 10)
        first[:3, 0] = first[3:, 1] = second[:, 1] = 1  # 3 of class 0 and 1 of class 1; 2 of class 1
        told = {0: SoftLabels(torch.arange(4), first), 3: SoftLabels(torch.arange(2), second)}
        found = compared_labels(scene(world, told=told))

        np.testing.assert_allclose(found[0], [3 / 4, 1 / 4, *[0] * 8])  # 3/3 and 1/3, over their sum
        np.testing.assert_allclose(found[3], [0, 1, *[0] * 8])
        assert np.isnan(found[1:3]).all()
        assert np.isnan(compared_labels(scene(world))).all()

    def test_nothing_is_learnt_from_a_model_that_stood_still(self, world):
        still = {0: torch.zeros(world[1].num_parameters, dtype=torch.float64)}

        assert np.isnan(update(scene(world, still))).all()

    def test_estimates_are_shares(self, world):
        sent = {node.id: random_model(world[1], node.id) for node in world[0]}
        for name, shares in scene(world, sent).estimates().items():
            known = shares[~np.isnan(shares).any(axis=1)]
            np.testing.assert_allclose(known.sum(axis=1), 1, err_msg=name)
            assert (known >= 0).all()


def _labels(node):
    return node.data.train.targets_at(torch.arange(len(node.data.train))).numpy()


def test_measures():
    truth = np.array([0.5, 0.3, 0.2, 0.0])

    assert total_variation(truth, truth) == 0
    assert total_variation(np.array([0, 0, 0, 1.0]), truth) == 1
    assert rank_correlation(truth**2, truth) == pytest.approx(1)
    assert rank_correlation(1 - truth, truth) == pytest.approx(-1)
    assert np.isnan(rank_correlation(np.full(4, 0.25), truth))
    assert largest_class(truth, truth) == 1
    assert largest_class(np.full(4, 0.25), truth) == 0.25
    assert largest_class(np.array([0.4, 0.4, 0.1, 0.1]), truth) == 0.5
    assert largest_class(np.array([0.1, 0.7, 0.1, 0.1]), truth) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    experiment = small("data.partition.alpha=0.1", methods=[IDKD], record={"rounds": ROUNDS})
    return run(experiment, tmp_path_factory.mktemp("runs")).path


def result_of(path, **settings):
    return json.loads((audit(path, ClassSharesAudit.Config(**settings)) / "result.json").read_text())


class TestAudit:
    def test_the_result_is_complete_repeatable_and_in_the_report(self, finished):
        where = audit(finished, ClassSharesAudit.Config())
        first = (where / "result.json").read_bytes()
        result = json.loads(first)
        assert result["rounds"] == ROUNDS
        assert list(result["attackers"]) == list(ATTACKERS)
        audit(finished, ClassSharesAudit.Config())
        assert (where / "result.json").read_bytes() == first
        page = write_run_report(RunDirectory.open(finished)).read_text()
        assert "Class shares: which classes a node holds" in page

    def test_updates_of_the_first_round_tell_more_than_nothing(self, finished):
        first = result_of(finished, rounds=(1,))["attackers"]
        assert np.mean(first["update"]["all"]["rank_correlation"]) > 0.5
        assert np.mean(first["update"]["all"]["tv"]) < np.mean(first["nothing"]["all"]["tv"])

    def test_labels_are_read_where_they_were_sent(self, finished):
        result = result_of(finished)
        told = [any(v is not None for v in each["tv"]) for each in result["attackers"]["labels"]["by_round"]]
        assert told == [False, False, True, True]

        views = Recordings(finished / "recordings")
        for node in range(4):
            sent = views.parts(4, node, views.load(4, node, "receivers").tolist()[0])
            shares = sent["idkd.labels"].double().mean(0).numpy()
            expected = total_variation(shares, np.array(result["truth"][node]))
            assert result["attackers"]["labels"]["by_round"][2]["tv"][node] == pytest.approx(expected)

    def test_a_histogram_gives_all_away(self, tmp_path):
        experiment = small(methods=[{**IDKD, "merge": "official"}], record={"rounds": ROUNDS})
        told = result_of(run(experiment, tmp_path).path)["attackers"]["histogram"]["all"]

        assert told["tv"] == pytest.approx([0] * 4)
        assert told["largest_class"] == [1] * 4

    @pytest.mark.slow
    def test_without_labels_models_are_left(self, tmp_path):
        path = run(small(rounds=2, record={"rounds": [1]}), tmp_path).path
        attackers = result_of(path)["attackers"]

        assert set(attackers["labels"]["all"]["tv"]) == {None}
        assert None not in attackers["model"]["all"]["tv"]
        assert "No labels of public samples" in write_run_report(RunDirectory.open(path)).read_text()

    def test_runs_can_be_compared_by_it(self, finished):
        audit(finished, ClassSharesAudit.Config())
        found = RunDirectory.open(finished).audit_metrics()

        assert found["audit/class_shares/nothing/largest_class"] == pytest.approx(0.1)
        assert "audit/class_shares/labels/tv" in found
        assert "audit/class_shares/nothing/rank_correlation" not in found

    def test_what_cannot_be_audited_is_refused(self, finished, tmp_path):
        with pytest.raises(InputError, match=r"rounds: round 3 was not recorded"):
            audit(finished, ClassSharesAudit.Config(rounds=(1, 3)))
        bare = run(small("data.public=[]", rounds=1), tmp_path).path
        with pytest.raises(InputError) as caught:
            audit(bare, ClassSharesAudit.Config())
        assert [p.where for p in caught.value.problems] == ["data.public", "record"]
        assert not (bare / "audit").exists()
