"""Data of some nodes, to be carried elsewhere: their arrays without the rows that only others need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from simulator.core.arrays import Arrays, count, mapped
from simulator.core.samples import NodeData, Samples, VerifiedData


def emptied(data: NodeData) -> NodeData:
    """Without samples of the node's own, in the same form."""
    return _changed(data, lambda samples: samples if _common(data, samples) else _first(samples, 0))


def with_first(data: NodeData, samples: int) -> NodeData:
    """With so many samples to train on and none else of the node's own: enough to try a network on."""
    return replace(emptied(data), train=_first(data.train, samples))


def with_own_rows(data: Sequence[NodeData]) -> list[NodeData]:
    """The same data over arrays that hold no other rows than these nodes' sets have; what they share stays shared.

    Rows keep their numbers; who asks for one that is not here gets an IndexError.
    """
    chosen = _Chosen()
    for node in data:
        _changed(node, chosen.note)
    return [_changed(node, chosen.of) for node in data]


@dataclass
class _Chosen:
    """Which rows are kept of each inputs, and what was made of inputs, targets and sets so far; all by identity."""

    indices: defaultdict[int, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[int, Tensor] = field(default_factory=dict)
    inputs: dict[int, tuple[Arrays, Tensor]] = field(default_factory=dict)
    targets: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    sets: dict[int, Samples] = field(default_factory=dict)

    def note(self, samples: Samples) -> Samples:
        self.indices[id(samples.inputs)].append(samples.index)
        return samples

    def of(self, samples: Samples) -> Samples:
        if id(samples) not in self.sets:
            self.sets[id(samples)] = self._made(samples)
        return self.sets[id(samples)]

    def _made(self, samples: Samples) -> Samples:
        key, targets = id(samples.inputs), samples.targets
        if key not in self.inputs:
            rows = self.rows[key] = torch.unique(torch.cat(self.indices[key]))
            places = torch.full((count(samples.inputs),), len(rows), dtype=torch.int32)
            places[rows] = torch.arange(len(rows), dtype=torch.int32)
            self.inputs[key] = mapped(samples.inputs, lambda array: array[rows]), places
        if targets is not None and (key, id(targets)) not in self.targets:
            self.targets[key, id(targets)] = targets[self.rows[key]]
        inputs, kept = self.inputs[key]
        return Samples(inputs, None if targets is None else self.targets[key, id(targets)], samples.index, kept)


def _first(samples: Samples, number: int) -> Samples:
    return samples.subset(torch.arange(min(number, len(samples))))


def _common(data: NodeData, samples: Samples) -> bool:
    return samples is data.public or (samples is data.test and samples is not data.own_test)


def _changed(data: NodeData, change: Callable[[Samples], Samples]) -> NodeData:
    """With what ``change`` makes of each of the sets; of two that are one, it is asked once."""
    own = None if data.own_test is None else change(data.own_test)
    verified = data.verified
    return replace(
        data,
        train=change(data.train),
        validation=change(data.validation),
        held_out=change(data.held_out),
        test=own if own is not None and data.test is data.own_test else change(data.test),
        public=None if data.public is None else change(data.public),
        own_test=own,
        verified=None if verified is None else VerifiedData(change(verified.fit), change(verified.select)),
    )
