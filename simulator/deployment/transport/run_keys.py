"""Keys that die with their run: what was recorded before cannot be opened with a node's own key alone.

For each run a node draws an X25519 key, and tells each neighbour its public part, sealed with their own keys, which
both have from the beginning. A message's key comes of all four: both nodes' own keys and both of the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from simulator.deployment.files import PRIVATE
from simulator.deployment.keys.private import sealing_key
from simulator.deployment.transport.inspection import Refused
from simulator.deployment.transport.sealing import LAYOUT, NONCE, Label, Seals, cipher

FILE = "run.key"  # of a node's state
GREETING = b"rumormill greeting 1"


class RunSeals(Seals):
    """A node's seals in one run.

    Args:
        run: of the deployment.
        node: whose.
        private: its own key, 32 bytes.
        public: its neighbours' own keys, 32 bytes each.
        of_the_run: its key of the run, 32 bytes; see `run_key`.
    """

    purpose = b"rumormill relay 2"

    def __init__(self, run: str, node: int, private: bytes, public: Mapping[int, bytes], of_the_run: bytes) -> None:
        super().__init__(run, node, private, public)
        self._of_the_run = X25519PrivateKey.from_private_bytes(of_the_run)
        self._theirs: dict[int, bytes] = {}

    def knows(self, other: int) -> bool:
        """Whether a neighbour's key of the run is there, without which nothing can be sealed for it."""
        return other in self._theirs

    def greetings(self) -> dict[int, bytes]:
        """The node's key of the run, sealed for each neighbour."""
        key, found = self._of_the_run.public_key().public_bytes_raw(), {}
        for other in self._public:
            label, nonce = Label(self._run, 0, self._node, other), os.urandom(NONCE)
            greeted = cipher(super()._secret(other), GREETING, label)
            found[other] = label.encode() + nonce + greeted.encrypt(nonce, key, label.encode())
        return found

    def hear(self, other: int, greeting: bytes) -> bool:
        """Take over what ``other`` has said; whether that is another key than before.

        Raises:
            Refused: it is not from ``other``, or not of this run.
        """
        label, start = Label(self._run, 0, other, self._node), LAYOUT.size + NONCE
        try:
            greeted = cipher(super()._secret(other), GREETING, label)
            key = greeted.decrypt(greeting[LAYOUT.size : start], greeting[start:], label.encode())
            self._of_the_run.exchange(X25519PublicKey.from_public_bytes(key))
        except (InvalidTag, ValueError) as error:
            what = (
                f"node {self._node} refuses the key of node {other} for this run: it was tampered with, or is not its."
            )
            raise Refused(f"{what}\n    Whoever passes messages on is broken or not honest.") from error
        before, self._theirs[other] = self._theirs.get(other), key
        return before != key

    def _secret(self, other: int) -> bytes:
        """Of all four keys, in an order that both nodes agree on."""
        if other not in self._theirs:
            raise Refused(f"node {self._node} does not know the key of node {other} for this run.")
        theirs = X25519PublicKey.from_public_bytes(self._theirs[other])
        mixed = [self._own.exchange(theirs), self._of_the_run.exchange(self._public[other])]
        if self._node > other:
            mixed.reverse()
        return b"".join((super()._secret(other), *mixed, self._of_the_run.exchange(theirs)))


def run_key(state: Path) -> bytes:
    """The node's key of the run that it keeps in ``state``: the same one until `forget` is called.

    Those of other runs are forgotten: one run at a time, and an earlier one begins with another key if it goes on.
    """
    for file in state.parent.glob(f"*/{FILE}"):
        if file.parent != state:
            file.unlink()
    file = state / FILE
    if not file.exists():
        state.mkdir(PRIVATE, parents=True, exist_ok=True)
        draft = file.with_name(f".{FILE}")
        draft.touch(0o600)
        draft.write_bytes(sealing_key()[0])
        draft.replace(file)
    return file.read_bytes()


def forget(state: Path) -> None:
    """The run is over, and nothing of it can be opened any more."""
    (state / FILE).unlink(missing_ok=True)
