"""The rounds: what is measured when, that one seed gives one result, and how a run fails."""

import errno
import json
import resource
import signal
from contextlib import contextmanager
from math import cos, pi
from typing import ClassVar

import numpy as np
import pytest
import torch
from reference.experiments import METHODS, SMALL, At, Messages, results, small
from reference.marks import first
from reference.network import Existing, Point, quadratics, random_data, sgd

from simulator import resume, run
from simulator.backends.local import Local
from simulator.core.errors import InputError, RunError
from simulator.core.flat_module import FlatModule
from simulator.core.method import Method
from simulator.core.observer import Observer
from simulator.core.registry import PartSettings
from simulator.core.run_schedule import RunSchedule
from simulator.core.seeding import global_seed
from simulator.core.traits import Traits
from simulator.results.checkpoint import Checkpoints
from simulator.results.console import Console
from simulator.results.recorder import Recorder
from simulator.results.run_directory import RunDirectory
from simulator.rounds.engine import Engine
from simulator.rounds.synchronous import Synchronous
from simulator.runs.build import Simulation
from simulator.runs.report import write_run_report
from simulator.training.evaluation import ConsensusGroup, evaluate
from simulator.training.evaluation import consensus as distance_of
from topologies import Failures, Network, Topology, build_schedule


class Evaluations(Observer):
    """Keeps metrics by (round, node, name), and the rounds in which something was measured."""

    def __init__(self):
        self.metrics, self.rounds, self.speeds = {}, [], []

    def evaluated(self, round, metrics, speed):
        self.rounds.append(round)
        self.speeds.append(speed)
        self.metrics |= {(m.round, m.node, m.name): m.value for m in metrics}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of seven rounds with both methods, measured every three."""
    return run(small(rounds=7, methods=METHODS, evaluate={"every": 3}), tmp_path_factory.mktemp("finished"))


def values(done, round, name):
    """Of all nodes, in order."""
    return [m.value for m in done.metrics() if (m.round, m.name) == (round, name) and m.node is not None]


def network_value(done, round, name):
    (value,) = [m.value for m in done.metrics() if (m.round, m.node, m.name) == (round, None, name)]
    return value


class TestMeasurements:
    def test_happen_before_the_first_round_at_the_rhythm_and_after_the_last(self, finished):
        rounds, _ = finished.directory.network_series("test/accuracy/mean")

        assert rounds.tolist() == [0, 3, 6, 7]

    def test_happen_at_both_ends_without_a_rhythm(self, tmp_path):
        seen = Evaluations()
        run(small(rounds=3, evaluate={}), tmp_path, [seen])

        assert seen.rounds == [0, 3]

    @pytest.mark.parametrize("round", [0, 3, 6, 7])
    def test_cover_every_node_and_the_network(self, finished, round):
        of_nodes = {"test/accuracy", "test/loss", "bytes/sent"} | ({"train/loss"} if round else set())
        of_network = {f"test/accuracy/{which}" for which in ("mean", "worst", "best")}
        of_network |= {"consensus/test/accuracy", "consensus/test/loss", "consensus/distance"}
        of_network |= {"bytes/sent", "bytes/wire", "test/majority"}
        found = {}
        for metric in finished.metrics():
            if metric.round == round and not metric.name.startswith("idkd/"):
                found.setdefault(metric.node, set()).add(metric.name)

        assert found == {**dict.fromkeys(range(4), of_nodes), None: of_network}

    @pytest.mark.parametrize("round", [0, 3, 6, 7])
    def test_majority_is_the_share_of_the_most_common_test_label(self, finished, round):
        test = finished.nodes[0].data.test
        shares = np.bincount(test.targets_at(torch.arange(len(test))).numpy()) / len(test)

        assert network_value(finished, round, "test/majority") == shares.max()

    @pytest.mark.parametrize("round", [0, 3, 6, 7])
    def test_mean_worst_and_best_are_those_of_the_nodes(self, finished, round):
        accuracies = values(finished, round, "test/accuracy")

        assert network_value(finished, round, "test/accuracy/mean") == pytest.approx(np.mean(accuracies), rel=1e-15)
        assert network_value(finished, round, "test/accuracy/worst") == min(accuracies)
        assert network_value(finished, round, "test/accuracy/best") == max(accuracies)

    def test_of_the_last_round_describe_the_models_that_are_returned(self, finished):
        experiment = small(rounds=7, methods=METHODS)
        module, data = Simulation.of(experiment).blueprint.module(), finished.nodes[0].data
        rows = torch.stack([node.parameters for node in finished.nodes])
        found = [evaluate(module, row, data.test, data) for row in rows]
        consensus = evaluate(module, rows.mean(0), data.test, data)

        assert values(finished, 7, "test/accuracy") == [score["accuracy"] for score in found]
        assert values(finished, 7, "test/loss") == pytest.approx([score["loss"] for score in found], rel=1e-14)
        assert network_value(finished, 7, "consensus/test/accuracy") == consensus["accuracy"]
        assert network_value(finished, 7, "consensus/test/loss") == pytest.approx(consensus["loss"], rel=1e-14)
        assert network_value(finished, 7, "consensus/distance") == pytest.approx(distance_of(rows)[1], rel=1e-14)

    def test_before_the_first_round_all_nodes_agree(self, finished):
        assert network_value(finished, 0, "consensus/distance") == 0
        assert len(set(values(finished, 0, "test/loss"))) == 1
        assert values(finished, 0, "bytes/sent") == [0] * 4

    def test_change_nothing(self, tmp_path):
        often = run(small(evaluate={"every": 1}), tmp_path / "often")
        never = run(small(evaluate={}), tmp_path / "never")

        for one, other in zip(often.nodes, never.nodes, strict=True):
            assert torch.equal(one.parameters, other.parameters)

    def test_training_loss_is_the_mean_since_the_last_one(self, tmp_path):
        every = run(small(evaluate={"every": 1}), tmp_path / "every")
        once = run(small(evaluate={}), tmp_path / "once")
        means = np.mean([values(every, round, "train/loss") for round in range(1, 7)], axis=0)

        assert values(once, 6, "train/loss") == pytest.approx(means, rel=1e-12)

    def test_count_the_bytes_of_all_messages_so_far(self, finished, tmp_path):
        seen, found = Messages(), Evaluations()
        run(small(rounds=4, methods=METHODS), tmp_path, [seen, found])
        for round in found.rounds:
            before = [message for message in seen.all if message.round <= round]
            for node in range(4):
                sent = sum(sum(m.bytes_by_part.values()) for m in before if m.sender == node)
                assert found.metrics[round, node, "bytes/sent"] == sent
            assert found.metrics[round, None, "bytes/wire"] == sum(message.wire_bytes for message in before)

    def test_report_the_node_steps_since_the_last_one(self, tmp_path):
        found = Evaluations()
        training = {"local_steps": 2, "batch_size": 16, "optimizer": {"lr": 0.1}}
        run(small(rounds=5, evaluate={"every": 2}, training=training), tmp_path, [found])

        assert [speed.node_steps for speed in found.speeds] == [0, 16, 16, 8]  # 4 nodes, 2 steps a round


def test_rounds_between_checkpoints():
    run_schedule = RunSchedule(rounds=7, evaluate_every=3, checkpoint_every=2)

    assert [round for round in range(8) if run_schedule.checkpoints(round)] == [2, 4, 6, 7]
    assert [round for round in range(8) if run_schedule.evaluates(round)] == [0, 3, 6, 7]


@pytest.mark.parametrize(
    ("kept", "rounds"), [({}, [4, 5]), ({"keep": "all"}, [2, 4, 5]), ({"keep": 1, "rounds": [2]}, [2, 5])]
)
def test_checkpoints_are_saved_at_the_rhythm_and_after_the_last_round_and_the_last_are_kept(tmp_path, kept, rounds):
    done = run(small(rounds=5, checkpoint={"every": 2, **kept}), tmp_path)

    assert Checkpoints(done.path / "checkpoints", "").rounds() == rounds


def test_a_ring_forgets_disagreement_at_its_spectral_gap(tmp_path):
    """Nodes that begin apart and learn nothing: per round, the engine's consensus distance shrinks by lambda_2.

    (1 + 2 cos(2 pi / 8)) / 3 = 0.80474 on a ring of eight.
    """
    topology, rng = Topology.build("ring", 8), np.random.default_rng(0)
    network = quadratics(
        topology, np.zeros((8, 5)), rng.normal(size=(8, 5)), sgd(0.1), curvature=np.zeros(8), rounds=40
    )
    backend, found, data = Local(Local.Config()), Evaluations(), random_data(2, (1, 1, 1), 2)
    backend.start(Existing(topology, lambda: FlatModule(Point(), "fp64"), network.nodes))
    try:
        alike = [ConsensusGroup(frozenset(range(8)), data)]
        mode = Synchronous(backend, Network(build_schedule("static", topology), Failures()))
        module = FlatModule(Point(), "fp64")
        Engine(mode, RunSchedule(40, 1, None), [found], Checkpoints(tmp_path, ""), module, alike).run()
    finally:
        backend.close()
    distance = [found.metrics[round, None, "consensus/distance"] for round in range(41)]

    assert distance[40] / distance[39] == pytest.approx((1 + 2 * cos(pi / 4)) / 3, rel=1e-9)


class TestDeterminism:
    def test_one_seed_gives_one_result_to_the_last_byte(self, finished, tmp_path):
        again = run(small(rounds=7, methods=METHODS, evaluate={"every": 3}), tmp_path)

        assert results(again.path) == results(finished.path)

    def test_another_seed_gives_another(self, finished, tmp_path):
        other = run(small(rounds=7, seed=1, methods=METHODS, evaluate={"every": 3}), tmp_path)

        assert not torch.equal(other.nodes[0].parameters, finished.nodes[0].parameters)

    def test_torchs_global_seed_plays_no_part(self, finished, tmp_path):
        with global_seed(9, "something else"):
            again = run(small(rounds=7, methods=METHODS, evaluate={"every": 3}), tmp_path)

        assert results(again.path) == results(finished.path)

    @pytest.mark.parametrize("every", first([2, 1]))
    def test_how_often_checkpoints_are_saved_does_not_show(self, tmp_path, every):
        """Not even in the order of lines, when a method reports both before and after mixing."""
        idkd = [{"name": "idkd", "first_round": 2, "every": every, "threshold": 0.4}]
        found = [
            results(run(small(methods=idkd, checkpoint=checkpoint), tmp_path / str(number)).path)
            for number, checkpoint in enumerate(({}, {"every": 1}, {"every": 3}))
        ]

        assert found[0]["metrics.jsonl"] == found[1]["metrics.jsonl"] == found[2]["metrics.jsonl"]
        assert found[0] == found[1] == found[2]

    def test_messages_are_seen_in_order_of_sender_and_receiver(self, tmp_path):
        seen = Messages()
        run(small(rounds=3, backend={"name": "local", "workers": 2}), tmp_path, [seen])
        keys = [(message.round, message.sender, message.receiver) for message in seen.all]

        assert keys == sorted(keys)
        assert len(set(keys)) == 3 * 8


def provenance(path):
    return json.loads((path / "provenance.json").read_text())


def only_run(out):
    (path,) = out.iterdir()
    return RunDirectory.open(path)


class TestDivergence:
    def test_names_its_cause_and_keeps_what_was_measured(self, tmp_path):
        training = {"optimizer": {"lr": 1e30}, "batch_size": 16}
        with pytest.raises(RunError, match=r"diverged: in round \d+ node \d .*not finite.*\n.*training\.optimizer\.lr"):
            run(small(training=training), tmp_path)
        directory = only_run(tmp_path)

        assert directory.network_series("test/accuracy/mean")[0].tolist() == [0]
        assert provenance(directory.path)["status"] == "failed"

    @pytest.mark.parametrize("threshold", ["youden", 0.9])
    def test_is_told_apart_from_a_bug_when_a_method_meets_it_first(self, tmp_path, threshold):
        methods = [{"name": "idkd", "first_round": 5, "threshold": threshold}]
        with pytest.raises(RunError, match="diverged"):
            run(small(methods=methods, evaluate={}, training={"optimizer": {"lr": 1e30}}), tmp_path)


class TestFullDisk:
    @pytest.mark.parametrize("when", ["sent", "evaluated", "logged", "saved", "state_dict"])
    def test_fails_the_run_and_leaves_what_was_written(self, tmp_path, monkeypatch, when):
        """The disk fills up in the third round or later."""
        original = getattr(Recorder, when)
        calls = []

        def full(self, *arguments):
            calls.append(when)
            if getattr(self, "_seen", 0) >= 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(self, *arguments)

        sent = Recorder.sent

        def count(self, round, messages):
            self._seen = round
            return sent(self, round, messages)

        if when == "sent":
            original = count
        else:
            monkeypatch.setattr(Recorder, "sent", count)
        monkeypatch.setattr(Recorder, when, full)
        with pytest.raises(RunError, match=r"No space left on device.*\n.*rumormill resume"):
            run(small(methods=METHODS, evaluate={"every": 1}, checkpoint={"every": 4}), tmp_path)
        directory = only_run(tmp_path)

        assert calls
        assert directory.network_series("test/accuracy/mean")[0].tolist()[:2] == [0, 1]

    @pytest.mark.parametrize(
        ("size", "changes"),
        [
            (20_000, {"rounds": 40, "evaluate": {"every": 1}}),
            (30_000, {"model": {"name": "mlp", "hidden": [96]}, "checkpoint": {"every": 2}}),
        ],
        ids=["metrics", "checkpoint"],
    )
    @pytest.mark.slow
    def test_is_told_as_such_by_the_real_thing(self, tmp_path, size, changes):
        """The kernel refuses to let files grow: the metrics, or with a larger model the checkpoints."""
        with files_up_to(size), pytest.raises(RunError, match=r"^writing the run directory failed in roun"):
            run(small(**changes), tmp_path)

        assert only_run(tmp_path).network_series("test/accuracy/mean")[0].tolist()[0] == 0

    def test_before_the_first_round_is_wrong_input(self, tmp_path):
        with files_up_to(4_000), pytest.raises((InputError, RunError)):
            run(small(), tmp_path)


@contextmanager
def files_up_to(size):
    """The kernel lets no file of this process grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestBeforeTheRun:
    @pytest.mark.parametrize(
        ("changes", "where"),
        [
            ({"data.partition": "{name: quantity_skew, alpha: 1.0, min_samples: 500}"}, "data.partition"),
            ({"data.public.0.samples": "100000"}, r"data.public\[0\].samples"),
            ({"data.dataset": "{name: npz, path: /nowhere.npz}"}, "data.dataset"),
            ({"model": "{name: resnet20, norm: batch}"}, "buffers"),
        ],
        ids=["too few samples", "too few public images", "no such file", "batch norm"],
    )
    def test_wrong_input_makes_no_directory(self, tmp_path, changes, where):
        experiment = small(*(f"{key}={value}" for key, value in changes.items()))

        with pytest.raises(InputError, match=where):
            run(experiment, tmp_path / "runs")
        assert not (tmp_path / "runs").exists()

    def test_a_run_inside_a_run_is_refused(self, finished):
        with pytest.raises(InputError, match="is itself a run directory"):
            run(small(), finished.path)

    def test_a_place_that_cannot_be_written_to_is_refused(self, tmp_path):
        (tmp_path / "file").touch()

        with pytest.raises(InputError, match="cannot be made"):
            run(small(), tmp_path / "file" / "runs")


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_saves_after_the_round_and_ends(self, tmp_path, number):
        done = run(small(), tmp_path, [At(3, lambda: signal.raise_signal(number))])

        assert done.status == "interrupted"
        assert Checkpoints(done.path / "checkpoints", "").rounds() == [4]
        assert provenance(done.path)["status"] == "interrupted"

    def test_a_second_signal_ends_at_once(self, tmp_path):
        def twice():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

        done = run(small(), tmp_path, [At(3, twice)])

        assert done.status == "interrupted"
        assert Checkpoints(done.path / "checkpoints", "").rounds() == []

    def test_in_the_last_round_the_run_is_finished(self, tmp_path):
        done = run(small(), tmp_path, [At(5, lambda: signal.raise_signal(signal.SIGINT))])

        assert done.status == "finished"

    def test_handlers_are_as_they_were_afterwards(self, tmp_path):
        before = signal.getsignal(signal.SIGINT)
        run(small(rounds=1), tmp_path)

        assert signal.getsignal(signal.SIGINT) is before


class Stopping(Method):
    """Asks for the end of the run at one hook, in one round, at node 2."""

    class Config(PartSettings):
        name: str = "stopping"
        hook: str = "after_local_training"
        round: int = 4

    @classmethod
    def traits(cls, config):
        return Traits(may_stop=True)

    def _ask(self, node, hook):
        if (node.id, node.round, hook) == (2, self.config.round, self.config.hook):
            node.stop("it has had enough.")

    def before_round(self, node):
        self._ask(node, "before_round")

    def after_local_training(self, node):
        self._ask(node, "after_local_training")

    def after_mixing(self, node):
        self._ask(node, "after_mixing")

    def measure(self, node):
        return {"stopping/round": node.round}

    def finalize(self, node):
        node.save("stopping", rounds=np.array(node.rounds))


ENDS = first([("after_mixing", 5), ("before_round", 4), ("after_local_training", 4)], by_default=2)


class TestAnEarlyEnd:
    def stopped(self, register, path, observers=(), **settings):
        register("methods", "stopping", Stopping)
        experiment = small(rounds=9, methods=[{"name": "stopping", **settings}], evaluate={"every": 2})
        return run(experiment, path, observers)

    @pytest.mark.parametrize(("hook", "last"), ENDS)
    def test_comes_after_the_round_in_which_a_node_asks_for_it(self, register, tmp_path, hook, last):
        done = self.stopped(register, tmp_path, hook=hook)
        rounds, largest = done.directory.network_series("stopping/round/max")

        assert rounds.tolist() == largest.tolist() == sorted({0, 2, 4, last})
        assert done.directory.read_json("provenance.json")["ended_early"] == "node 2: it has had enough."
        assert {node.round for node in done.nodes} == {last}
        assert [(a.round, int(a.arrays["rounds"])) for a in done.directory.artifacts("stopping")] == [(last, last)] * 4

    @pytest.mark.parametrize("hook", first(["after_mixing", "after_local_training"]))
    @pytest.mark.parametrize("last", first([3, 1, 2]))
    def test_is_the_same_after_a_stop_on_the_way(self, register, tmp_path, hook, last):
        whole = self.stopped(register, tmp_path / "whole", hook=hook)
        stopped = self.stopped(register, tmp_path, [At(last, lambda: signal.raise_signal(signal.SIGINT))], hook=hook)
        resume(stopped.path)

        assert results(stopped.path) == results(whole.path)

    @pytest.mark.slow
    def test_is_not_early_in_the_last_round(self, register, tmp_path):
        done = self.stopped(register, tmp_path, round=9)

        assert {node.round for node in done.nodes} == {9}
        assert "ended_early" not in done.directory.read_json("provenance.json")


def test_observers_and_the_live_table_count_rounds_from_1(tmp_path):
    class Watching(Console):
        """Keeps which round is told, and how many the table then takes for done."""

        told: ClassVar[list[tuple[int, int]]] = []

        def sent(self, round, messages):
            super().sent(round, messages)
            self.told.append((round, self._done))

    run(small(rounds=3), tmp_path, [Watching()])
    assert Watching.told == [(1, 1), (2, 2), (3, 3)]


@pytest.fixture(scope="module")
def partly_tested(tmp_path_factory):
    """A run of which all nodes are tested, and the same one of which four are."""
    ring, folder = {"graph": "ring", "nodes": 9}, tmp_path_factory.mktemp("some")
    experiments = small(topology=ring), small("evaluate.tested_nodes=4", topology=ring)
    return [run(each, folder / str(number)).path for number, each in enumerate(experiments)]


class TestSomeOfTheNodes:
    """Where only some nodes are tested, everything else is as ever."""

    @staticmethod
    def read(path):
        lines = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
        return {(line["round"], line["node"], line["name"]): line["value"] for line in lines}

    def test_the_same_are_tested_in_every_round(self, partly_tested):
        everyone, some = map(self.read, partly_tested)
        tested = {
            round: {node for at, node, name in some if (at, name) == (round, "test/accuracy") and node is not None}
            for round in (0, 2, 4, 6)
        }

        assert all(each == tested[0] for each in tested.values())
        assert len(tested[0]) == 4
        assert all(everyone[key] == value for key, value in some.items() if key[1] is not None)

    def test_the_mean_has_a_standard_error(self, partly_tested):
        _, some = map(self.read, partly_tested)
        values = [value for (round, node, name), value in some.items() if (round, name) == (6, "test/accuracy")]
        expected = np.std(values, ddof=1) * np.sqrt((1 - 4 / 9) / 4)

        assert some[6, None, "test/accuracy/mean"] == pytest.approx(np.mean(values))
        assert some[6, None, "test/accuracy/standard_error"] == pytest.approx(expected)

    def test_the_consensus_is_that_of_all(self, partly_tested):
        everyone, some = map(self.read, partly_tested)
        names = [name for round, node, name in everyone if (round, node) == (6, None) and name.startswith("consensus/")]

        assert len(names) == 3
        assert all(everyone[6, None, name] == some[6, None, name] for name in names)

    def test_so_is_that_of_changed_models(self, tmp_path):
        data = {**SMALL["data"], "verified": {"share": 0.2}}
        changes = {"topology": {"graph": "ring", "nodes": 5}, "data": data, "methods": ["finetune_verified"]}
        everyone = self.read(run(small("rounds=2", **changes), tmp_path).path)
        some = self.read(run(small("rounds=2", "evaluate.tested_nodes=2", **changes), tmp_path).path)
        names = [name for round, _, name in everyone if round == 2 and name.startswith("finetune_verified/consensus/")]

        assert len(names) == 3
        assert all(everyone[2, None, name] == some[2, None, name] for name in names)

    def test_a_report_is_written_of_them(self, partly_tested):
        write_run_report(RunDirectory.open(partly_tested[1]))

        text = (partly_tested[1] / "report.html").read_text()

        assert "After 6 rounds the 4 tested ones of 9 nodes have a test accuracy of" in text
        assert "standard error of that as the mean of all" in text
        assert "worst node of 4 tested" in text

    @pytest.mark.parametrize(
        ("nodes", "message"), [(4, "4 of 4 nodes are to be tested"), (1, "greater than or equal to 2")]
    )
    def test_what_makes_no_sense_is_refused(self, nodes, message):
        with pytest.raises(InputError, match=message):
            small(f"evaluate.tested_nodes={nodes}")
