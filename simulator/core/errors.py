"""Errors a user can act on: each says where it is, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input: where it stands, what is wrong, what to do about it."""

    where: str
    what: str
    advice: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n    {self.advice}" if self.advice else text


class RumormillError(Exception):
    """Base of every error this project raises on purpose."""

    exit_code = 1


class InputError(RumormillError):
    """The experiment, its data or its run directory cannot be used as given; raised before any training."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def under(self, where: str) -> InputError:
        """The same problems, placed under the setting ``where``."""
        return type(self)(*(Problem(_join(where, p.where), p.what, p.advice) for p in self.problems))


class RunError(RumormillError):
    """A run that had started could not go on; what it wrote so far stays readable."""


class Interrupted(RumormillError):
    """Something long was stopped by Ctrl-C, and what it has done so far is kept."""

    exit_code = 130


def wrong(where: str, what: str, advice: str = "") -> InputError:
    """An `InputError` holding the one problem described."""
    return InputError(Problem(where, what, advice))


def diverged(node: int, round: int, what: str) -> RunError:
    """That training has diverged at ``node`` in ``round``; ``what`` says what it has, and begins with a noun."""
    return RunError(
        f"training diverged: in round {round} node {node} has {what} that are not finite.\n"
        "    Lower training.optimizer.lr, or lengthen training.schedule.warmup."
    )


def no_cuda(what: str) -> InputError:
    """That there is no GPU where one is asked for; ``what`` says where."""
    return wrong("training.device", what, "Set training.device: cpu, or auto to take a GPU where there is one.")


def did_you_mean(name: str, known: Sequence[str], noun: str) -> str:
    """Advice for an unknown name: the nearest known one, and all known ones."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"Did you mean '{close[0]}'? " if close else ""
    return f"{guess}Known {noun}: {', '.join(sorted(known)) or 'none'}."


def _join(outer: str, inner: str) -> str:
    if not inner:
        return outer
    return f"{outer}{inner}" if inner.startswith("[") else f"{outer}.{inner}"
