"""Messages sealed end to end: whoever passes them on sees who writes to whom, when and how much, and not what.

X25519 between the two nodes' keys, HKDF-SHA256 to a key for each direction and run, ChaCha20-Poly1305 with run, round
and exchange, sender and receiver as associated data. With the nodes' own keys alone, a stolen one opens what was
recorded before; see `simulator.deployment.transport.run_keys`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from simulator.core.message import ROUNDS, Message
from simulator.deployment.transport.inspection import Refused
from simulator.deployment.transport.positions import named

LAYOUT = Struct("<32sqqq")
NONCE = 12  # bytes, drawn anew for each message
TAG = 16
OVERHEAD = LAYOUT.size + NONCE + TAG  # bytes that a sealed message is longer


class Label(NamedTuple):
    """What a sealed message says of itself in the clear, and what it is bound to.

    Attributes:
        run: of the deployment, ASCII, at most 32 characters.
        round: in which it was sent, counted from 1.
        sender: node id, and ``receiver`` likewise.
        exchange: of the round; both in one number, as in a `Message`.
    """

    run: str
    round: int
    sender: int
    receiver: int
    exchange: int = 1

    def encode(self) -> bytes:
        """The associated data."""
        when = self.round + (self.exchange - 1) * ROUNDS
        return LAYOUT.pack(self.run.encode(), when, self.sender, self.receiver)

    @classmethod
    def decode(cls, data: bytes) -> Label:
        """What `encode` was given."""
        run, when, sender, receiver = LAYOUT.unpack_from(data)
        exchange, round = divmod(when, ROUNDS)
        return cls(run.rstrip(b"\0").decode(errors="replace"), round, sender, receiver, exchange + 1)


class Seals:
    """A node's key, and those of its neighbours, which were given to it and never come from whoever passes messages on.

    Args:
        run: of the deployment.
        node: whose.
        private: its key, 32 bytes.
        public: its neighbours' keys, 32 bytes each.
    """

    purpose = b"rumormill relay 1"

    def __init__(self, run: str, node: int, private: bytes, public: Mapping[int, bytes]) -> None:
        self._run, self._node = run, node
        self._own = X25519PrivateKey.from_private_bytes(private)
        self._public = {other: X25519PublicKey.from_public_bytes(key) for other, key in public.items()}

    def seal(self, message: Message) -> bytes:
        """``message`` for its receiver alone."""
        label = Label(self._run, message.round, self._node, message.receiver, message.exchange)
        nonce, sealing = os.urandom(NONCE), cipher(self._secret(message.receiver), self.purpose, label)
        return label.encode() + nonce + sealing.encrypt(nonce, message.encode(), label.encode())

    def open(self, data: bytes, sender: int, round: int, exchange: int = 1) -> Message:
        """The message that ``sender`` sealed for this node in an ``exchange`` of ``round``.

        Raises:
            Refused: it is misrouted, replayed, of another sender or run, or was tampered with.
        """
        due = Label(self._run, round, sender, self._node, exchange)
        if len(data) < OVERHEAD:
            raise _refusal(due, "was tampered with: it is too short")
        label = Label.decode(data)
        self._check(label, due)
        start = LAYOUT.size + NONCE
        try:
            opening = cipher(self._secret(sender), self.purpose, label)
            plain = opening.decrypt(data[LAYOUT.size : start], data[start:], label.encode())
            message = Message.decode(plain)
        except (InvalidTag, ValueError) as error:
            raise _refusal(due, "was tampered with, or is not of its sender") from error
        if Label(self._run, message.round, message.sender, message.receiver, message.exchange) != due:
            raise _refusal(due, "contains a message of another edge, round or exchange")
        return message

    def _check(self, label: Label, due: Label) -> None:
        if label.run != due.run:
            raise _refusal(due, f"was replayed from another run, {label.run}")
        if label.receiver != due.receiver:
            raise _refusal(due, f"was misrouted: it is for node {label.receiver}")
        if label.sender != due.sender or due.sender not in self._public:
            raise _refusal(due, f"has the wrong sender: it is from node {label.sender}")
        if (label.round, label.exchange) != (due.round, due.exchange):
            raise _refusal(due, f"was replayed: it is of {named(label.round, label.exchange)}")

    def _secret(self, other: int) -> bytes:
        """What this node and ``other`` have in common, and nobody else."""
        return self._own.exchange(self._public[other])


def cipher(secret: bytes, purpose: bytes, label: Label) -> ChaCha20Poly1305:
    """That of one direction of a link, in one run."""
    info = b"|".join((purpose, label.run.encode(), f"{label.sender}>{label.receiver}".encode()))
    return ChaCha20Poly1305(HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(secret))


def _refusal(due: Label, reason: str) -> Refused:
    when = named(due.round, due.exchange)
    what = f"node {due.receiver} refuses the message of node {due.sender} in {when}: it {reason}."
    return Refused(f"{what}\n    Its sender, or whoever passes messages on, is broken or not honest.")
