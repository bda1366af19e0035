"""How many runs of a sweep are carried out at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch

from simulator.config.experiment import Experiment
from simulator.core.backend import BACKENDS
from simulator.core.cores import cores
from simulator.core.errors import wrong
from simulator.core.user_code.objects import is_installed
from simulator.sweep.memory import most_that_fit

Jobs = int | Literal["auto"]


def read_jobs(text: str) -> Jobs:
    """What ``--jobs`` says.

    Raises:
        InputError: it is neither a number from 1 on nor "auto".
    """
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        what = f"'{text}' is no number of runs at once."
        raise wrong("--jobs", what, "Give a whole number from 1 on, or auto for as many as this machine has room for.")
    return int(text)


def check_jobs(jobs: Jobs, experiments: Iterable[Experiment]) -> None:
    """See that as many of these ``experiments`` at once as are asked for make sense.

    Raises:
        InputError: they do not.
    """
    if jobs == "auto" or jobs == 1:
        return
    if jobs < 1:
        read_jobs(str(jobs))
    for experiment in experiments:
        if reason := obstacle(experiment):
            raise wrong("--jobs", f"{jobs} runs at once cannot be had: {reason}", "Leave --jobs out.")


def obstacle(experiment: Experiment) -> str | None:
    """Why ``experiment`` cannot be one of several at once; None if it can."""
    backend = experiment.backend.name
    if not BACKENDS.load(backend).in_one_process:
        return (
            f"the backend {backend} spreads one run over all processors by itself, reserves none of them, and would "
            "put the workers of all runs on the same ones."
        )
    here = [part.__name__ for part in experiment.user_parts.classes.values() if not is_installed(part.__module__)]
    if here:
        return f"{here[0]} is a class that this process alone has; in a file, it can be named my_file.py:{here[0]}."
    return None


def number_at_once(jobs: Jobs, experiments: Sequence[Experiment], say: Callable[[str], None]) -> int:
    """How many of ``experiments``, those that are left, to carry out at once; ``say`` is told what limits "auto".

    Each run gets as many cores as the others, and at least one for each of its workers. A GPU is kept busy by one.
    """
    if jobs != "auto":
        return min(jobs, len(experiments))
    if reason := next(filter(None, map(obstacle, experiments)), None):
        say(f"one run at a time: {reason}")
        return 1
    if torch.cuda.is_available() and any(each.training.device != "cpu" for each in experiments):
        say("one run at a time: it keeps the GPU busy")
        return 1
    most = min(len(experiments), cores() // max(map(_workers, experiments), default=1))
    fitting = most_that_fit(most, experiments) if most > 1 else most
    if fitting < most:
        say(f"{fitting} of {most} runs at once: more do not fit into the memory that is free")
    return max(1, fitting)


def _workers(experiment: Experiment) -> int:
    """Cores that a run uses at least; where it may choose its number of workers, it makes do with one."""
    workers = getattr(experiment.backend, "workers", 1)
    return workers if isinstance(workers, int) else 1
