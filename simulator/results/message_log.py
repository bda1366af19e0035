"""The messages of a run in columns: who sent how many bytes of what to whom.

``messages.arrow`` is an Arrow stream (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format). It has
one record batch a superstep, which is a round of most modes and has names of parts of its own, and a row for each part
of each message; the last row of a message has no part, and says what encoding added to the others, so that a message's
rows add up to what was on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from simulator.core.damage import reading
from simulator.core.message import Alike, Envelope

SCHEMA = pa.schema(
    [
        ("round", pa.int32()),
        ("exchange", pa.int32()),
        ("sender", pa.int32()),
        ("receiver", pa.int32()),
        ("part", pa.dictionary(pa.int32(), pa.utf8())),
        ("bytes", pa.int64()),
    ]
)
_Rows = tuple[list[NDArray[np.int32]], NDArray[np.int32], NDArray[np.int64]]  # whose and when; which part; bytes
NUMBERS = {"round": 1, "exchange": 1, "sender": 0, "receiver": 0, "bytes": 0}  # and how low they may be
BEGINNING: bytes = SCHEMA.serialize().to_pybytes()
# Threads cost half a millisecond a batch, and gain none.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
_CONTINUATION = b"\xff\xff\xff\xff"  # how each part of a stream begins
_END = len(_CONTINUATION + b"\0\0\0\0")  # of a stream, which a log never has: it may always go on
_ROWS = 1_000_000  # that are added up at once
_LONGEST = 2**24  # bytes of a log that is looked through for its last round: half a second of processor time
_ROUNDS_ALONE = pa.ipc.IpcReadOptions(included_fields=[SCHEMA.get_field_index("round")], use_threads=False)
_ALL = pa.ipc.IpcReadOptions(use_threads=False)  # batches are small


def as_batch(messages: Sequence[Envelope]) -> bytes:
    """The bytes that ``messages`` add to a log; none where there are no messages."""
    if not messages:
        return b""
    names: dict[str, int] = {}
    ends, places, sizes = _of_alike(messages, names) if isinstance(messages, Alike) else _of_any(messages, names)
    part = pa.DictionaryArray.from_arrays(_column(places, places >= 0), _texts(list(names)))
    columns = [*map(_column, ends), part, _column(sizes)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA, options=_OPTIONS) as stream:
        stream.write_batch(pa.record_batch(columns, schema=SCHEMA))
    written: bytes = sink.getvalue().to_pybytes()
    return written[len(BEGINNING) : -_END]


def _of_alike(messages: Alike, names: dict[str, int]) -> _Rows:
    codes, sizes = _of_one(messages.bytes_by_part, messages.wire_bytes, names)
    many = len(messages)
    ends = [np.full(many * len(codes), number, np.int32) for number in (messages.round, messages.exchange)]
    ends += [np.repeat(column, len(codes)) for column in (messages.senders, messages.receivers)]
    return ends, np.tile(np.array(codes, np.int32), many), np.tile(np.array(sizes, np.int64), many)


def _of_any(messages: Sequence[Envelope], names: dict[str, int]) -> _Rows:
    senders, receivers, rounds, contents, wires, exchanges = zip(*messages, strict=True)
    told: tuple[Mapping[str, int], int] | None = None
    each = list[tuple[list[int], list[int]]]()
    for parts, wire in zip(contents, wires, strict=True):
        if (
            told is None or parts is not told[0] or wire != told[1]
        ):  # many messages hold the same, and share what says so
            told, one = (parts, wire), _of_one(parts, wire, names)
        each.append(one)
    rows = [len(codes) for codes, _ in each]
    ends = [np.repeat(np.array(column, np.int32), rows) for column in (rounds, exchanges, senders, receivers)]
    codes, sizes = (list(chain.from_iterable(column)) for column in zip(*each, strict=True))
    return ends, np.array(codes, np.int32), np.array(sizes, np.int64)


def _of_one(parts: Mapping[str, int], wire: int, names: dict[str, int]) -> tuple[list[int], list[int]]:
    """Which part each row of a message is, -1 for none, and how many bytes."""
    codes = [names.setdefault(name, len(names)) for name in parts]
    return [*codes, -1], [*parts.values(), wire - sum(parts.values())]


def batches(file: Path, *, whole: bool = False) -> Iterator[pa.RecordBatch]:
    """The record batches of a log, in the order sent.

    Args:
        file: the log.
        whole: whether the run has finished; of a run that was killed, a last batch cut short is left out.

    Raises:
        InputError: the file is missing or damaged.
    """
    with reading(file), pa.OSFile(str(file)) as source:
        if source.size() == 0 and not whole:
            return
        stream = pa.ipc.open_stream(source, options=_ALL)
        if stream.schema != SCHEMA:
            raise ValueError(f"its columns are {', '.join(stream.schema.names)}")
        while True:
            place = source.tell()
            try:
                batch = stream.read_next_batch()
            except (StopIteration, pa.ArrowInvalid, OSError) as error:
                if place != source.size() and (whole or not _is_cut(source, place)):
                    raise ValueError(f"it breaks off after {place:,} bytes") from error
                return
            _check(batch)
            yield batch


def last_round(file: Path) -> int:
    """The round of the last whole batch; 0 where there is none, or the log is too long to be looked through.

    Raises:
        InputError: it is no log.
    """
    last = 0
    with reading(file), pa.OSFile(str(file)) as source:
        if 0 < source.size() < _LONGEST:
            stream = pa.ipc.open_stream(source, options=_ROUNDS_ALONE)
            with suppress(StopIteration, pa.ArrowInvalid, OSError):  # the end, or where it is being written
                while batch := stream.read_next_batch():
                    last = batch["round"][-1].as_py()
    return last


def records(file: Path, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """Each message of a log: ``round``, ``sender``, ``receiver``, ``wire``, ``parts``; ``exchange`` if not the first.

    Raises:
        InputError: the file is missing or damaged.
    """
    for batch in batches(file, whole=whole):
        parts: dict[str, int] = {}
        for row in batch.to_pylist():
            name, size = row.pop("part"), row.pop("bytes")
            if name is not None:
                parts[name] = size
                continue
            if row["exchange"] == 1:
                del row["exchange"]
            yield {**row, "wire": sum(parts.values()) + size, "parts": parts}
            parts = {}


def added_up(file: Path, *, whole: bool = False) -> pa.Table:
    """One row for each sender, receiver and part, as they first come.

    Returns:
        A table of ``sender``, ``receiver``, ``part`` (null: what encoding added), ``bytes`` (their sum), ``messages``
        (how many had the part) and ``round`` (the last one).

    Raises:
        InputError: the file is missing or damaged.
    """
    sums = _counted([], before=0)
    waiting, rows, before = list[pa.RecordBatch](), 0, 0
    for batch in batches(file, whole=whole):
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _ROWS:
            sums, waiting, rows, before = _added(sums, _counted(waiting, before)), [], 0, before + rows
    return _added(sums, _counted(waiting, before)).sort_by("place").drop_columns("place")


def _counted(batches: Sequence[pa.RecordBatch], before: int) -> pa.Table:
    """With what else is added up; ``place`` is the row's in the log, of which so many are ``before``."""
    rows = pa.Table.from_batches(batches, SCHEMA).drop_columns("exchange")
    rows = rows.append_column("messages", _column(np.ones(rows.num_rows, np.int64)))
    return rows.append_column("place", _column(np.arange(before, before + rows.num_rows)))


def _added(sums: pa.Table, rows: pa.Table) -> pa.Table:
    everything = pa.concat_tables([sums.select(rows.column_names), rows]).unify_dictionaries()
    groups = everything.group_by(["sender", "receiver", "part"], use_threads=False)
    found = groups.aggregate([("bytes", "sum"), ("messages", "sum"), ("round", "max"), ("place", "min")])
    return found.rename_columns(["sender", "receiver", "part", "bytes", "messages", "round", "place"])


def _column(values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers as they lie in memory, null where not ``valid``; `pyarrow.array` would import pandas if it is there."""
    known = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [known, pa.py_buffer(values)])


def _texts(texts: Sequence[str]) -> pa.Array:
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def _is_cut(source: pa.NativeFile, place: int) -> bool:
    """Whether what stands at ``place`` begins as a batch does, and its end is beyond that of the file."""
    at_end = source.tell() == source.size()
    source.seek(place)
    return at_end and _CONTINUATION.startswith(source.read(len(_CONTINUATION)))


def _check(batch: pa.RecordBatch) -> None:
    """What a program that wrote the file itself, or a disk that lost a part of it, may have done.

    Raises:
        ValueError: no run has such messages.
    """
    import pyarrow.compute as pc  # slow to load, and a run that begins only writes

    batch.validate(full=True)
    if not batch.num_rows or any(batch[name].null_count for name in NUMBERS):
        raise ValueError("a batch has no rows, or rows with holes")
    for name, lowest in NUMBERS.items():
        if (least := pc.min(batch[name]).as_py()) < lowest:
            raise ValueError(f"{name} is {least} somewhere")
    if batch["part"][-1].is_valid:
        raise ValueError("the last message of a batch has no end")
