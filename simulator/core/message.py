"""What one node sends to one neighbour in one exchange of a round: named tensors in one envelope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor

from simulator.core.tensor_bytes import encoded

ENVELOPE = "__envelope__"
OVERHEARD = "overheard"  # a model that an attacker knows although nobody sent it: a part of no real message
MASKED = "masked_parameters"  # a part of which its receiver makes out a sum alone: see `MixerTraits.sums`
Ids = NDArray[np.int32]
ROUNDS = 2**40  # more than a run can have: round and exchange travel as one number


class Envelope(NamedTuple):
    """What an onlooker sees of a message: everything but what is inside.

    Attributes:
        sender: node id.
        receiver: node id.
        round: in which it was sent, counted from 1.
        bytes_by_part: algorithmic bytes, what the tensors hold, part by part.
        wire_bytes: length of the encoded message.
        exchange: of the round, counted from 1.
    """

    sender: int
    receiver: int
    round: int
    bytes_by_part: Mapping[str, int]
    wire_bytes: int
    exchange: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Alike(Sequence[Envelope]):
    """Envelopes of messages that hold the same and were sent in the same exchange: in columns, which cost little.

    Attributes:
        senders: int32 [M], node ids.
        receivers: int32 [M].
        round: as in `Envelope`, and so are the others.
    """

    senders: Ids
    receivers: Ids
    round: int
    bytes_by_part: Mapping[str, int]
    wire_bytes: int
    exchange: int = 1

    def __len__(self) -> int:
        return len(self.senders)

    def __iter__(self) -> Iterator[Envelope]:
        for sender, receiver in zip(self.senders.tolist(), self.receivers.tolist(), strict=True):
            yield Envelope(sender, receiver, self.round, self.bytes_by_part, self.wire_bytes, self.exchange)

    @overload
    def __getitem__(self, place: int) -> Envelope: ...
    @overload
    def __getitem__(self, place: slice) -> list[Envelope]: ...
    def __getitem__(self, place: int | slice) -> Envelope | list[Envelope]:
        return list(self)[place]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    @property
    def kind(self) -> tuple[int, Mapping[str, int], int, int]:
        """What they have in common."""
        return self.round, self.bytes_by_part, self.wire_bytes, self.exchange

    def of_senders(self) -> list[tuple[int, int]]:
        """Who has sent how many."""
        many = np.bincount(self.senders)
        senders = np.flatnonzero(many)
        return list(zip(senders.tolist(), many[senders].tolist(), strict=True))


def joined(parts: Sequence[Sequence[Envelope]]) -> Sequence[Envelope]:
    """All envelopes, one part's after the other's; in columns where all are, and hold the same."""
    alike = [part for part in parts if isinstance(part, Alike)]
    if not alike or len(alike) < len(parts) or any(part.kind != alike[0].kind for part in alike):
        return [envelope for part in parts for envelope in part]
    senders, receivers = np.concatenate([p.senders for p in alike]), np.concatenate([p.receivers for p in alike])
    return replace(alike[0], senders=senders, receivers=receivers)


@dataclass(frozen=True, slots=True)
class Message:
    """Named tensors ("parameters", "idkd.labels", ...) from ``sender`` to ``receiver``, in an exchange of a round.

    Rounds and exchanges are counted from 1.

    A message is never changed once sent: its tensors may be shared with other receivers, so a sender must not write
    to them again. ``last`` says that its sender leaves the run after this round.
    """

    sender: int
    receiver: int
    round: int
    parts: Mapping[str, Tensor]
    exchange: int = 1
    last: bool = False

    @property
    def is_overheard(self) -> bool:
        """Whether nobody sent it: it is how a simulation lets omniscient attackers know the models of others."""
        return OVERHEARD in self.parts

    @property
    def envelope(self) -> Envelope:
        """The message without its contents. Nothing is encoded: sizes depend on names, types and shapes alone."""
        sizes = {name: tensor.nbytes for name, tensor in self.parts.items()}
        signature = tuple((name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self.parts.items())
        wire = _overhead(signature) + sum(sizes.values())
        return Envelope(self.sender, self.receiver, self.round, sizes, wire, self.exchange)

    def to(self, device: torch.device) -> Message:
        """The message with all its tensors on ``device``."""
        return replace(self, parts={name: tensor.to(device) for name, tensor in self.parts.items()})

    def encode(self) -> bytes:
        """The message as safetensors.

        Sender, receiver, round and exchange travel as one small tensor, so that the header's length does not depend on
        them; of a last message, round and exchange are negative.
        """
        when = (self.round + (self.exchange - 1) * ROUNDS) * (-1 if self.last else 1)
        envelope = torch.tensor([self.sender, self.receiver, when], dtype=torch.int64)
        return encoded({ENVELOPE: envelope, **self.parts})

    @classmethod
    def decode(cls, data: bytes) -> Message:
        """The message that `encode` wrote.

        Raises:
            ValueError: the bytes are not such a message.
        """
        try:
            parts = load(data)
            envelope = parts.pop(ENVELOPE)
            if envelope.dtype != torch.int64:
                raise ValueError("its envelope does not hold whole numbers")
            sender, receiver, when = envelope.tolist()
        except Exception as error:  # safetensors raises its own type, which is not part of its public interface
            raise ValueError(f"not a message: {error}") from error
        exchange, round = divmod(abs(when), ROUNDS)
        return cls(sender, receiver, round, parts, exchange + 1, when < 0)


@lru_cache(maxsize=4096)
def _overhead(signature: tuple[tuple[str, torch.dtype, tuple[int, ...]], ...]) -> int:
    """Bytes of the encoding beside the tensors, measured once for each set of names, types and shapes."""
    parts = {name: torch.empty(shape, dtype=dtype) for name, dtype, shape in signature}
    message = Message(0, 0, 0, parts)
    return len(message.encode()) - sum(tensor.nbytes for tensor in parts.values())
