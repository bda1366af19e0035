"""Parameters that a network computes with, and that PyTorch does not know to be its own: they are never trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType

from torch import Tensor, nn

from simulator.core.buffers.carried import attributes

REGISTERED = {dict: "an nn.ModuleDict", list: "an nn.ModuleList", tuple: "an nn.ModuleList", Tensor: "an nn.Parameter"}


def unregistered(network: nn.Module, outputs: Tensor) -> Iterator[str]:
    """What the user should know of them, by what holds them.

    Args:
        network: whose parameters are looked for.
        outputs: of it, with autograd's graph: whatever hides the parameters, they are leaves of that.
    """
    known = {id(parameter) for parameter in network.parameters()}
    hidden = {id(leaf): leaf for leaf in _leaves(outputs) if id(leaf) not in known}
    for path, value in attributes(network) if hidden else ():
        held = [hidden.pop(id(each)) for each in _tensors(value, set()) if id(each) in hidden]
        if held:
            asked = next((name for kind, name in REGISTERED.items() if isinstance(value, kind)), "an nn.Module")
            what = f"{_numbers(held)} in {path} are neither trained nor sent"
            yield f"{what}, since a plain {type(value).__name__} holds them: make it {asked}"
    if hidden:
        what = f"{_numbers(hidden.values())} have a part in the outputs, and are neither trained nor sent"
        yield f"{what}, since PyTorch does not find them in the network: make their layers attributes of it"


def _leaves(outputs: Tensor) -> Iterator[Tensor]:
    """What the outputs depend on, as far as it requires gradients."""
    if outputs.grad_fn is None:
        yield outputs
    seen, waiting = set(), [outputs.grad_fn]
    while waiting:
        function = waiting.pop()
        if function is not None and function not in seen:
            seen.add(function)
            waiting += [before for before, _ in function.next_functions]
            if isinstance(leaf := getattr(function, "variable", None), Tensor):  # of autograd's AccumulateGrad
                yield leaf


def _tensors(value: object, seen: set[int]) -> Iterator[Tensor]:
    """All that are in a value, however deep, but not in what a function remembers."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inner: Iterable[object] = ()
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        inner = value.parameters()
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple | set):
        inner = value
    elif not isinstance(value, type | ModuleType):
        inner = getattr(value, "__dict__", {}).values()
    for each in inner:
        yield from _tensors(each, seen)


def _numbers(tensors: Iterable[Tensor]) -> str:
    return f"{sum(each.numel() for each in tensors):,} parameters"
