"""Which signals and attacks suit samples and their task: others are refused, or left out where nobody named them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from simulator.core.errors import Problem
from simulator.core.registry import Registry


def unfit(option: str, registry: Registry[Any], names: Iterable[str], offers: frozenset[str]) -> dict[str, Problem]:
    """Those of the parts ``names`` that need what samples and task do not offer: why, and what would do instead.

    Args:
        option: where they are asked for, such as ``--signal``.
        registry: has them; each says what it ``needs``.
        names: of parts.
        offers: of samples and task, by names in `simulator.core.traits.NEEDS`.
    """
    able = ", ".join(name for name in registry.names() if registry.load(name).needs <= offers)
    found = {}
    for name in names:
        if lacks := sorted(registry.load(name).needs - offers):
            needed = " and ".join(need.replace("_", " ") for need in lacks)
            what = f"{name} needs {needed}, which these samples and their task do not offer."
            found[name] = Problem(option, what, f"Ask for what suits them: {able}.")
    return found


def told(left_out: Sequence[Problem]) -> list[str]:
    """What to tell of parts that nobody named and that were left out, a sentence each; then which signals would do."""
    advice = dict.fromkeys(each.advice for each in left_out if each.where == "--signal")
    return [*(f"left out: {each.what}" for each in left_out), *(f"--signal: {each}" for each in advice)]
