"""The envelope: what goes in comes out, whatever is thrown at it, and its size is known without encoding."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from simulator.core.message import ENVELOPE, Alike, Envelope, Message, joined

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool]
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12).filter(
    lambda name: not name.startswith("__")
)


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 5), max_size=3))
    values = np.random.default_rng(draw(st.integers(0, 2**32))).integers(-100, 100, shape)
    return torch.from_numpy(np.asarray(values)).to(draw(st.sampled_from(DTYPES)))


messages = st.builds(
    Message,
    sender=st.integers(0, 2**40),
    receiver=st.integers(0, 2**40),
    round=st.integers(0, 2**40 - 1),
    exchange=st.integers(1, 3),
    parts=st.dictionaries(names, tensors(), max_size=4),
)


@given(messages)
def test_decoding_gives_back_what_was_encoded(message):
    decoded = Message.decode(message.encode())

    assert (decoded.sender, decoded.receiver) == (message.sender, message.receiver)
    assert (decoded.round, decoded.exchange) == (message.round, message.exchange)
    assert decoded.parts.keys() == message.parts.keys()
    for name, tensor in message.parts.items():
        assert decoded.parts[name].dtype == tensor.dtype
        assert decoded.parts[name].shape == tensor.shape
        assert torch.equal(decoded.parts[name], tensor)


@given(messages)
def test_wire_bytes_are_the_length_of_the_encoding(message):
    assert message.envelope.wire_bytes == len(message.encode())


def test_bytes_by_part_count_what_the_tensors_hold():
    parts = {"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.int32), "c": torch.zeros(2, dtype=torch.float64)}

    assert Message(0, 1, 2, parts).envelope.bytes_by_part == {"a": 60, "b": 28, "c": 16}


def test_a_part_in_another_memory_order_survives():
    transposed = torch.arange(6.0).view(2, 3).T

    assert torch.equal(Message.decode(Message(0, 1, 0, {"x": transposed}).encode()).parts["x"], transposed)


def test_two_parts_that_share_memory_survive():
    vector = torch.arange(6.0)
    decoded = Message.decode(Message(0, 1, 0, {"whole": vector, "again": vector, "head": vector[:2]}).encode())

    assert torch.equal(decoded.parts["again"], vector)
    assert torch.equal(decoded.parts["head"], vector[:2])


@given(st.binary(max_size=200))
def test_garbage_is_refused_as_a_value_error(data):
    with pytest.raises(ValueError, match="not a message"):
        Message.decode(data)


@given(st.integers(0, 200))
def test_a_message_cut_short_is_refused(length):
    encoded = Message(3, 4, 5, {"parameters": torch.arange(20.0)}).encode()

    with pytest.raises(ValueError, match="not a message"):
        Message.decode(encoded[: min(length, len(encoded) - 1)])


@pytest.mark.parametrize(
    "parts",
    [{"x": torch.zeros(2)}, {ENVELOPE: torch.zeros(2, dtype=torch.int64)}, {ENVELOPE: torch.zeros(3, 2)}],
    ids=["no envelope", "short envelope", "envelope of another shape"],
)
def test_safetensors_that_are_no_message_are_refused(parts):
    with pytest.raises(ValueError, match="not a message"):
        Message.decode(save(parts))


SIZES = {"parameters": 40}


def alike(*ends, round=1, sizes=SIZES):
    senders, receivers = (np.array(column, np.int32) for column in zip(*ends, strict=True))
    return Alike(senders, receivers, round, sizes, 184)


def test_columns_are_a_sequence_of_their_envelopes():
    columns = alike((0, 1), (0, 2), (3, 0))

    assert len(columns) == 3
    assert columns == [Envelope(0, 1, 1, SIZES, 184), Envelope(0, 2, 1, SIZES, 184), Envelope(3, 0, 1, SIZES, 184)]
    assert columns[-1].sender == 3
    assert [each.receiver for each in columns[:2]] == [1, 2]
    assert columns.of_senders() == [(0, 2), (3, 1)]
    assert columns != [*columns][:2]


@pytest.mark.parametrize(("round", "sizes"), [(1, dict(SIZES)), (2, SIZES), (1, {"parameters": 8})])
def test_columns_of_one_kind_are_joined_as_columns_and_all_else_as_a_list(round, sizes):
    parts = [alike((0, 1), (0, 2)), alike((3, 0), round=round, sizes=sizes)]
    together = joined(parts)

    assert isinstance(together, Alike) == (round == 1 and sizes == SIZES)
    assert list(together) == [*parts[0], *parts[1]]
    assert joined([*parts, [Envelope(4, 0, 1, SIZES, 184)]])[-1].sender == 4
    assert joined([]) == []
