"""What the confined process says at the beginning of the node that it has made: plain values, checked when read.

What it says is the word of the experiment's code. What can be known without it, the other side takes from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, groupby
from typing import Annotated, Any, Literal

import torch
from annotated_types import Predicate
from pydantic import BaseModel, ConfigDict, Field

from simulator.core.declaration import Declared, largest
from simulator.core.promise import Promise, Unit
from simulator.deployment.carried import CarriedHere
from simulator.deployment.confined.channel import MOST
from simulator.deployment.transport.facts import Count, Part
from simulator.deployment.transport.positions import Positions

DTYPES = {
    str(each).removeprefix("torch."): each
    for each in (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    )
}
Size = Annotated[int, Field(ge=0, le=2**40)]
Range = Annotated[  # first, after the last, step: of one size or more
    list[Size], Field(min_length=3, max_length=3), Predicate(lambda given: given[0] < given[1] and given[2] > 0)
]
Bound = float | Literal["inf", "-inf"]
Text = Annotated[str, Field(max_length=200), Predicate(str.isprintable)]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class PartForm(_Form):
    """A `Declared` part of a message, as it travels."""

    dtype: Annotated[str, Predicate(lambda name: name in DTYPES)]
    shape: Annotated[list[Size | Range], Field(max_length=16)]
    least: Bound
    most: Bound
    optional: bool
    gaps: bool

    @classmethod
    def of(cls, declared: Declared) -> PartForm:
        """That of ``declared``."""
        return cls(
            dtype=str(declared.dtype).removeprefix("torch."),
            shape=[size if isinstance(size, int) else [size.start, size.stop, size.step] for size in declared.shape],
            least=_bound(declared.least),
            most=_bound(declared.most),
            optional=declared.optional,
            gaps=declared.gaps,
        )

    @property
    def declared(self) -> Declared:
        """What `of` was given."""
        shape = tuple(size if isinstance(size, int) else range(*size) for size in self.shape)
        return Declared(DTYPES[self.dtype], shape, float(self.least), float(self.most), self.optional, self.gaps)


class PromiseForm(_Form):
    """A `Promise`, but for its costs, which are asked for one by one."""

    unit: Unit
    delta: Annotated[float, Field(ge=0, lt=1)]
    lasts: Count | None

    @classmethod
    def of(cls, promise: Promise) -> PromiseForm:
        """That of ``promise``."""
        return cls(unit=promise.unit, delta=promise.delta, lasts=promise.lasts)


class Declaration(_Form):
    """See `CarriedNode` and `Asked`.

    Attributes:
        counts: of samples to train on, of the test set, and of that the node's own.
        kinds: what messages may hold, each once.
        links: by "sender>receiver", how many positions in a row are of which kind.
    """

    shared: Text
    content: Text | None
    tolerant: bool
    exchanges: Annotated[int, Field(ge=1, le=1000)]
    counts: Annotated[list[Count], Field(min_length=3, max_length=3)]
    mechanism: Text
    promise: PromiseForm | None
    recordings: bool
    labels: Annotated[list[Text], Field(max_length=100)]
    collects: bool
    bounded: bool
    kinds: Annotated[list[Annotated[dict[Part, PartForm], Field(max_length=100)]], Field(max_length=10_000)]
    links: dict[Text, list[Annotated[list[Count], Field(min_length=2, max_length=2)]]]

    @classmethod
    def of(cls, carried: CarriedHere) -> Declaration:
        """That of a node which this process carries."""
        asked, promise = carried.asked, carried.asked.promise
        kinds, links = _table(carried)
        return cls(
            shared=carried.shared,
            content=carried.content,
            tolerant=carried.tolerant,
            exchanges=carried.exchanges,
            counts=list(carried.counts),
            mechanism=asked.mechanism,
            promise=None if promise is None else PromiseForm.of(promise),
            recordings=asked.recordings,
            labels=list(asked.labels),
            collects=asked.collects,
            bounded=asked.bounded,
            kinds=kinds,
            links=links,
        )

    def table(self) -> dict[str, tuple[list[int], list[Mapping[str, Declared]]]]:
        """By link, after which positions each kind ends, and the kinds.

        Raises:
            ValueError: a link is of a kind that there is not, or messages are larger than this host's memory bears.
        """
        kinds = [{name: part.declared for name, part in kind.items()} for kind in self.kinds]
        if any(kind >= len(kinds) for runs in self.links.values() for _, kind in runs):
            raise ValueError("a link of a kind that there is not")
        if any(largest(kind) > MOST for kind in kinds):
            raise ValueError("messages that are larger than this host's memory bears")
        return {
            link: (list(accumulate(times for times, _ in runs)), [kinds[kind] for _, kind in runs])
            for link, runs in self.links.items()
        }


def _table(carried: CarriedHere) -> tuple[list[dict[str, PartForm]], dict[str, list[list[int]]]]:
    positions, rounds = Positions(carried.exchanges), carried.simulation.experiment.rounds
    every = [positions.split(position) for position in range(rounds * positions.exchanges)]
    kinds, links = dict[str, int](), dict[str, list[list[int]]]()
    forms: list[dict[str, PartForm]] = []

    def kind(declared: Mapping[str, Declared]) -> int:
        form = {name: PartForm.of(part) for name, part in declared.items()}
        number = kinds.setdefault(repr(form), len(forms))
        if number == len(forms):
            forms.append(form)
        return number

    for other in carried.neighbours:
        for sender, receiver in ((carried.id, other), (other, carried.id)):
            found = (kind(carried.declared(sender, receiver, *each)) for each in every)
            links[f"{sender}>{receiver}"] = [[len(list(run)), number] for number, run in groupby(found)]
    return forms, links


def _bound(value: float) -> Any:
    return value if abs(value) < float("inf") else "inf" if value > 0 else "-inf"
