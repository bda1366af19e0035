"""What goes into a network and what has to come out of it: known before any network is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.core.channel import Channel

if TYPE_CHECKING:
    from simulator.core.task import Task

Shape = tuple[int, ...]


@dataclass(frozen=True)
class InputSpec:
    """What a network is given of one sample.

    Attributes:
        kind: "images", "table", "tokens", or "arrays" of no kind that the simulator knows more of.
        shape: of one sample: (height, width, channels) of an image, which the network sees as [channels, height,
            width]; (features,) of a table's row; (length,) of tokens; empty where there are ``parts``.
        parts: where a network is given several arrays by name, the shape of each.
        channels: what each channel of an image holds; empty for gray and RGB pictures.
        columns: what the features of a table are called, in their order.
        vocabulary: how many different tokens there are; 0 where inputs are no tokens.
    """

    kind: str
    shape: Shape = ()
    parts: Mapping[str, Shape] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    columns: tuple[str, ...] = ()
    vocabulary: int = 0


@dataclass(frozen=True)
class OutputSpec:
    """What has to come out of a network.

    Attributes:
        task: says what outputs mean, and how good they are.
        width: size of the last dimension of the network's outputs.
        names: of the classes, labels or quantities that are predicted; of next tokens none.
    """

    task: Task
    width: int
    names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes; 0 where the task is no choice among classes."""
        return self.width if self.task.has_classes else 0
