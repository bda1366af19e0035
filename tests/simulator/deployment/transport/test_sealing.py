"""Sealed messages: the receiver opens them, everything else is refused by name, and nothing shows through."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.message import Message
from simulator.deployment.keys.private import sealing_key
from simulator.deployment.transport.sealing import LAYOUT, Refused, Seals

KEYS = {node: sealing_key() for node in range(3)}


def seals(node, run="run-a", knows=(0, 1, 2)):
    return Seals(run, node, KEYS[node][0], {other: KEYS[other][1] for other in knows if other != node})


def message(sender=0, receiver=1, round=5, exchange=1):
    return Message(sender, receiver, round, {"parameters": torch.arange(50, dtype=torch.float64)}, exchange)


def test_the_receiver_reads_what_was_sealed_for_it():
    opened = seals(1).open(seals(0).seal(message()), sender=0, round=5)
    assert (opened.sender, opened.receiver, opened.round) == (0, 1, 5)
    assert torch.equal(opened.parts["parameters"], message().parts["parameters"])


def test_of_later_exchanges_too():
    opened = seals(1).open(seals(0).seal(message(exchange=3)), sender=0, round=5, exchange=3)
    assert (opened.round, opened.exchange) == (5, 3)


def test_nothing_shows_through_and_no_two_are_alike():
    plain = message().encode()
    first, second = (seals(0).seal(message())[LAYOUT.size :] for _ in range(2))
    assert first != second
    assert not any(
        plain[start : start + 8] in first for start in range(0, len(plain) - 8) if any(plain[start : start + 8])
    )


@pytest.mark.parametrize(
    ("sealed", "node", "sender", "round", "reason"),
    [
        (lambda: seals(0).seal(message()), 1, 0, 6, "replayed: it is of round 5"),
        (lambda: seals(0).seal(message(exchange=2)), 1, 0, 5, "replayed: it is of round 5, exchange 2"),
        (lambda: seals(0, "run-b").seal(message()), 1, 0, 5, "replayed from another run, run-b"),
        (lambda: seals(0).seal(message(receiver=2)), 1, 0, 5, "misrouted: it is for node 2"),
        (lambda: seals(0).seal(message()), 1, 2, 5, "wrong sender: it is from node 0"),
        (lambda: b"short", 1, 0, 5, "too short"),
    ],
)
def test_what_is_not_expected_is_refused_by_name(sealed, node, sender, round, reason):
    with pytest.raises(Refused, match=reason):
        seals(node).open(sealed(), sender, round)


def test_a_stranger_is_refused():
    with pytest.raises(Refused, match="wrong sender"):
        seals(1, knows=[2]).open(seals(0).seal(message()), 0, 5)


def test_a_sender_cannot_write_in_anothers_name():
    """Node 2 knows all public keys and writes what node 0 would, label and contents."""
    forged = Seals("run-a", 0, KEYS[2][0], {1: KEYS[1][1]}).seal(message(sender=0))
    with pytest.raises(Refused, match="not of its sender"):
        seals(1).open(forged, 0, 5)


@given(st.data())
def test_any_flipped_bit_is_refused(data):
    sealed = bytearray(seals(0).seal(message()))
    place = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[place // 8] ^= 1 << place % 8
    with pytest.raises(Refused):
        seals(1).open(bytes(sealed), 0, 5)


def test_a_label_cannot_be_exchanged():
    """The ciphertext of round 5 under the label of round 6."""
    old, new = seals(0).seal(message(round=5)), seals(0).seal(message(round=6))
    with pytest.raises(Refused, match="tampered"):
        seals(1).open(new[: LAYOUT.size] + old[LAYOUT.size :], 0, 6)
