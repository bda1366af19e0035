"""Others' traces as CSV: values by hand, and nothing but plain values is ever read from a pickle."""

import os
import pickle

import pytest

from simulator.rounds.traces import AbsenceTrace, DeviceTrace

CAPACITY = {1: {"computation": 20.0, "communication": 8000.0}, 7: {"computation": 40, "communication": 80}}
TIMES = {"duration": 100, "finish_time": 100, "model": "phone"}


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def convert(rumormill, tmp_path):
    def call(content, *options):
        (tmp_path / "trace.pkl").write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
        return *rumormill("trace", tmp_path / "trace.pkl", tmp_path / "out.csv", *options), tmp_path / "out.csv"

    return call


def test_speeds_are_relative_to_the_median_and_kbits_become_bytes(convert):
    code, printed, _, out = convert(CAPACITY)
    assert (code, printed.strip()) == (0, str(out))
    trace = DeviceTrace.read(out)
    assert trace == DeviceTrace(speed=(1.5, 0.75), uplink=(1e6, 1e4), downlink=(1e6, 1e4))


@pytest.mark.parametrize(
    ("active", "inactive", "away"),
    [
        ([0, 50], [20, 80], [(20, 50), (80, 100)]),
        ([30], [20], [(20, 30)]),
        ([10], [], [(0, 10)]),
        ([], [], [(0, 100)]),
        ([], [60], [(60, 100)]),
    ],
)
def test_a_client_is_away_between_going_and_coming(convert, active, inactive, away):
    *_, out = convert({3: {**TIMES, "active": active, "inactive": inactive}})
    trace = AbsenceTrace.read(out)
    assert list(zip(trace.device, trace.since, trace.until, strict=True)) == [(0, *span) for span in away]


def test_a_sample_is_drawn_by_the_seed(convert):
    many = {client: {"computation": 1 + client, "communication": 1} for client in range(100)}
    drawn = [convert(many, "--rows", 5, "--seed", seed)[-1].read_text() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0].splitlines()) == 2 + 5


def test_code_in_a_pickle_is_never_executed(convert, tmp_path):
    code, _, said, out = convert({1: Evil(str(tmp_path / "made"))})
    assert code == 2
    assert "it asks for posix.mkdir, and only plain numbers and text are read" in said
    assert not (tmp_path / "made").exists()
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (b"no pickle", (), "cannot be read as a pickle of plain values"),
        ([1, 2], (), "holds no dictionary of clients"),
        ({5: [1]}, (), "client 5: is no dictionary"),
        ({5: {"speed": 1}}, (), "client 5: has neither 'computation' nor 'active'"),
        ({5: {"computation": 0, "communication": 1}}, (), "client 5: needs a computation and a communication above 0"),
        ({5: {**TIMES, "active": [1], "inactive": 3}}, (), "client 5: needs lists of numbers"),
        (CAPACITY, ("--rows", 3), "--rows: 3 clients of 2 cannot be taken"),
        (dict.fromkeys(range(10001), CAPACITY[1]), (), "gives 10,001 rows, more than 10,000"),
    ],
)
def test_what_is_no_such_trace_is_refused(convert, content, options, told):
    code, _, said, out = convert(content, *options)
    assert code == 2
    assert told in said
    assert not out.exists()
