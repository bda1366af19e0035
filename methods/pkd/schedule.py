"""When the internal classifiers learn, and from whom."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import ClassVar

from pydantic import Field, PositiveInt

from simulator.core.acting import GIVEN, Acts, If
from simulator.core.errors import Problem
from simulator.core.method import METHODS
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.training.hooks import overrides


class PKDSettings(PartSettings):
    """When distillation begins, who teaches in which order, and how softly.

    Attributes:
        first_round: the first round of distillation, counted from 1; before it, backbones are trained. None: never,
            and backbones are trained by the network's own prediction, as without the method.
        teachers: modalities whose final classifiers teach, in this order; ``own`` is each stream's own. None of them:
            the internal classifiers learn from the labels.
        share: of the rounds of distillation, that each teacher but the last one gets; CoViAR's 50 epochs of 300.
        temperature: that teacher's and student's logits are divided by.
    """

    acts: ClassVar[Acts] = {"share": If(teachers=GIVEN), "temperature": If(teachers=GIVEN)}  # labels need neither

    name: str = "pkd"
    first_round: PositiveInt | None = None
    teachers: tuple[str, ...] = ("mv", "residual", "iframe")
    share: float = Field(1 / 6, gt=0, le=1)
    temperature: float = Field(1.0, gt=0)


OWN = "own"


def teacher(settings: PKDSettings, round: int, rounds: int) -> str | None:
    """Who teaches in ``round`` of ``rounds``, a round of distillation; None where labels do."""
    assert settings.first_round is not None
    if not settings.teachers:
        return None
    period = ceil(settings.share * (rounds - settings.first_round + 1))
    turn = (round - settings.first_round) // period
    return settings.teachers[min(turn, len(settings.teachers) - 1)]


def coming_teacher(settings: PKDSettings, round: int, rounds: int) -> str | None:
    """Whose turn begins in the round after ``round``; None where none does."""
    after, start = round + 1, settings.first_round
    if start is None or not start <= after <= rounds:
        return None
    coming = teacher(settings, after, rounds)
    return coming if after == start or coming != teacher(settings, round, rounds) else None


def problems(settings: PKDSettings, plan: Plan) -> Iterator[Problem]:
    """Distillation must begin within the run, every teacher have a turn, and what rests not be moved by others."""
    if settings.first_round is None:
        return
    names = [other.name for other in plan.methods]
    for name in names[names.index(settings.name) + 1 :] if settings.name in names else ():
        if overrides(METHODS.load(name), "before_step"):
            what = f"{name} after it changes the gradient, and would move what is to rest."
            yield Problem("", what, f"Name {settings.name} last.")
    if settings.first_round > plan.rounds:
        what = f"distillation begins in round {settings.first_round}, and the last one is {plan.rounds}."
        yield Problem("first_round", what, "Let it begin earlier, or the run be longer.")
        return
    turns = [teacher(settings, round, plan.rounds) for round in range(settings.first_round, plan.rounds + 1)]
    for name in settings.teachers:
        if name not in turns:
            what = f"{name} never teaches: the rounds of distillation are over before its turn."
            yield Problem("teachers", what, "Name each teacher once, lower share, or let distillation begin earlier.")
