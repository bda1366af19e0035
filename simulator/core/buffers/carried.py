"""What a network keeps in plain attributes: nobody saves it, and a worker's nodes would hand it on to each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from simulator.core.arrays import Arrays, called, mapped
from simulator.core.copied_inputs import versions
from simulator.core.errors import InputError, wrong

TOLERANCE = 1e-5  # relative, in norm: threads may add up in another order


def attributes(network: nn.Module) -> Iterator[tuple[str, object]]:
    """What layers hold beside parameters, buffers and layers, by the path of each."""
    own = set(vars(nn.Module()))
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            if name not in own:
                yield f"{path}.{name}".lstrip("."), value


def held(network: nn.Module) -> Mapping[str, object]:
    """That, in a form that differs once it has been written to."""
    return {name: _written(value) for name, value in attributes(network)}


def changed(before: Mapping[str, object], network: nn.Module) -> list[str]:
    """The names of what has been written to, or added, since ``before`` was `held`."""
    now = held(network)
    return [name for name in now if name not in before or before[name] != now[name]]


@dataclass(frozen=True)
class Tried:
    """What a network turned out to do over several batches.

    Attributes:
        counted: its plain attributes that are other numbers after each batch, though no output has shown it yet.
        writes_to_inputs: whether it changes a batch that it is given.
    """

    counted: tuple[str, ...] = ()
    writes_to_inputs: bool = False


def tried(network: nn.Module, inputs: Arrays, outputs: Any) -> Tried:
    """Give the network one batch after the other, in training and in evaluation.

    Args:
        network: as it was made, in the modes in which it is trained; it is written to.
        inputs: of a few samples.
        outputs: of ``inputs``, by another copy of the network that had seen no other batch.

    Raises:
        InputError: what it makes of a batch depends on the batches that it has seen before.
    """
    before, buffers = held(network), {name: buffer.clone() for name, buffer in network.named_buffers()}
    other = mapped(inputs, lambda array: array[:1].expand_as(array))

    written = []

    def seen(arrays: Arrays) -> Any:
        with torch.no_grad():
            for name, buffer in network.named_buffers():
                buffer.copy_(buffers[name])
        given = mapped(arrays, torch.clone)
        at_first, found = versions(given), run(network, given)
        written.append(versions(given) != at_first)
        return found

    try:
        seen(other)
        again = seen(inputs)
        recurs = False
        if not _are_alike(outputs, again):
            seen(other)
            recurs = not _are_alike(again, seen(inputs))
        network.eval()
        first, _, last = seen(inputs), seen(other), seen(inputs)
    except Exception:  # which is told where the network is tried on whole batches
        return Tried()
    names = changed(before, network)
    # A copy may compute in another order, as that of a set of layers: then it differs once, and has written nothing.
    if recurs or (names and not _are_alike(outputs, again)):
        raise _dependent("training", names)
    if not _are_alike(first, last):
        raise _dependent("evaluation", names)
    numbers = (name for name, value in attributes(network) if name in names and isinstance(value, int | float))
    return Tried(tuple(numbers), any(written))


def run(network: nn.Module, inputs: Arrays) -> Any:
    """A forward pass, with the same random numbers each time."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        return called(network, inputs)


def _are_alike(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor):
        return True
    if one.shape != other.shape:
        return False
    one, other = one.nan_to_num(), other.nan_to_num()  # which are told elsewhere
    return torch.equal(one, other) or bool((one - other).norm() <= TOLERANCE * one.norm())


def _dependent(mode: str, names: Sequence[str]) -> InputError:
    by = f" by {', '.join(names[:3])}, which no node has for itself and nobody saves" if names else ""
    what = f"what the network makes of a batch in {mode} depends on those before it{by}"
    why = "" if names else ", or on a generator other than torch's"
    advice = "Keep it in a buffer (self.register_buffer), or begin anew in each forward; draw random numbers by torch."
    return wrong("model", f"{what}{why}.", advice)


def _written(value: object) -> object:
    """What differs once ``value`` has been written to."""
    if isinstance(value, Tensor):
        return id(value), value._version
    if isinstance(value, Mapping):
        return tuple((key, _written(each)) for key, each in value.items())
    if isinstance(value, list | tuple | deque):
        return tuple(map(_written, value))
    return value if isinstance(value, int | float | str | bool) else id(value)
