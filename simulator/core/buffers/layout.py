"""The state of a network outside its parameters, as two flat vectors a node: running statistics and counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from simulator.core.buffers.settings import BufferSettings

Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True)
class Layout:
    """Which of a network's buffers are state, and where they lie in the flat vectors.

    Attributes:
        running: shapes of floating-point state, by the buffer's name.
        counters: shapes of whole-number state, by name.
        moments: names of a running mean and the running variance that belongs to it.
    """

    running: Shapes
    counters: Shapes
    moments: Sequence[tuple[str, str]]

    @property
    def layers(self) -> list[str]:
        """Names of the modules that hold state."""
        return list(dict.fromkeys(name.rpartition(".")[0] for name in (*self.running, *self.counters)))

    @property
    def others(self) -> list[str]:
        """Names of floating-point state that is neither a mean nor a variance."""
        known = {name for pair in self.moments for name in pair}
        return [name for name in self.running if name not in known]

    def views(self, running: Tensor, counters: Tensor) -> dict[str, Tensor]:
        """The two vectors cut into buffers, by name; no copy. Dimensions in front, such as one of nodes, stay there."""
        return _cut(running, self.running) | _cut(counters, self.counters)

    def merged(self, terms: Iterable[tuple[float, Tensor]]) -> Tensor:
        """The statistics of several parts of the data taken together: float [running].

        mean = sum_i w_i m_i and var = sum_i w_i (v_i + (m_i - mean)^2), with weights over their sum; what is neither a
        mean nor a variance is averaged as it is.

        Args:
            terms: weight and statistics of each part, which are summed in this order.
        """
        terms = list(terms)
        total = sum(weight for weight, _ in terms)
        shares = [(weight / total, each) for weight, each in terms]
        merged = torch.zeros_like(shares[0][1])
        for share, each in shares:
            merged.add_(each, alpha=share)
        means, variances = (places.to(merged.device) for places in self._places)
        for share, each in shares:
            merged[variances] += share * (each[means] - merged[means]).square()
        return merged

    def variances(self, running: Tensor) -> Tensor:
        """The variances among ``running`` (float [running])."""
        return running[self._places[1].to(running.device)]

    def is_moment(self, running: Tensor) -> Tensor:
        """bool [running]: whether a value is of a mean or a variance."""
        found = torch.zeros(len(running), dtype=torch.bool, device=running.device)
        found[torch.cat(self._places).to(running.device)] = True
        return found

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor]:
        """int64 [moments] each: where means lie in the vector, and where the variances that belong to them do."""
        sizes = [shape.numel() for shape in self.running.values()]
        starts = dict(zip(self.running, accumulate(sizes, initial=0), strict=False))
        at = {name: torch.arange(starts[name], starts[name] + self.running[name].numel()) for name in self.running}
        means, variances = ([at[pair[k]] for pair in self.moments] for k in (0, 1))
        nothing = torch.empty(0, dtype=torch.int64)
        return torch.cat([nothing, *means]), torch.cat([nothing, *variances])


@dataclass
class Buffers:
    """The state of one model beside its parameters; layers write to it while they are trained.

    Attributes:
        layout: where each buffer lies.
        settings: what becomes of them.
        running: float [running].
        counters: int64 [counters].
        fixed: whether they no longer move, in training either.
    """

    layout: Layout
    settings: BufferSettings
    running: Tensor
    counters: Tensor
    fixed: bool = False

    def clone(self) -> Buffers:
        """The same in memory of its own."""
        return replace(self, running=self.running.clone(), counters=self.counters.clone())

    def holding(self, running: Tensor) -> Buffers:
        """A copy with other statistics."""
        return replace(self, running=running.to(self.running, copy=True), counters=self.counters.clone())

    def views(self) -> dict[str, Tensor]:
        """Each buffer as a view, by name."""
        return self.layout.views(self.running, self.counters)


def _cut(flat: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    pieces = torch.split(flat, [shape.numel() for shape in shapes.values()], dim=-1)
    return {
        name: piece.view((*piece.shape[:-1], *shape))
        for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
    }
