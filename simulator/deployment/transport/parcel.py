"""What a node says to a mailbox, letters and greetings, and what it is told of those that were there before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from simulator.deployment.transport.box import Letters

STATE = Struct("<?q")
PAIR = Struct("<qq")
HEAD_LARGEST = 2**20  # bytes

Run = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Sealed = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{0,512}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]


class Head(BaseModel):
    """What goes before the letters.

    Attributes:
        run: of the deployment.
        sender: the node that puts them.
        position: the last one that it has sent.
        whole: whether this is all that it holds, so that a mailbox that knows nothing of it can begin with that.
        given_up: receivers that it has gone on without.
        letters: position, receiver and length of each, in the order in which they follow.
        fetched: receivers, and the last position that each has fetched.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    run: Run
    sender: Count
    position: Annotated[int, Field(ge=-1, le=2**53)]
    whole: bool
    given_up: list[Count]
    letters: list[tuple[Count, Count, Count]]
    fetched: list[tuple[Count, Annotated[int, Field(ge=-1, le=2**53)]]]


def parcel(head: Head, letters: Letters) -> Iterator[bytes]:
    """Head and letters, as they travel: a mailbox knows their lengths before it reads them."""
    yield head.model_dump_json().encode()
    for at, receiver, _ in head.letters:
        yield letters[at][receiver]


class Progress(NamedTuple):
    """What a mailbox answers a sender.

    Attributes:
        known: whether it knows the sender; one that was started again does not.
        version: of what follows; another one when it has changed.
        fetched: by receiver, the last position that it has fetched.
    """

    known: bool
    version: int = 0
    fetched: Mapping[int, int] = {}

    def encode(self) -> bytes:
        """As it travels."""
        return STATE.pack(self.known, self.version) + b"".join(PAIR.pack(*each) for each in self.fetched.items())

    @classmethod
    def decode(cls, data: bytes) -> Progress:
        """What `encode` was given.

        Raises:
            ValueError: nothing that it gave.
        """
        if len(data) < STATE.size or (len(data) - STATE.size) % PAIR.size:
            raise ValueError(f"{len(data)} bytes")
        known, version = STATE.unpack_from(data)
        return cls(known, version, dict(PAIR.iter_unpack(data[STATE.size :])))


class Hello(BaseModel):
    """What a node tells and asks.

    Attributes:
        run: of the deployment.
        sender: the node.
        greetings: for each neighbour, its key, sealed, as a hexadecimal number.
        wanted: neighbours whose greetings are waited for.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    run: Run
    sender: Count
    greetings: list[tuple[Count, Sealed]]
    wanted: list[Count]


class Answered(BaseModel):
    """What a mailbox answers: those for the node that asks, by their senders."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    greetings: list[tuple[Count, Sealed]]
