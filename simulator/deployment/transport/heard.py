"""What an exchange has brought a node from its neighbours, also as it is kept on the node's own disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import torch
from safetensors.torch import load
from torch import Tensor

from simulator.core.message import Message
from simulator.core.tensor_bytes import encoded

FROM, LOST, REFUSED = "from-", "lost", "refused"  # names of what is kept


@dataclass
class Heard:
    """What one exchange of a round has brought.

    Attributes:
        messages: those that came as they should.
        lost: whose did not come, or was refused.
        refused: whose was.
        gone: how many rounds those have finished who have gone on without this node.
    """

    messages: list[Message] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)

    @property
    def furthest(self) -> int:
        """How many rounds are over for one whom nobody answers any more.

        One neighbour's word is not enough where another one still sends messages, and the least is believed.
        """
        return 0 if self.messages or not self.gone else min(self.gone)

    def encode(self) -> bytes:
        """All but who is gone, as safetensors."""
        letters = {f"{FROM}{message.sender}": _bytes(message.encode()) for message in self.messages}
        return encoded({**letters, LOST: _numbers(self.lost), REFUSED: _numbers(self.refused)})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """What `encode` wrote."""
        tensors = load(data)
        lost, refused = tensors.pop(LOST).tolist(), tensors.pop(REFUSED).tolist()
        return cls([Message.decode(letter.numpy().tobytes()) for letter in tensors.values()], lost, refused)


def _bytes(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _numbers(nodes: Iterable[int]) -> Tensor:
    return torch.tensor(list(nodes), dtype=torch.int64)
