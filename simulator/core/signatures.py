"""Whether a stranger's hooks are called at all, and take what they are called with; told when a part is loaded."""

from __future__ import annotations

from difflib import get_close_matches
from inspect import Parameter, isroutine, signature
from weakref import WeakSet

from simulator.core.errors import wrong

NEAR = 0.8  # of 1: slips and other forms of a word are nearer than any function of the built-in parts to a hook
_PASSED: WeakSet[type] = WeakSet()  # classes are loaded many times in a run


def check_signatures(part: type, root: type) -> None:
    """Compare what ``part`` overrides with what it overrides, once for a class that passes.

    Args:
        part: the class of a part.
        root: the base of all parts, whose own functions are nobody's hooks.

    Raises:
        InputError: naming the first function that cannot be called as it will be, or never, for a slip in its name.
    """
    if part in _PASSED:
        return
    kinds = [base for base in part.__mro__[1:] if base not in (root, object)]
    for name in vars(part):
        declared = next((vars(base)[name] for base in kinds if name in vars(base)), None)
        if declared is not None and not name.startswith("_") and callable(getattr(part, name)):
            _check_call(part, name, next(getattr(base, name) for base in kinds if name in vars(base)))
        elif declared is None and not name.startswith("_") and isroutine(vars(part)[name]):
            _check_name(part, name, {hook for base in kinds for hook, each in vars(base).items() if isroutine(each)})
    _PASSED.add(part)


def _check_name(part: type, name: str, hooks: set[str]) -> None:
    """Refuse what reads like a hook that the part does not have: it would never be called."""
    if meant := get_close_matches(name, sorted(each for each in hooks - vars(part).keys() if each[0] != "_"), 1, NEAR):
        what = f"{part.__module__}:{part.__qualname__}.{name} is no hook, and is never called from outside."
        raise wrong("", what, f"Call it {meant[0]} if that is meant, or begin its name with _ if it is not.")


def _check_call(part: type, name: str, declared: object) -> None:
    if not callable(declared) or isinstance(declared, type):
        return
    given, takes = signature(declared).parameters.values(), signature(getattr(part, name))
    places = [p.name for p in given if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    try:
        takes.bind(*places, **{p.name: None for p in given if p.kind is Parameter.KEYWORD_ONLY})
    except TypeError:
        what = f"{part.__module__}:{part.__qualname__}.{name} takes {takes}, and is called with ({', '.join(places)})."
        raise wrong("", what, "Give it these parameters, in this order.") from None
