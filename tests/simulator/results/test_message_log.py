"""The log of messages: what comes out is what went in, whole batches survive what comes after, and damage is told."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from simulator.core.errors import InputError
from simulator.core.message import Alike, Envelope
from simulator.results import message_log
from simulator.results.message_log import BEGINNING, SCHEMA, added_up, as_batch, batches, records
from simulator.results.places import MESSAGES

ROUNDS = [
    [Envelope(0, 1, 1, {"parameters": 40}, 184), Envelope(1, 0, 1, {}, 144)],
    [],
    [Envelope(0, 1, 3, {"parameters": 40, "labels": 3}, 190), Envelope(0, 1, 3, {"labels": 5}, 150, exchange=2)],
]
READ = [
    {"round": 1, "sender": 0, "receiver": 1, "wire": 184, "parts": {"parameters": 40}},
    {"round": 1, "sender": 1, "receiver": 0, "wire": 144, "parts": {}},
    {"round": 3, "sender": 0, "receiver": 1, "wire": 190, "parts": {"parameters": 40, "labels": 3}},
    {"round": 3, "exchange": 2, "sender": 0, "receiver": 1, "wire": 150, "parts": {"labels": 5}},
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / MESSAGES
    file.write_bytes(BEGINNING + b"".join(map(as_batch, ROUNDS)))
    return file


def test_what_comes_out_is_what_went_in(log):
    assert list(records(log)) == READ


@pytest.mark.parametrize("sizes", [{"parameters": 40}, {"parameters": 40, "labels": 3}, {}])
def test_columns_are_written_as_their_messages_are(sizes):
    columns = Alike(np.array([0, 0, 5], np.int32), np.array([1, 5, 0], np.int32), 3, sizes, 190, exchange=2)

    assert as_batch(columns) == as_batch(list(columns))


@pytest.mark.parametrize("name", ["encoding", "", "null", "None"])
def test_no_name_of_a_part_is_taken_for_what_encoding_adds(tmp_path, name):
    file = tmp_path / "messages.arrow"
    file.write_bytes(BEGINNING + as_batch([Envelope(0, 1, 1, {name: 500, "x": 10}, 600)]))
    assert [(each["wire"], each["parts"]) for each in records(file)] == [(600, {name: 500, "x": 10})]
    assert added_up(file)["part"].to_pylist() == [name, "x", None]


def test_arrow_itself_reads_the_log_and_its_rows_are_what_was_on_the_wire(log):
    table = pa.ipc.open_stream(log.read_bytes()).read_all()
    assert pa.compute.sum(table["bytes"]).as_py() == 184 + 144 + 190 + 150


@pytest.mark.parametrize("rows", [1, 3, 10**6])
def test_sums_by_link_and_part_do_not_depend_on_how_many_rows_are_added_at_once(log, monkeypatch, rows):
    monkeypatch.setattr(message_log, "_ROWS", rows)
    assert added_up(log).to_pylist() == [
        {"sender": 0, "receiver": 1, "part": "parameters", "bytes": 80, "messages": 2, "round": 3},
        {"sender": 0, "receiver": 1, "part": None, "bytes": 144 + 147 + 145, "messages": 3, "round": 3},
        {"sender": 1, "receiver": 0, "part": None, "bytes": 144, "messages": 1, "round": 1},
        {"sender": 0, "receiver": 1, "part": "labels", "bytes": 8, "messages": 2, "round": 3},
    ]


@pytest.mark.slow
def test_of_a_killed_run_the_whole_batches_are_read(log):
    whole, last = log.read_bytes(), len(as_batch(ROUNDS[2]))
    for length in range(len(whole) - last, len(whole)):
        log.write_bytes(whole[:length])
        assert list(records(log)) == READ[:2], length
        if length > len(whole) - last:
            with pytest.raises(InputError, match="cannot be read"):
                list(records(log, whole=True))
    for length in (0, len(BEGINNING)):
        log.write_bytes(whole[:length])
        assert list(records(log)) == []
        assert added_up(log).num_rows == 0


def altered(**columns: object) -> bytes:
    """A batch of one message, of which a column holds something else."""
    rows = {"round": [1], "exchange": [1], "sender": [0], "receiver": [1], "part": [None], "bytes": [9]}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as stream:
        arrays = [pa.array(value, SCHEMA.field(name).type) for name, value in {**rows, **columns}.items()]
        stream.write_batch(pa.record_batch(arrays, schema=SCHEMA))
    return bytes(sink.getvalue())[len(BEGINNING) :]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff" * 200, "cannot be read"),
        (BEGINNING + b"no batch " * 50, "cannot be read"),
        (pa.schema([("round", pa.int32())]).serialize().to_pybytes(), "its columns are round"),
        (BEGINNING + altered(round=[0]), "round is 0 somewhere"),
        (BEGINNING + altered(sender=[-1]), "sender is -1 somewhere"),
        (BEGINNING + altered(bytes=[-5]), "bytes is -5 somewhere"),
        (BEGINNING + altered(receiver=[None]), "rows with holes"),
        (BEGINNING + altered(part=["parameters"]), "has no end"),
    ],
)
def test_damage_is_told_with_the_file(tmp_path, content, told):
    file = tmp_path / "messages.arrow"
    file.write_bytes(content)
    with pytest.raises(InputError, match=told) as caught:
        list(batches(file))
    assert str(file) in str(caught.value)


def test_a_log_that_is_missing_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        list(batches(tmp_path / "messages.arrow"))
