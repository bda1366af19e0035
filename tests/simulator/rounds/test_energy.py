"""Energy from declared joules: known constants, what nodes and links add up to, and that nothing else changes."""

import json
import signal

import pytest
from reference.experiments import At, Messages, results, small
from reference.marks import first

from simulator import resume, run
from simulator.core.errors import InputError
from simulator.rounds.clock import Clock, ClockSettings
from simulator.rounds.energy import EnergyMeter, EnergySettings
from simulator.rounds.traces import devices_of

ENERGY = {"joules_per_step": 0.5, "joules_per_byte": 1e-6, "by_link": True}


def meter(nodes, clock=None, **settings):
    made = Clock(ClockSettings(**clock), 0, nodes) if clock else None
    return EnergyMeter(EnergySettings(**settings), nodes, made)


def found(done, round, node=None):
    return {
        m.name.removeprefix("energy/"): m.value
        for m in done.metrics()
        if m.name.startswith("energy/") and (m.round, m.node) == (round, node)
    }


def test_three_watts_of_eight_nodes_for_two_seconds_a_round_are_4800_joules_after_100():
    counted = meter(8, {"step_seconds": 0.5}, watts=3)
    for round in range(100):
        counted.count(round, dict.fromkeys(range(8), 4), ())
    expected = {"energy/computing": 4800.0, "energy/sending": 0.0, "energy/total": 4800.0}
    assert dict(counted.of_network()) == expected
    assert dict(counted.of_node(7)) == {"energy/computing": 600.0, "energy/sending": 0.0}


def test_devices_have_their_own_power_and_slow_ones_take_it_for_longer():
    clock = {"step_seconds": 1, "devices": {"speed": (1.0, 0.5), "watts": (10.0, 7.0)}}
    counted = meter(2, clock, watts="devices")
    counted.count(0, {0: 1, 1: 3}, ())
    expected = [(10.0, 14.0)[device] * steps for device, steps in zip(devices_of(2, 2, 0), (1, 3), strict=True)]
    assert [dict(counted.of_node(node))["energy/computing"] for node in (0, 1)] == expected


class TestRuns:
    def test_steps_and_bytes_by_node_by_link_and_in_all(self, tmp_path):
        seen = Messages()
        training = {"batch_size": 16, "local_steps": 2, "nodes": {1: {"local_steps": 5}}}
        done = run(small(energy=ENERGY, training=training), tmp_path, [seen])

        by_link = {}
        for each in seen.all:
            name = f"link/{each.sender}-{each.receiver}"
            by_link[name] = by_link.get(name, 0) + 1e-6 * each.wire_bytes
        assert len(by_link) == 8
        sending = sum(by_link.values())
        computing = 0.5 * 6 * (2 + 5 + 2 + 2)
        expected = {"computing": computing, "sending": sending, "total": computing + sending, **by_link}
        assert found(done, 6) == pytest.approx(expected)
        assert found(done, 6, node=1) == pytest.approx({"computing": 15.0, "sending": sending / 4})
        assert found(done, 0) == {"computing": 0, "sending": 0, "total": 0}

    def test_who_is_away_takes_nothing(self, tmp_path):
        topology = {"graph": "ring", "nodes": 4, "failures": {"absences": [[1, 3, 5]]}}
        done = run(small(topology=topology, energy={"joules_per_step": 1.0}), tmp_path)
        assert [found(done, 6, node)["computing"] for node in range(4)] == [6.0, 3.0, 6.0, 6.0]

    def test_nothing_changes_but_metrics_of_energy(self, tmp_path):
        plain, counted = (run(small(**each), tmp_path / name) for name, each in (("p", {}), ("e", {"energy": ENERGY})))
        before, after = results(plain.path), results(counted.path)
        lines = after["metrics.jsonl"].splitlines(keepends=True)
        kept = [line for line in lines if not json.loads(line)["name"].startswith("energy/")]
        assert len(kept) < len(lines)
        assert before == after | {"metrics.jsonl": b"".join(kept)}

    @pytest.mark.parametrize("mode", first(["asynchronous", "synchronous"]))
    def test_stopped_and_resumed_it_goes_on(self, tmp_path, mode):
        clock = {"step_seconds": 0.1, "speed_spread": 0.5, "bandwidth": 1e6}
        experiment = small(mode=mode, clock=clock, energy={"watts": 3, "joules_per_byte": 1e-6, "by_link": True})
        straight = run(experiment, tmp_path / "straight")
        stopped = run(experiment, tmp_path, [At(3, lambda: signal.raise_signal(signal.SIGINT))])
        assert stopped.status == "interrupted"
        assert results(resume(stopped.path).path) == results(straight.path)
        assert found(straight, 6)["computing"] > 0
        assert found(straight, 6)["sending"] > 0

    def test_without_rounds_in_step_by_activations(self, tmp_path):
        """Those are counted that have begun, as in ``timing.jsonl``."""
        seen, clock = Messages(), {"step_seconds": 1}
        energy = {"joules_per_step": 2.0, "joules_per_byte": 1.0}
        done = run(small(mode="asynchronous", clock=clock, energy=energy), tmp_path, [seen])
        steps = sum(json.loads(line)["node_steps"] for line in (done.path / "timing.jsonl").read_text().splitlines())
        assert found(done, 6)["computing"] == 2.0 * steps
        assert found(done, 6)["sending"] == sum(each.wire_bytes for each in seen.all) > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"energy": {}}, "energy: says of nothing how much it takes"),
        ({"energy": {"joules_per_step": 1, "watts": 1}}, "energy: give either joules_per_step or watts"),
        ({"energy": {"joules_per_step": 1, "by_link": True}}, "leave by_link out"),
        ({"energy": {"joules_per_step": -1}}, "energy.joules_per_step"),
        ({"energy": {"watts": 3}}, "energy.watts: power counts for as long as"),
        ({"energy": {"watts": "devices"}, "clock": {"step_seconds": 1}}, "energy.watts: no trace says how many watts"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, told):
    with pytest.raises(InputError, match=told):
        small(**changes)
