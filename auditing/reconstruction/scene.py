"""What an attack is given: a gradient, the network, and what everybody knows of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from auditing.reconstruction.gradients import ObservedGradient
from auditing.reconstruction.table_form import TableForm
from simulator.core.arrays import Arrays
from simulator.core.flat_module import FlatModule
from simulator.core.node import Node
from simulator.core.samples import NodeData
from simulator.data.kinds.table import TablePreparation
from simulator.tasks.binary import Binary


@dataclass(frozen=True)
class Scene:
    """An attack's view of one update; nothing in it is known to the victim alone.

    Attributes:
        network: an instance of the victim's, in float64.
        gradient: what was seen.
        batch: samples of a local step.
        node: of the victim, for its task and for how inputs are prepared; its samples are not looked at.
        public: inputs of public samples as the network takes them, for shapes and ranges.
        lowest, highest: float64 [...], the range of the values of an input, where inputs are images.
        labels: int64 [samples], the true ones, where the attack is told them.
        rng: random numbers of the attack's own.
        own_losses: whether the node trained on the losses of its samples as they are, and not of mixed ones, say.
    """

    network: FlatModule
    gradient: ObservedGradient
    batch: int
    node: Node
    public: Arrays
    rng: np.random.Generator
    lowest: Tensor | None = None
    highest: Tensor | None = None
    labels: Tensor | None = None
    own_losses: bool = True

    @property
    def samples(self) -> int:
        """How many samples the round's batches held."""
        return self.batch * self.gradient.steps

    @property
    def classes(self) -> int:
        """How many labels a sample can have; see `choices`."""
        return choices(self.node.data)

    @property
    def form(self) -> TableForm | None:
        """How rows of a table are searched for; None of other inputs."""
        preparation = self.node.data.preparation
        return TableForm(preparation) if isinstance(preparation, TablePreparation) else None


def choices(data: NodeData) -> int:
    """How many labels a sample can have: classes, or yes and no; 0 where targets are something else."""
    return 2 if isinstance(data.task, Binary) else data.classes


@dataclass(frozen=True)
class Recovered:
    """What an attack makes of an update.

    Attributes:
        inputs: float64 [K, ...], samples as the network takes them; K may be 0.
        certified: bool [K], whether the attack itself can tell that a sample is right.
        labels: int64 [K], their labels, as the attack takes them to be; -1 where it says nothing.
        limit: why to find nothing here says little of what others may find, to be read after "not inverted: "; "" where
            all that the attack can find was looked for.
    """

    inputs: Tensor
    certified: Tensor
    labels: Tensor
    limit: str = ""

    @classmethod
    def nothing(cls, scene: Scene, limit: str) -> Recovered:
        """No sample at all; ``limit`` says why."""
        shape = scene.public.shape[1:] if isinstance(scene.public, Tensor) else (0,)
        none = torch.empty(0, dtype=torch.int64)
        return cls(torch.empty(0, *shape, dtype=torch.float64), none.bool(), none, limit)
