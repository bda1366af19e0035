"""From the words of an experiment to functions and their arguments, with errors that say what to write instead."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from types import GenericAlias
from typing import Any, TypeVar, get_type_hints

from topologies.errors import TopologyError, require

T = TypeVar("T")


def find(name: str, table: Mapping[str, T], field: str) -> T:
    """Entry of `table` called `name`.

    Args:
        name: what was asked for.
        table: what there is.
        field: the setting that holds the name; it is named in the error.

    Raises:
        TopologyError: there is no such entry; the advice says which name may be meant.
    """
    if name not in table:
        raise TopologyError(f"There is no {field} called {name!r}.", _did_you_mean(name, table), field)
    return table[name]


def checked_call(function: Callable[..., T], options: Mapping[str, Any], what: str = "graph") -> T:
    """Call `function` with keyword arguments, after a check of their names and types.

    Args:
        function: a fully annotated function; its name is named in the errors.
        options: keyword arguments; an int may stand for a float.
        what: what the function makes, for the errors.

    Raises:
        TopologyError: an option is unknown, missing or of the wrong type, or the function itself raises it.
    """
    parameters, hints = signature(function).parameters, get_type_hints(function)
    for name, value in options.items():
        if name not in parameters:
            advice = _did_you_mean(name, parameters)
            raise TopologyError(f"The {function.__name__} {what} has no option {name!r}.", advice, name)
        kind = int | float if hints[name] is float else _without_arguments(hints[name])
        wrong = f"{name} is {value!r}, which is not of type {getattr(kind, '__name__', kind)}."
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))  # to Python, True is an int
        require(fits, wrong, f"Correct {name}.", name)
    for name, parameter in parameters.items():
        missing = parameter.default is Parameter.empty and name not in options
        require(not missing, f"The {function.__name__} {what} needs {name}.", f"Set {name}.", name)
    return function(**options)


def _without_arguments(hint: Any) -> Any:
    """Sequence for Sequence[str], because isinstance looks no deeper."""
    return hint.__origin__ if isinstance(hint, GenericAlias) else hint


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Choose one of {', '.join(known)}."
