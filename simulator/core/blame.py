"""What is wrong in a stranger's part: told by the part's name and the hook, with the lines of its own code."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from simulator.core.errors import RumormillError, RunError
from simulator.hidden import PACKAGES

LIBRARIES = ("torch", "torchvision")  # whose modules are a network's layers, and not the network


@contextmanager
def blaming_parts() -> Iterator[None]:
    """Raise what a stranger's part raises as a `RunError` that names it.

    Errors of this project that a part raises on purpose pass as they are, and so does what is nobody's fault but ours.
    """
    try:
        yield
    except RumormillError:
        raise
    except Exception as error:
        blamed = blame(error)
        if blamed is None:
            raise
        raise blamed from error


def blame(error: Exception) -> RunError | None:
    """What to tell of ``error`` if it comes out of a stranger's part; None if it does not.

    The part is that of the innermost hook on the way: a backend that carries a method which raises is not to blame.
    """
    from simulator.core.user_code.modules import shown

    steps = list(traceback.walk_tb(error.__traceback__))
    hooks = [depth for depth, (frame, _) in enumerate(steps) if _is_hook(frame)]
    if not hooks or _module(_kind(_owner(steps[hooks[-1]][0]))) in PACKAGES:
        return None
    frame = steps[hooks[-1]][0]
    told = "".join(traceback.format_exception_only(error)).strip()
    own = (step for step in steps[hooks[-1] :] if not _in_library(step[0]))
    code = shown(traceback.StackSummary.extract(own))
    what = f"{_described(_owner(frame))} failed in {frame.f_code.co_name}{_whereabouts(frame)}"
    return RunError(f"{what}: {told}\n  {code}")


def _in_library(frame: FrameType) -> bool:
    """Whether it runs what a network's layers do inside, which says nothing of the stranger's code."""
    return str(frame.f_globals.get("__name__")).partition(".")[0] in LIBRARIES


def _owner(frame: FrameType) -> Any:
    """Whose function ``frame`` runs: an object or, of a class method, a class; None if it is nobody's."""
    return frame.f_locals.get("self", frame.f_locals.get("cls"))


def _kind(owner: Any) -> type[Any]:
    return owner if isinstance(owner, type) else type(owner)


def _module(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _is_hook(frame: FrameType) -> bool:
    """Whether it runs what the project calls: a network's forward pass, or what some kind of part declares."""
    from torch import nn  # here, for the command line takes no part in its seconds until there is something to blame

    from simulator.core.registry import Part

    kind, name = _kind(_owner(frame)), frame.f_code.co_name
    if issubclass(kind, nn.Module):
        return name == "forward" and _module(kind) not in LIBRARIES
    return issubclass(kind, Part) and any(name in vars(base) for base in kind.__mro__ if _module(base) in PACKAGES)


def _described(owner: Any) -> str:
    from torch import nn

    from simulator.core.registry import Part

    kind = _kind(owner)
    if issubclass(kind, nn.Module):
        return f"the network {_place(kind)}"
    base = [base for base in kind.__mro__ if issubclass(base, Part) and base is not Part and _module(base) in PACKAGES][
        -1
    ]
    name = getattr(getattr(owner, "config", None), "name", None) or kind.Config.model_fields["name"].default
    return f"{base.__name__.lower()} {name} ({_place(kind)})"


def _place(kind: type) -> str:
    """Where it is written, in the words of an experiment: ``file.py:Class`` or ``package.module:Class``."""
    from simulator.core.user_code.modules import file_of

    file = file_of(kind.__module__)
    return f"{file.name if file else kind.__module__}:{kind.__qualname__}"


def _whereabouts(frame: FrameType) -> str:
    """At which node, in which round, counted from 1, where the hook was given a node."""
    node = frame.f_locals.get("node")
    number, round = getattr(node, "id", None), getattr(node, "round", None)
    return "" if number is None or round is None else f", at node {number} in round {max(round, 1)}"
