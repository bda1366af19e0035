"""Asynchronous gossip: against a plain event loop, by hand, and everything a run must hold in this mode too."""

import json
import signal

import numpy as np
import pytest
import torch
from reference.experiments import METHODS, At, Messages, results, small
from reference.marks import first
from reference.network import Existing, Point, quadratics, random_data, sgd

from simulator import resume, run
from simulator.backends.local import Local
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.message import Message
from simulator.core.observer import Observer
from simulator.core.run_schedule import RunSchedule
from simulator.core.seeding import generator
from simulator.mixers.pair_average import PairAverage
from simulator.results.checkpoint import Checkpoints
from simulator.results.report import write_report
from simulator.rounds.asynchronous import Asynchronous
from simulator.rounds.clock import Clock, ClockSettings
from simulator.rounds.engine import Engine
from simulator.rounds.event_queue import EventQueue
from simulator.training.evaluation import ConsensusGroup
from topologies import Topology

CLOCK = {
    "step_seconds": 0.01,
    "speed_spread": 0.6,
    "latency": 0.002,
    "bandwidth": 1e6,
    "stragglers": {"probability": 0.2, "slowdown": 5},
}
WITHOUT_DELAY = {"step_seconds": 1.0}
TRAINING = {"batch_size": 16, "precision": "fp64", "optimizer": {"lr": 0.1, "momentum": 0.5}}


def pair_average():
    return PairAverage(PairAverage.Config())


def asynchronous(*overrides, **changes):
    return small(*overrides, **{"mode": "asynchronous", "clock": CLOCK, "training": TRAINING, **changes})


def network_values(done, name):
    return {m.round: m.value for m in done.metrics() if (m.node, m.name) == (None, name)}


class Path(Observer):
    """The nodes' parameters and the network's metrics at every evaluation."""

    def __init__(self, network):
        self._network, self.parameters, self.metrics = network, [], []

    def evaluated(self, round, metrics, speed):
        self.parameters.append(self._network.parameters)
        self.metrics.append({m.name: m.value for m in metrics if m.node is None} | {"node_steps": speed.node_steps})


def carry_out(topology, settings, path, rounds, *, targets, start, curvature=None, lr=0.1, local_steps=1, seed=0):
    """Asynchronous gossip on quadratics; returns what was seen after each round."""
    n = topology.num_nodes
    curvature = np.ones(n) if curvature is None else curvature
    training = sgd(lr, local_steps=local_steps)
    network = quadratics(
        topology, targets, start, training, curvature=curvature, mixer=pair_average, seed=seed, rounds=rounds
    )
    backend, seen, data = Local(Local.Config()), Path(network), random_data(2, (1, 1, 1), 2)
    mode = Asynchronous(backend, topology, [local_steps] * n, Clock(settings, seed, n), seed)
    module, groups = (
        FlatModule(Point(start.shape[1]), "fp64"),
        [ConsensusGroup(frozenset(range(n)), data)],
    )
    backend.start(Existing(topology, lambda: FlatModule(Point(start.shape[1]), "fp64"), network.nodes))
    try:
        Engine(mode, RunSchedule(rounds, 1, None), [seen], Checkpoints(path, ""), module, groups).run()
    finally:
        backend.close()
    return seen


def event_loop(topology, settings, rounds, *, targets, start, curvature, lr, local_steps, seed=0):
    """AD-PSGD as a list of events: the models after each round, and when the round ended."""
    n, size = start.shape
    clock = Clock(settings, seed, n)
    parts = {"parameters": torch.zeros(size, dtype=torch.float64)}
    exchange = clock.transfer_seconds(Message(0, 0, 0, parts).envelope)
    x, copies, done = start.copy(), start.copy(), [0] * n
    events = [(0.0, node, "begin") for node in range(n)]
    models, times = [start.copy()], [0.0]
    while len(models) <= rounds:
        event = min(events)
        events.remove(event)
        now, i, what = event
        if what == "begin":
            copies[i] = x[i]
            events.append((now + clock.compute_seconds(i, done[i], local_steps), i, "finish"))
            continue
        y = copies[i].copy()
        for _ in range(local_steps):
            y -= lr * curvature[i] * (y - targets[i])
        neighbours = topology.out_neighbours(i)
        j = generator(seed, "asynchronous.neighbour", node=i, round=done[i]).choice(neighbours)
        x[i] = x[j] = (x[i] + x[j]) / 2
        x[i] = x[i] + y - copies[i]
        done[i] += 1
        events.append((now + exchange, i, "begin"))
        if sum(done) % n == 0:
            models.append(x.copy())
            times.append(now)
    return np.stack(models), times


@pytest.mark.parametrize("seed", first([0, 1]))
@pytest.mark.parametrize("settings", [CLOCK, WITHOUT_DELAY, {**WITHOUT_DELAY, "latency": 3.0}])
@pytest.mark.parametrize("graph", ["ring", "star"])
def test_equals_a_plain_event_loop_on_quadratics(tmp_path, graph, settings, seed):
    topology, rng = Topology.build(graph, 7), np.random.default_rng(seed)
    problem = {
        "targets": rng.normal(size=(7, 4)),
        "start": rng.normal(size=(7, 4)),
        "curvature": rng.uniform(0.5, 2, size=7),
        "lr": 0.2,
        "local_steps": 3,
    }
    settings = ClockSettings(**settings)
    seen = carry_out(topology, settings, tmp_path, 12, seed=seed, **problem)
    models, times = event_loop(topology, settings, 12, seed=seed, **problem)

    np.testing.assert_allclose(np.stack(seen.parameters), models, rtol=0, atol=1e-12)
    assert [metrics["clock/seconds"] for metrics in seen.metrics] == times


def test_two_nodes_by_hand(tmp_path):
    """Node 0 finishes at 1, 2 and 3 s, node 1 at 3 s, after node 0: rounds end at 2 and at 3 s.

    Both halve the distance to their target, 0 and 8. Node 0 starts at 4, so its updates are half of what it has:
    at 1 s from (4, 0): both average to 2, node 0 adds -2;  at 2 s from (0, 2): both 1, it adds 0 (it began at 0);
    at 3 s from (1, 1): both 1, it adds -1/2;  then node 1, which began at 0: both 3/4, it adds 4.
    """
    problem = {"targets": np.array([[0.0, 0], [8, 8]]), "start": np.array([[4.0, 4], [0, 0]])}
    settings = ClockSettings(step_seconds=1, speeds={1: 1 / 3})
    seen = carry_out(Topology.build("complete", 2), settings, tmp_path, 2, lr=0.5, **problem)

    assert [models[:, 0].tolist() for models in seen.parameters] == [[4, 0], [1, 1], [0.75, 4.75]]
    assert [metrics["clock/seconds"] for metrics in seen.metrics] == [0, 2, 3]
    assert "async/staleness" not in seen.metrics[0]
    assert [metrics["async/staleness"] for metrics in seen.metrics[1:]] == [0.0, 1.5]  # (0 + 0) / 2, (0 + 3) / 2
    assert [metrics["node_steps"] for metrics in seen.metrics] == [0, 3, 2]  # counted when a node begins


@pytest.mark.slow
def test_averaging_in_pairs_keeps_the_mean_and_brings_nodes_together(tmp_path):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(8, 5))
    seen = carry_out(
        Topology.build("ring", 8),
        ClockSettings(**CLOCK),
        tmp_path,
        60,
        targets=start,
        start=start,
        curvature=np.zeros(8),
    )
    for models in seen.parameters:
        np.testing.assert_allclose(models.mean(axis=0), start.mean(axis=0), rtol=0, atol=1e-14)
    assert seen.parameters[-1].std(axis=0).max() < 1e-3 * start.std(axis=0).min()


class TestAgenda:
    def test_equal_times_are_in_order_of_the_nodes(self):
        events = EventQueue.of(3)

        assert events.begin(lambda node, activation: 1.0) == [0, 1, 2]
        order = []
        for _ in range(6):
            events.begin(lambda node, activation: 1.0)
            order.append(events.finishing())
            events.averaged(order[-1], (order[-1] + 1) % 3, 0.0)
        assert order == [0, 1, 2, 0, 1, 2]

    def test_nodes_begin_when_their_messages_have_arrived(self):
        events = EventQueue.of(2)
        events.begin(lambda node, activation: [1.0, 10.0][node])
        events.averaged(events.finishing(), 1, 0.5)

        assert events.begin(lambda node, activation: 1.0) == [0]
        assert (events.finishing(), events.second) == (0, 2.5)

    def test_survives_json(self):
        events = EventQueue.of(3)
        events.begin(lambda node, activation: 0.1 + node)
        events.averaged(events.finishing(), 2, 1 / 3)

        assert EventQueue.from_state(json.loads(json.dumps(events.state_dict()))) == events


class TestRuns:
    def test_faster_nodes_do_more(self, tmp_path):
        """Alone with its own speed a node of speed s finishes s activations a second; exchanges take no time."""
        settings = {"step_seconds": 1, "speeds": {0: 4.0, 2: 0.5}}
        done = run(asynchronous(clock=settings, rounds=26, evaluate={}), tmp_path)

        assert network_values(done, "clock/seconds")[26] == 16.0
        assert [node.round for node in done.nodes] == [64, 16, 8, 16]

    def test_own_steps_of_a_node_take_their_time(self, tmp_path):
        training = {**TRAINING, "nodes": {1: {"local_steps": 4}}}
        done = run(asynchronous(clock=WITHOUT_DELAY, training=training, rounds=13, evaluate={}), tmp_path)

        assert [node.round for node in done.nodes] == [16, 4, 16, 16]

    def test_every_activation_sends_two_messages_over_a_link(self, tmp_path):
        seen = Messages()
        done = run(asynchronous(), tmp_path, [seen])
        pairs = list(zip(seen.all[::2], seen.all[1::2], strict=True))

        assert [question.round for question, _ in pairs] == [round for round in range(1, 7) for _ in range(4)]
        for question, answer in pairs:
            assert (answer.sender, answer.receiver) == (question.receiver, question.sender)
            assert answer.round == question.round
            assert (question.sender - question.receiver) % 4 in (1, 3)
        sent = sum(sum(message.bytes_by_part.values()) for message in seen.all)
        assert network_values(done, "bytes/sent")[6] == sent
        assert len(list(done.directory.messages())) == 2 * 4 * 6

    @pytest.mark.slow
    def test_it_learns(self, tmp_path):
        done = run(asynchronous(rounds=150, evaluate={}), tmp_path)
        accuracy = network_values(done, "consensus/test/accuracy")

        assert accuracy[150] > 0.7 > 0.3 > accuracy[0]

    def test_it_has_the_metrics_of_the_synchronous_mode_and_its_own(self, tmp_path):
        names = [
            {(m.round, m.node, m.name) for m in run(experiment, tmp_path / experiment.mode).metrics()}
            for experiment in (small(clock=CLOCK), asynchronous(clock=WITHOUT_DELAY))
        ]
        assert names[1] - names[0] == {(round, None, "async/staleness") for round in (2, 4, 6)}
        assert not names[0] - names[1]

    def test_its_report_can_be_written_though_a_slow_node_has_not_trained(self, tmp_path):
        settings = {"step_seconds": 1, "speeds": {3: 0.01}}
        done = run(asynchronous(clock=settings), tmp_path)
        losses = [m.round for m in done.metrics() if (m.node, m.name) == (3, "train/loss")]

        assert losses == [2]
        assert write_report(done.directory, []).is_file()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run that never stopped."""
    return run(asynchronous(), tmp_path_factory.mktemp("straight")).path


class TestDeterminism:
    @pytest.mark.parametrize("workers", [1, 3])
    def test_one_seed_gives_one_result_to_the_last_byte(self, straight, tmp_path, workers):
        assert results(run(asynchronous(f"backend.workers={workers}"), tmp_path).path) == results(straight)

    def test_another_seed_gives_another(self, straight, tmp_path):
        assert results(run(asynchronous(seed=1), tmp_path).path) != results(straight)

    @pytest.mark.parametrize("last", first([0, 3, 1, 2, 4], by_default=2))
    def test_stopped_after_any_round_and_resumed(self, straight, tmp_path, last):
        stopped = run(asynchronous(), tmp_path, [At(last, lambda: signal.raise_signal(signal.SIGINT))])
        assert stopped.status == "interrupted"

        assert results(resume(stopped.path).path) == results(straight)

    def test_a_checkpoint_without_its_agenda_is_refused(self, tmp_path):
        path = run(asynchronous(checkpoint={"every": 3}), tmp_path).path
        file = path / "checkpoints" / "round-000006" / "checkpoint.json"
        header = json.loads(file.read_text())
        del header["engine"]["mode"]["pending"]
        file.write_text(json.dumps(header))

        with pytest.raises(InputError, match="damaged"):
            resume(path)


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "where"),
        [
            ({"clock": None}, "clock"),
            ({"topology": {"graph": "exponential", "nodes": 8}}, "topology.graph"),
            ({"topology": {"graph": "complete", "nodes": 1}}, "topology.graph"),
            ({"topology": {"graph": "ring", "nodes": 4, "schedule": "random_matching"}}, "topology.schedule"),
            ({"topology": {"graph": "ring", "nodes": 4, "failures": {"links": 0.1}}}, "topology.failures"),
            ({"mixer": {"name": "gossip", "rate": 0.5}}, "mixer"),
            ({"mixer": {"name": "gossip", "order": "combine_then_adapt"}}, "mixer"),
            ({"methods": METHODS[:1], "training": {"optimizer": {"lr": 0.1}}}, "methods[0]"),
            ({"mode": "asynchron"}, "mode"),
        ],
    )
    def test_what_needs_rounds_in_step_is_refused_where_it_stands(self, changes, where):
        with pytest.raises(InputError) as caught:
            asynchronous(**changes)
        (problem,) = caught.value.problems

        assert problem.where == where
        assert problem.what
        assert problem.advice

    def test_all_at_once(self):
        topology = {"graph": "ring", "nodes": 4, "schedule": "random_matching", "failures": {"nodes": 0.1}}
        with pytest.raises(InputError) as caught:
            small(mode="asynchronous", topology=topology, mixer={"name": "gossip", "rate": 0.5}, methods=METHODS)

        assert {problem.where for problem in caught.value.problems} == {
            *("clock", "topology.schedule", "topology.failures", "mixer", "methods[0]", "methods[1]")
        }
