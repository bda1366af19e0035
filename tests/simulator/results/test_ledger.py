from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.message import Envelope
from simulator.results import message_log
from simulator.results.places import MESSAGES
from simulator.results.report.ledger import TrafficCount

ids = st.integers(0, 4)
parts = st.dictionaries(st.sampled_from(["parameters", "labels", "tracker"]), st.integers(0, 10**9), max_size=3)


@st.composite
def messages(draw: st.DrawFn) -> Envelope:
    content = draw(parts)
    return Envelope(draw(ids), draw(ids), 1 + draw(ids), content, sum(content.values()) + draw(st.integers(1, 500)))


def counted(rounds: Sequence[Sequence[Envelope]]) -> TrafficCount:
    """What is counted of a log with a batch for each of ``rounds``."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / MESSAGES
        file.write_bytes(message_log.BEGINNING + b"".join(map(message_log.as_batch, rounds)))
        return TrafficCount.of(message_log.added_up(file))


@settings(max_examples=20)
@given(st.lists(st.lists(messages(), max_size=10), max_size=3))
def test_every_byte_is_in_every_view_once(rounds: list[list[Envelope]]) -> None:
    ledger = counted(rounds)
    sent = [message for round in rounds for message in round]
    total = sum(sum(message.bytes_by_part.values()) for message in sent)
    assert ledger.total == total
    assert ledger.by_part().total() == ledger.by_sender().total() == total
    edges = ledger.edge_table()
    assert sum(row[-1] for row in edges.rows) == total  # type: ignore[misc]
    assert all(sum(row[3:-1]) == row[-1] for row in edges.rows)  # type: ignore[arg-type]
    counts = Counter((str(message.sender), str(message.receiver)) for message in sent)
    assert {row[:2]: row[2] for row in edges.rows} == counts  # type: ignore[misc]
    bytes_of = {row[0]: row[2] for row in ledger.part_table().rows}
    assert bytes_of["all parts"] == total
    assert bytes_of["on the wire"] == sum(message.wire_bytes for message in sent)
    assert bytes_of["encoding"] == bytes_of["on the wire"] - total  # type: ignore[operator]


def test_parts_count_the_messages_that_carry_them_and_rounds_count_from_one() -> None:
    plain = Envelope(0, 1, 1, {"parameters": 60}, 90)
    rich = Envelope(1, 0, 5, {"parameters": 60, "labels": 40}, 130)
    ledger = counted([[plain], [rich]])
    assert ledger.rounds == 5
    assert ledger.part_table().rows == [
        ("parameters", 2, 120, 75.0),
        ("labels", 1, 40, 25.0),
        ("all parts", 2, 160, 100.0),
        ("encoding", 2, 60, 37.5),
        ("on the wire", 2, 220, 137.5),
    ]
    assert ledger.edge_table().rows == [("0", "1", 1, 60, 0, 60), ("1", "0", 1, 60, 40, 100)]
