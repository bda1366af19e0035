"""Traces of devices, links and absences: read strictly, given to nodes by the seed, and times by hand."""

import numpy as np
import pytest
import torch
import yaml
from reference.experiments import SMALL, small

from simulator import load_experiment, run
from simulator.core.errors import InputError
from simulator.core.message import Message
from simulator.rounds.clock import Clock, ClockSettings, Loads, speeds
from simulator.rounds.traces import AbsenceTrace, DeviceTrace, LinkTrace, devices_of
from simulator.runs.report import write_run_report
from simulator.traces import synthetic

PLAIN, TIMED = "2d956090710a632a39b93c64140d3de4", "e577cb65cf04e99c0703f6330018d915"


@pytest.fixture
def write(tmp_path):
    def to(text, name="trace.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return to


def clock(nodes=3, **settings):
    return Clock(ClockSettings(**{"step_seconds": 1, **settings}), 0, nodes)


def envelope(sender, receiver, size=100):
    return Message(sender, receiver, 0, {"parameters": torch.zeros(size)}).envelope


class TestReading:
    def test_columns_by_their_names(self, write):
        trace = DeviceTrace.read(write("# made up\nuplink, speed\n1e6,2\n\n2e6,0.5\n"))
        assert trace == DeviceTrace(uplink=(1e6, 2e6), speed=(2.0, 0.5))
        assert trace.number == 2

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("sped\n1\n", r"trace.csv:1: 'sped' is no column of a trace of this kind.\n    Did you mean 'speed'"),
            ("speed,speed\n1,1\n", "trace.csv:1: 'speed' is twice"),
            ("# one\nspeed,uplink\n1,2\n3\n", "trace.csv:4: holds 1 values, and the header names 2"),
            ("speed\n1\n-1\n", "trace.csv:3: speed: input should be greater than 0"),
            ("speed\nfast\n", "trace.csv:2: speed: "),
            ("speed\nnan\n", "trace.csv:2: speed: "),
            ("speed\n", "trace.csv: there are no rows"),
            ("", "trace.csv: there are no rows"),
            ("speed\n" + "1\n" * 10_001, "10,001 rows, more than 10,000: take a sample"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_line(self, write, text, told):
        with pytest.raises(InputError, match=told):
            DeviceTrace.read(write(text))

    def test_a_link_is_there_once_and_has_both_ends(self, write):
        with pytest.raises(InputError, match=r"trace.csv: the link 0 -> 1 is there twice"):
            LinkTrace.read(write("sender,receiver,latency\n0,1,1\n1,0,1\n0,1,2\n"))
        with pytest.raises(InputError, match="receiver: field required"):
            LinkTrace.read(write("sender,latency\n0,1\n"))


class TestDevices:
    def test_each_is_given_once_before_any_is_given_again(self):
        given = devices_of(10, 4, seed=3)
        assert sorted(given[:4]) == sorted(given[4:8]) == [0, 1, 2, 3]
        assert devices_of(6, 4, seed=3).tolist() == given[:6].tolist()
        assert devices_of(10, 4, seed=4).tolist() != given.tolist()

    def test_of_one_kind_go_together_and_a_given_speed_counts_more(self):
        trace = {"speed": (1.0, 2.0, 4.0), "latency": (10.0, 20.0, 40.0)}
        settings = ClockSettings(step_seconds=1, devices=trace, speeds={1: 8.0})
        order = devices_of(3, 3, seed=0)
        assert speeds(settings, 0, 3).tolist() == [8.0 if n == 1 else 2.0**k for n, k in enumerate(order)]
        found = Clock(settings, 0, 3).transfer_seconds(envelope(0, 2))
        assert found == 10 * 2.0 ** order[0] + 10 * 2.0 ** order[2]

    def test_two_messages_at_once_on_one_uplink_take_twice_as_long_as_one(self):
        found, one, two = clock(devices={"uplink": (1000.0,)}), envelope(0, 1), envelope(0, 2)
        alone = found.transfer_seconds(one)
        assert alone == one.wire_bytes / 1000
        assert found.transfer_seconds(one, Loads.of([one, two, envelope(1, 0)])) == 2 * alone
        assert found.round_seconds(0, {0: 3}, [one, two]) == 3 + 2 * alone
        assert found.round_seconds(0, {0: 3}, [one], [[one, two], [one]]) == 3 + 4 * alone

    def test_whatever_is_narrowest_counts(self):
        found = clock(devices={"uplink": (1000.0,), "downlink": (500.0,)}, bandwidth=250)
        one, other = envelope(0, 1), envelope(2, 1)
        assert found.transfer_seconds(one) == one.wire_bytes / 250
        assert found.transfer_seconds(one, Loads.of([one, other, envelope(2, 0)])) == 2 * one.wire_bytes / 500

    def test_a_spread_of_speeds_beside_their_speeds_is_refused(self):
        with pytest.raises(ValueError, match="leave speed_spread out"):
            ClockSettings(step_seconds=1, speed_spread=0.5, devices={"speed": (1.0,)})
        ClockSettings(step_seconds=1, speed_spread=0.5, devices={"uplink": (1.0,)})


def test_what_is_measured_of_a_link_takes_the_place_of_what_holds_for_all():
    links = {"sender": (0, 1), "receiver": (1, 0), "latency": (5.0, 0.0), "bandwidth": (1000.0, 10.0)}
    found, sent = clock(latency=1, bandwidth=100, links=links), envelope(0, 1)
    assert found.transfer_seconds(sent) == 5 + sent.wire_bytes / 1000
    assert found.transfer_seconds(envelope(1, 0)) == sent.wire_bytes / 10
    assert found.transfer_seconds(envelope(0, 2)) == 1 + sent.wire_bytes / 100


class TestAbsences:
    def test_are_of_rounds_that_begin_meanwhile(self):
        trace = AbsenceTrace(device=(0, 0, 0), since=(0.0, 15.0, 41.0), until=(10.0, 40.0, 49.0))
        assert trace.absences(1, 0, 10.0) == [(0, 1, 1), (0, 3, 4)]

    def test_go_with_the_device_to_all_nodes_that_have_it(self):
        trace = AbsenceTrace(device=(1, 2), since=(0.0, 10.0), until=(10.0, 20.0))
        given = devices_of(6, 3, seed=5).tolist()
        expected = [(node, device, device) for node, device in enumerate(given) if device]
        assert trace.absences(6, 5, 10.0) == expected

    def test_keep_nodes_out_of_rounds(self, tmp_path):
        trace = {"device": [0, 3], "since": [0, 60], "until": [120, 120]}
        topology = {"graph": "ring", "nodes": 4, "failures": {"trace": trace, "round_seconds": 60}}
        done = run(small(rounds=3, evaluate={"every": 1}, topology=topology), tmp_path)
        away = {metric.round: metric.value for metric in done.metrics() if metric.name == "network/away"}
        assert away == {1: 1, 2: 2, 3: 0}
        assert "the mixing matrix is not the same in every round" in write_run_report(done.directory).read_text()

    def test_need_to_know_how_long_a_round_takes(self):
        trace = {"device": [0], "since": [0], "until": [60]}
        for failures in ({"trace": trace}, {"round_seconds": 5}):
            with pytest.raises(InputError, match="trace and round_seconds go together"):
                small(topology={"graph": "ring", "nodes": 4, "failures": failures})


class TestInAnExperiment:
    def test_a_file_beside_it_stands_in_it_whole(self, write):
        write("sender,receiver,latency\n0,1,0.5\n", "links.csv")
        content = {**SMALL, "clock": {"step_seconds": 1, "links": "links.csv"}}
        file = write(yaml.safe_dump(content), "experiment.yaml")
        loaded = load_experiment(file, ["clock.devices=package:simulator/traces/devices.csv"])
        assert loaded.clock.links == LinkTrace(sender=(0,), receiver=(1,), latency=(0.5,))
        assert loaded.clock.devices.number == 50
        again = load_experiment(yaml.safe_load(loaded.to_yaml()))
        assert again == loaded
        assert again.digest() == loaded.digest()
        other = load_experiment(file, ["clock.devices={speed: [1.0, 2.0]}"])
        assert other.digest() != loaded.digest()

    @pytest.mark.parametrize(
        ("clock", "told"),
        [
            ({"devices": "missing.csv"}, "clock.devices: there is no file or folder"),
            ({"links": "bad.csv"}, r"clock.links: bad.csv:2: sender: "),
            ({"devices": {"speed": [1.0], "uplink": [1.0, 2.0]}}, "clock.devices: columns have different lengths"),
            (
                {"links": {"sender": [0], "receiver": [2], "latency": [1.0]}},
                "tells of a link 0 -> 2, and there is",
            ),
            ({"links": {"sender": [9], "receiver": [0], "latency": [1.0]}}, "a link 9 -> 0, and there is none"),
        ],
    )
    def test_what_is_wrong_is_told_at_its_place(self, write, tmp_path, clock, told):
        write("sender,receiver\n-1,0\n", "bad.csv")
        with pytest.raises(InputError, match=told):
            load_experiment({**SMALL, "clock": {"step_seconds": 1, **clock}}, folder=tmp_path)

    def test_without_one_an_experiment_is_what_it_was(self):
        """The digests of version 0.2.0, which checkpoints and sweeps of then go by."""
        assert small().digest() == PLAIN
        assert small(clock={"step_seconds": 1}).digest() == TIMED


def test_the_shipped_ones_are_those_that_the_script_makes(tmp_path):
    synthetic.write(tmp_path)
    for name, kind in {"devices.csv": DeviceTrace, "absences.csv": AbsenceTrace}.items():
        assert (tmp_path / name).read_text() == (synthetic.HERE / name).read_text()
        kind.read(synthetic.HERE / name)
    trace = DeviceTrace.read(synthetic.HERE / "devices.csv")
    assert np.median(np.log(trace.speed)) == pytest.approx(0, abs=0.3)  # standard error 0.6 * 1.25 / sqrt(50) = 0.11
