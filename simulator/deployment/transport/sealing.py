"""Messages sealed end to end: whoever passes them on sees who writes to whom, when and how much, and not what.

X25519 between the two nodes' static keys, HKDF-SHA256 to a key for each direction and run, ChaCha20-Poly1305 with run,
round, sender and receiver as associated data. There is no forward secrecy: a stolen key opens what was recorded before.
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

from simulator.core.message import Message
from simulator.deployment.transport.inspection import Refused

LAYOUT = Struct("<32sqqq")
NONCE = 12  # bytes, drawn anew for each message
TAG = 16
PURPOSE = b"rumormill relay 1"


class Label(NamedTuple):
    """What a sealed message says of itself in the clear, and what it is bound to.

    Attributes:
        run: of the deployment, ASCII, at most 32 characters.
        round: in which it was sent.
        sender: node id, and ``receiver`` likewise.
    """

    run: str
    round: int
    sender: int
    receiver: int

    def encode(self) -> bytes:
        """The associated data."""
        return LAYOUT.pack(self.run.encode(), self.round, self.sender, self.receiver)

    @classmethod
    def decode(cls, data: bytes) -> Label:
        """What `encode` was given."""
        run, round, sender, receiver = LAYOUT.unpack_from(data)
        return cls(run.rstrip(b"\0").decode(errors="replace"), round, sender, receiver)


class Seals:
    """A node's key, and those of its neighbours, which were given to it and never come from whoever passes messages on.

    Args:
        run: of the deployment.
        node: whose.
        private: its key, 32 bytes.
        public: its neighbours' keys, 32 bytes each.
    """

    def __init__(self, run: str, node: int, private: bytes, public: Mapping[int, bytes]) -> None:
        self._run, self._node = run, node
        self._own = X25519PrivateKey.from_private_bytes(private)
        self._public = {other: X25519PublicKey.from_public_bytes(key) for other, key in public.items()}

    def seal(self, message: Message) -> bytes:
        """``message`` for its receiver alone."""
        label, nonce = Label(self._run, message.round, self._node, message.receiver), os.urandom(NONCE)
        cipher = self._cipher(message.receiver, label)
        return label.encode() + nonce + cipher.encrypt(nonce, message.encode(), label.encode())

    def open(self, data: bytes, sender: int, round: int) -> Message:
        """The message that ``sender`` sealed for this node in ``round``.

        Raises:
            Refused: it is misrouted, replayed, of another sender or run, or was tampered with.
        """
        if len(data) < LAYOUT.size + NONCE + TAG:
            raise self._refusal(sender, round, "was tampered with: it is too short")
        label = Label.decode(data)
        self._check(label, sender, round)
        start = LAYOUT.size + NONCE
        try:
            plain = self._cipher(sender, label).decrypt(data[LAYOUT.size : start], data[start:], label.encode())
            message = Message.decode(plain)
        except (InvalidTag, ValueError) as error:
            raise self._refusal(sender, round, "was tampered with, or is not of its sender") from error
        if (message.sender, message.receiver, message.round) != (sender, self._node, round):
            raise self._refusal(sender, round, "contains a message of another edge or round")
        return message

    def _check(self, label: Label, sender: int, round: int) -> None:
        if label.run != self._run:
            raise self._refusal(sender, round, f"was replayed from another run, {label.run}")
        if label.receiver != self._node:
            raise self._refusal(sender, round, f"was misrouted: it is for node {label.receiver}")
        if label.sender != sender or sender not in self._public:
            raise self._refusal(sender, round, f"has the wrong sender: it is from node {label.sender}")
        if label.round != round:
            raise self._refusal(sender, round, f"was replayed: it is of round {label.round}")

    def _refusal(self, sender: int, round: int, reason: str) -> Refused:
        what = f"node {self._node} refuses the message of node {sender} in round {round}: it {reason}."
        return Refused(f"{what}\n    Its sender, or whoever passes messages on, is broken or not honest.")

    def _cipher(self, other: int, label: Label) -> ChaCha20Poly1305:
        shared = self._own.exchange(self._public[other])
        info = b"|".join((PURPOSE, label.run.encode(), f"{label.sender}>{label.receiver}".encode()))
        return ChaCha20Poly1305(HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(shared))


def sealing_key() -> tuple[bytes, bytes]:
    """A new key, private and public, 32 bytes each."""
    key = X25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()
