"""Random numbers that layers draw, such as the masks of dropout, from a generator of one's choice.

Layers draw from torch's global generator, which all threads share: what a node draws would depend on who else trains
at the time. These contexts act on their own thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from simulator.core.errors import RunError

LIKE: Mapping[str, Callable[..., Any]] = {
    "aten::rand_like": torch.Tensor.uniform_,
    "aten::randn_like": torch.Tensor.normal_,
}
DROPOUT = ("dropout_p", "dropout")  # what operations call the share that they drop, if that is all they draw for


class _Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's, which has no types
    """Base of modes that nobody compiles: torch would import its compiler for that, which takes seconds."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class DrawnFrom(_Watching):
    """Whatever draws random numbers within the block draws them from ``generator``.

    Raises:
        RunError: an operation has no form that takes a generator.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._generator = generator

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return self._drawn(func, args, kwargs) if _draws(func, args, kwargs) else func(*args, **kwargs)

    def _drawn(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        name, generator = func._schema.name, self._generator
        if any(argument.name == "generator" for argument in func._schema.arguments):
            return func(*args, **{**kwargs, "generator": generator})
        if name in LIKE:
            return LIKE[name](torch.empty_like(*args, **kwargs), generator=generator)
        if name == "aten::native_dropout":
            return _dropped(generator, *args, **kwargs)
        form = "generator" if func._overloadname == "default" else f"{func._overloadname}_generator"
        if form in func.overloadpacket.overloads():
            return getattr(func.overloadpacket, form)(*args, **{**kwargs, "generator": generator})
        raise RunError(
            f"the network draws random numbers by {name}, which takes no generator, so a run could not be repeated.\n"
            "    Draw them by torch.rand, torch.randn, bernoulli_ or nn.Dropout."
        )


class WatchedDraws(_Watching):
    """Notes whether anything draws random numbers within the block.

    Attributes:
        any: whether something has.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.any = False

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.any |= _draws(func, args, kwargs)
        return func(*args, **kwargs)


def _draws(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call draws random numbers; attention and recurrent layers do so for dropout alone."""
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return False
    for place, argument in enumerate(func._schema.arguments):
        if argument.name in DROPOUT:
            given = args[place] if place < len(args) else kwargs.get(argument.name, argument.default_value)
            return bool(given != 0)
    return True


def _dropped(generator: torch.Generator, x: torch.Tensor, p: float, train: bool | None) -> tuple[torch.Tensor, ...]:
    """Dropout as the fused kernel of a GPU does it: what is left, and the mask."""
    if train is False or p == 0:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    mask = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - p, generator=generator)
    return x * mask * (0.0 if p == 1 else 1 / (1 - p)), mask
