"""What one node sends to one neighbour in one round: named tensors in one envelope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import torch
from safetensors.torch import load, save
from torch import Tensor

ENVELOPE = "__envelope__"


class Envelope(NamedTuple):
    """What an onlooker sees of a message: everything but what is inside.

    Attributes:
        sender: node id.
        receiver: node id.
        round: in which it was sent.
        bytes_by_part: algorithmic bytes, what the tensors hold, part by part.
        wire_bytes: length of the encoded message.
    """

    sender: int
    receiver: int
    round: int
    bytes_by_part: Mapping[str, int]
    wire_bytes: int


@dataclass(frozen=True, slots=True)
class Message:
    """Named tensors ("parameters", "idkd.labels", ...) from ``sender`` to ``receiver``, sent in ``round``.

    A message is never changed once sent: its tensors may be shared with other receivers, so a sender must not write
    to them again.
    """

    sender: int
    receiver: int
    round: int
    parts: Mapping[str, Tensor]

    @property
    def envelope(self) -> Envelope:
        """The message without its contents. Nothing is encoded: sizes depend on names, types and shapes alone."""
        sizes = {name: tensor.nbytes for name, tensor in self.parts.items()}
        signature = tuple((name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self.parts.items())
        return Envelope(self.sender, self.receiver, self.round, sizes, _overhead(signature) + sum(sizes.values()))

    def to(self, device: torch.device) -> Message:
        """The message with all its tensors on ``device``."""
        return replace(self, parts={name: tensor.to(device) for name, tensor in self.parts.items()})

    def encode(self) -> bytes:
        """The message as safetensors.

        Sender, receiver and round travel as one small tensor, so that the header's length does not depend on them.
        """
        envelope = torch.tensor([self.sender, self.receiver, self.round], dtype=torch.int64)
        return save({ENVELOPE: envelope} | {name: _apart(tensor) for name, tensor in self.parts.items()})

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
            sender, receiver, round = envelope.tolist()
        except Exception as error:  # safetensors raises its own type, which is not part of its public interface
            raise ValueError(f"not a message: {error}") from error
        return cls(sender, receiver, round, parts)


def _apart(tensor: Tensor) -> Tensor:
    """A contiguous copy: safetensors refuses tensors that share memory."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


@lru_cache(maxsize=4096)
def _overhead(signature: tuple[tuple[str, torch.dtype, tuple[int, ...]], ...]) -> int:
    """Bytes of the encoding beside the tensors, measured once for each set of names, types and shapes."""
    parts = {name: torch.empty(shape, dtype=dtype) for name, dtype, shape in signature}
    message = Message(0, 0, 0, parts)
    return len(message.encode()) - sum(tensor.nbytes for tensor in parts.values())
