"""The simulated clock: durations by hand and in the mean, and that it changes nothing but its own metric."""

import json
import signal

import numpy as np
import pytest
import torch
from reference.experiments import METHODS, At, Messages, results, small
from reference.marks import first

from simulator import resume, run
from simulator.core.errors import InputError
from simulator.core.message import Message
from simulator.rounds.clock import Clock, ClockSettings, speeds

CLOCK = {
    "step_seconds": 0.01,
    "speed_spread": 0.4,
    "latency": 0.002,
    "bandwidth": 1e6,
    "stragglers": {"probability": 0.3, "slowdown": 4},
}


def clock(nodes, seed=0, **settings):
    return Clock(ClockSettings(**{"step_seconds": 0.5, **settings}), seed, nodes)


def message(sender, receiver, size):
    return Message(sender, receiver, 0, {"parameters": torch.zeros(size)})


def seconds(done):
    return {m.round: m.value for m in done.metrics() if m.name == "clock/seconds"}


class TestSpeeds:
    def test_are_one_without_a_spread(self):
        assert speeds(ClockSettings(step_seconds=1), 0, 5).tolist() == [1.0] * 5

    def test_are_lognormal_with_median_one(self):
        drawn = np.log(speeds(ClockSettings(step_seconds=1, speed_spread=0.5), 3, 4000))

        assert np.median(drawn) == pytest.approx(0, abs=0.03)  # standard error 0.5 * 1.25 / sqrt(4000) = 0.01
        assert drawn.std() == pytest.approx(0.5, abs=0.02)

    def test_of_a_node_do_not_depend_on_how_many_there_are(self):
        settings = ClockSettings(step_seconds=1, speed_spread=0.5)

        assert speeds(settings, 0, 9)[:4].tolist() == speeds(settings, 0, 4).tolist()
        assert speeds(settings, 1, 4).tolist() != speeds(settings, 0, 4).tolist()

    def test_that_are_given_take_the_place_of_drawn_ones(self):
        drawn = speeds(ClockSettings(step_seconds=1, speed_spread=0.5), 0, 4)
        given = speeds(ClockSettings(step_seconds=1, speed_spread=0.5, speeds={2: 3.0}), 0, 4)

        assert given.tolist() == [drawn[0], drawn[1], 3.0, drawn[3]]


class TestDurations:
    def test_of_computing_grow_with_steps_and_shrink_with_speed(self):
        found = clock(3, speeds={1: 2.0, 2: 0.5})

        assert [found.compute_seconds(node, 0, steps) for node, steps in enumerate([2, 2, 6])] == [1.0, 0.5, 6.0]

    def test_of_messages_count_what_is_on_the_wire(self):
        sent = message(0, 1, 100)

        assert clock(1, latency=0.25).transfer_seconds(sent.envelope) == 0.25
        expected = 0.25 + len(sent.encode()) / 1000
        assert clock(1, latency=0.25, bandwidth=1000).transfer_seconds(sent.envelope) == expected

    def test_of_a_round_on_a_chain_of_three(self):
        """Nodes compute 1, 0.5 and 2 seconds. The last message is node 2's; if that one is lost, node 0's large one."""
        found = clock(3, speeds={1: 2.0, 2: 0.5}, latency=0.1, bandwidth=1000)
        small, large = message(1, 0, 1).envelope, message(0, 1, 500).envelope
        slow, steps = message(2, 1, 1).envelope, dict.fromkeys(range(3), 2)

        assert found.round_seconds(0, steps, []) == 2.0
        assert found.round_seconds(0, steps, [small, slow]) == 2 + 0.1 + slow.wire_bytes / 1000
        assert found.round_seconds(0, steps, [small, large]) == 1 + 0.1 + large.wire_bytes / 1000 > 3
        assert found.round_seconds(0, {0: 2, 1: 2}, [small]) == 1.0
        assert found.round_seconds(0, {}, []) == 0.0


class TestStragglers:
    def test_are_as_frequent_as_asked(self):
        found = clock(10, stragglers={"probability": 0.2, "slowdown": 5})
        slow = [found.compute_seconds(node, round, 1) == 2.5 for node in range(10) for round in range(400)]

        assert sum(slow) / 4000 == pytest.approx(0.2, abs=0.02)  # standard error 0.006

    def test_are_drawn_anew_for_every_node_and_round_and_alone(self):
        found = clock(4, stragglers={"probability": 0.5, "slowdown": 5})
        forward = [[found.compute_seconds(node, round, 1) for node in range(4)] for round in range(20)]
        backward = [[found.compute_seconds(node, round, 1) for node in range(4)] for round in reversed(range(20))]

        assert forward == backward[::-1]
        assert len({tuple(row) for row in forward}) > 8
        assert len({tuple(column) for column in zip(*forward, strict=True)}) == 4

    @pytest.mark.parametrize(("probability", "expected"), [(0, 0.5), (1, 1.5)])
    def test_can_be_nobody_or_everybody(self, probability, expected):
        found = clock(4, stragglers={"probability": probability, "slowdown": 3})

        assert {found.compute_seconds(node, round, 1) for node in range(4) for round in range(9)} == {expected}


class TestRuns:
    def test_a_chain_of_three_by_hand(self, tmp_path):
        """Node 2 computes 2 steps in 2 s, then its message arrives 0.1 s and its bytes later, in every round."""
        seen = Messages()
        settings = {"step_seconds": 0.5, "speeds": {1: 2.0, 2: 0.5}, "latency": 0.1, "bandwidth": 1e5}
        training = {"local_steps": 2, "batch_size": 16}
        topology = {"graph": "chain", "nodes": 3}
        done = run(small(clock=settings, training=training, topology=topology), tmp_path, [seen])
        (wire,) = {message.wire_bytes for message in seen.all}

        assert seconds(done) == pytest.approx({round: round * (2 + 0.1 + wire / 1e5) for round in (0, 2, 4, 6)})

    def test_own_steps_of_a_node_take_their_time(self, tmp_path):
        training = {"batch_size": 16, "nodes": {1: {"local_steps": 7}}}
        done = run(small(clock={"step_seconds": 0.5}, training=training), tmp_path)

        assert seconds(done) == {0: 0.0, 2: 7.0, 4: 14.0, 6: 21.0}

    def test_nodes_that_are_away_hold_nobody_up(self, tmp_path):
        """Node 1 takes 10 seconds; it is away in rounds 2 to 4."""
        topology = {"graph": "ring", "nodes": 4, "failures": {"absences": [[1, 3, 5]]}}
        done = run(small(topology=topology, clock={"step_seconds": 1, "speeds": {1: 0.1}}), tmp_path)

        assert seconds(done) == {0: 0.0, 2: 20.0, 4: 22.0, 6: 33.0}

    def test_nothing_changes_but_one_more_metric(self, tmp_path):
        plain, timed = run(small(methods=METHODS), tmp_path / "p"), run(small(methods=METHODS, clock=CLOCK), tmp_path)
        before, after = results(plain.path), results(timed.path)
        lines = after["metrics.jsonl"].splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["name"] != "clock/seconds"]

        assert len(lines) - len(kept) == 4
        assert before == after | {"metrics.jsonl": b"".join(kept)}
        assert seconds(plain) == {}

    @pytest.mark.parametrize("last", first([1, 0, 4]))
    def test_stopped_and_resumed_the_time_goes_on(self, tmp_path, last):
        straight = run(small(clock=CLOCK), tmp_path / "straight")
        stopped = run(small(clock=CLOCK), tmp_path, [At(last, lambda: signal.raise_signal(signal.SIGINT))])
        assert stopped.status == "interrupted"

        assert results(resume(stopped.path).path) == results(straight.path)

    def test_the_seed_decides(self, tmp_path):
        first, again, other = (
            seconds(run(small(clock=CLOCK, seed=seed), tmp_path / str(place))) for place, seed in enumerate((0, 0, 1))
        )
        assert first == again != other


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({}, "clock.step_seconds"),
        ({"step_seconds": 0}, "clock.step_seconds"),
        ({"step_seconds": 1, "speed_spread": -1}, "clock.speed_spread"),
        ({"step_seconds": 1, "speeds": {0: 0}}, "clock.speeds.0"),
        ({"step_seconds": 1, "speeds": {4: 1}}, "clock.speeds.4"),
        ({"step_seconds": 1, "latency": -1}, "clock.latency"),
        ({"step_seconds": 1, "bandwidth": 0}, "clock.bandwidth"),
        ({"step_seconds": 1, "stragglers": {"probability": 0.1}}, "clock.stragglers.slowdown"),
        ({"step_seconds": 1, "stragglers": {"probability": 2, "slowdown": 2}}, "clock.stragglers.probability"),
        ({"step_seconds": 1, "stragglers": {"probability": 1, "slowdown": 0.5}}, "clock.stragglers.slowdown"),
        ({"step_secs": 1, "step_seconds": 1}, "clock.step_secs"),
    ],
)
def test_mistakes_are_named_where_they_stand(settings, where):
    with pytest.raises(InputError) as caught:
        small(clock=settings)
    (problem,) = caught.value.problems

    assert problem.where == where
    assert problem.advice


def test_an_override_switches_it_on_where_a_resolved_experiment_has_none():
    resolved = small().to_dict()

    assert resolved["clock"] is None
    assert small("clock.step_seconds=2", **resolved).clock == ClockSettings(step_seconds=2)
