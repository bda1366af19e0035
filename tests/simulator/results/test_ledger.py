from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from simulator.results.report.ledger import TrafficCount

ids = st.integers(0, 4)
parts = st.dictionaries(st.sampled_from(["parameters", "labels", "tracker"]), st.integers(0, 10**9), max_size=3)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    content = draw(parts)
    wire = sum(content.values()) + draw(st.integers(1, 500))
    return {"round": draw(ids), "sender": draw(ids), "receiver": draw(ids), "wire": wire, "parts": content}


@given(st.lists(messages(), max_size=30))
def test_every_byte_is_in_every_view_once(sent: list[dict[str, Any]]) -> None:
    ledger = TrafficCount.of(iter(sent))  # an iterator: one pass has to do
    total = sum(sum(message["parts"].values()) for message in sent)
    assert ledger.total == total
    assert ledger.by_part().total() == ledger.by_sender().total() == total
    edges = ledger.edge_table()
    assert sum(row[-1] for row in edges.rows) == total  # type: ignore[misc]
    assert all(sum(row[3:-1]) == row[-1] for row in edges.rows)  # type: ignore[arg-type]
    counts = Counter((str(message["sender"]), str(message["receiver"])) for message in sent)
    assert {row[:2]: row[2] for row in edges.rows} == counts  # type: ignore[misc]
    bytes_of = {row[0]: row[2] for row in ledger.part_table().rows}
    assert bytes_of["all parts"] == total
    assert bytes_of["on the wire"] == sum(message["wire"] for message in sent)
    assert bytes_of["encoding"] == bytes_of["on the wire"] - total  # type: ignore[operator]


def test_parts_count_the_messages_that_carry_them_and_rounds_count_from_one() -> None:
    plain = {"round": 1, "sender": 0, "receiver": 1, "wire": 90, "parts": {"parameters": 60}}
    rich = {"round": 5, "sender": 1, "receiver": 0, "wire": 130, "parts": {"parameters": 60, "labels": 40}}
    ledger = TrafficCount.of([plain, rich])
    assert ledger.rounds == 5
    assert ledger.part_table().rows == [
        ("parameters", 2, 120, 75.0),
        ("labels", 1, 40, 25.0),
        ("all parts", 2, 160, 100.0),
        ("encoding", 2, 60, 37.5),
        ("on the wire", 2, 220, 137.5),
    ]
    assert ledger.edge_table().rows == [("0", "1", 1, 60, 0, 60), ("1", "0", 1, 60, 40, 100)]
