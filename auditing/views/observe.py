"""Observation: which views there are in a run, and the models that attackers make use of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor

from auditing.views.position import AttackScene, Model, Position
from auditing.views.record import FinalModel, Record, Stored
from auditing.views.view import VIEWS, Unseen, View, view_names
from simulator.core.registry import PartSettings
from topologies import Topology


@dataclass(frozen=True)
class Observed:
    """What the attackers of some views need.

    Attributes:
        record: what the network has kept.
        models: the model of each row.
        positions: where the attackers stand, those who only look apart from those who also lied in the run.
        by_round: positions of views that can be told apart by round, by name and round.
        students: those among the models that were trained, by what they learnt from.
    """

    record: Record
    models: tuple[Model, ...]
    positions: tuple[Position, ...]
    by_round: Mapping[str, Mapping[int, Position]]
    students: Mapping[Stored, FinalModel] = field(default_factory=dict)

    def model(self, row: int) -> Tensor:
        """The parameters of the model of ``row``, float64 [parameters]."""
        terms = self.models[row]
        total = torch.stack([weight * self._parameters(stored) for stored, weight in terms]).sum(0)
        return total / sum(weight for _, weight in terms)

    def running(self, row: int) -> Sequence[tuple[float, Tensor]]:
        """The running statistics (float64 [running]) of what the model of ``row`` is a mean of, with the weights."""
        found = ((weight, self._running(stored)) for stored, weight in self.models[row])
        return [(weight, running) for weight, running in found if running is not None]

    @property
    def lessons(self) -> list[Stored]:
        """The students among the models, trained or not."""
        stored = (stored for model in self.models for stored, _ in model)
        return [*dict.fromkeys(each for each in stored if each.kind == "student")]

    def _parameters(self, stored: Stored) -> Tensor:
        student = self.students.get(stored)
        return self.record.load(stored) if student is None else student.parameters.to(torch.float64)

    def _running(self, stored: Stored) -> Tensor | None:
        student = self.students.get(stored)
        return self.record.running(stored) if student is None else student.running

    @property
    def names(self) -> list[str]:
        """The model of each row in words: what was kept, and with which weight."""
        return [" ".join(f"{weight:+.6g} {_named(stored)}" for stored, weight in model) for model in self.models]

    def victims(self) -> Sequence[frozenset[int] | None]:
        """The nodes about whose candidates the model of each row is asked; None where about those of all nodes."""
        asked: list[set[int]] = [set() for _ in self.models]
        in_rounds = chain.from_iterable(rounds.values() for rounds in self.by_round.values())
        for position in (*self.positions, *in_rounds):
            for victim, _, observation in position.pairs:
                for row, _ in observation.terms:
                    asked[row].add(victim)
        return [None if len(victims) == self.record.nodes else frozenset(victims) for victims in asked]


def observe(record: Record, topology: Topology, names: Sequence[str] = ()) -> tuple[Observed, Sequence[Unseen]]:
    """Take the views called ``names``; by default all from which there is something to see.

    Returns:
        What the attackers need, and why other views are not among theirs.

    Raises:
        InputError: there is no such view.
        Unseen: there is nothing to see from a view that was asked for.
    """
    scene = AttackScene(record, topology)
    positions: list[Position] = []
    by_round: dict[str, dict[int, Position]] = {}
    unseen: list[Unseen] = []
    for name in _in_order(names):
        view = VIEWS.build(PartSettings(name=name))
        try:
            positions += [each for found in view.positions(scene) for each in found.told_apart(record.attackers)]
        except Unseen as reason:
            if names:
                raise
            unseen.append(reason)
        else:
            for round, found in _curve(scene, view):
                for position in found.told_apart(record.attackers):
                    by_round.setdefault(f"{name}{position.name.removeprefix(found.name)}", {})[round] = position
    return Observed(record, tuple(scene.rows), tuple(positions), by_round), unseen


def _in_order(names: Sequence[str]) -> list[str]:
    """Known names in the order of results, whatever the order that they were asked for in."""
    known = view_names()
    return [name for name in known if name in names or not names] + [name for name in names if name not in known]


def _curve(scene: AttackScene, view: View) -> Iterator[tuple[int, Position]]:
    """The position in each recorded round in which there was something to see."""
    for round in scene.record.rounds:
        with suppress(Unseen):
            if position := view.in_round(scene, round):
                yield round, position


def _named(stored: Stored) -> str:
    place = f" in round {stored.round}" if stored.round else ""
    return f"{stored.kind} of {stored.node}{'' if stored.receiver is None else f' to {stored.receiver}'}{place}"
