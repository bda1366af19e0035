"""Whether a stranger's part takes what its hooks are called with; told when it is loaded, not rounds later."""

from __future__ import annotations

from inspect import Parameter, signature
from weakref import WeakSet

from simulator.core.errors import wrong

_PASSED: WeakSet[type] = WeakSet()  # classes are loaded many times in a run


def check_signatures(part: type, root: type) -> None:
    """Compare what ``part`` overrides with what it overrides, once for a class that passes.

    Args:
        part: the class of a part.
        root: the base of all parts, whose own functions are nobody's hooks.

    Raises:
        InputError: naming the first function that cannot be called as it will be.
    """
    if part in _PASSED:
        return
    kinds = [base for base in part.__mro__[1:] if base not in (root, object)]
    for name in vars(part):
        declared = next((vars(base)[name] for base in kinds if name in vars(base)), None)
        if declared is not None and not name.startswith("_") and callable(getattr(part, name)):
            _check_call(part, name, next(getattr(base, name) for base in kinds if name in vars(base)))
    _PASSED.add(part)


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
