"""Weights from a file on this machine, for all of a network but its head."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from simulator.core.errors import wrong
from simulator.core.paths import place

SHOWN = 5  # names in an error
_COUNTER = "num_batches_tracked"  # of batch normalisation; files older than it lack it


def load_weights(network: nn.Module, path: Path, head: Collection[str], ignored: tuple[str, ...] = ()) -> str:
    """Load a state dict into ``network``: all of it, but for a head of another size, which stays as it is.

    Args:
        network: to load into.
        path: a ``.safetensors`` file, or one that ``torch.save(network.state_dict(), path)`` has written: absolute,
            relative to the current folder, or in a package (``package:NAME/FILE``).
        head: the names of the head's parameters.
        ignored: beginnings of names in the file that the network does without.

    Returns:
        What was loaded, and what left out, in words.

    Raises:
        InputError: there is no such file, it holds something else, or it lacks or has what it should not.
    """
    state = {name: each for name, each in _read(path).items() if not name.startswith(("\0", *ignored))}
    wanted = network.state_dict()
    has_head = all(name in state and state[name].shape == wanted[name].shape for name in head)
    left_out = set() if has_head else set(head)
    found = {name: each for name, each in state.items() if name not in left_out}
    faults = _faults({name: each for name, each in wanted.items() if name not in left_out}, found)
    if faults:
        what = f"{path} does not fit the network: {'; '.join(faults)}."
        raise wrong("model.weights", what, "Choose weights of the same network.")
    network.load_state_dict(found, strict=False)  # all names were compared above
    rest = "the head, too" if has_head else f"all but the head ({', '.join(sorted(left_out))}), which is new"
    return f"weights are those of {path}: {rest}"


def _faults(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What keeps ``found`` from being the state ``wanted``, in words."""
    missing = [name for name in wanted if name not in found and not name.endswith(_COUNTER)]
    unexpected = [name for name in found if name not in wanted]
    differing = [
        f"{name} {list(found[name].shape)} in the place of {list(each.shape)}"
        for name, each in wanted.items()
        if name in found and found[name].shape != each.shape
    ]
    return [
        f"{what}: {', '.join(names[:SHOWN])}" + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", differing))
        if names
    ]


def _read(path: Path) -> dict[str, Tensor]:
    file = place(path, None, "model.weights", "the current folder")
    try:
        safe = file.suffix == ".safetensors"
        state = load_file(file) if safe else torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise wrong("model.weights", f"{file} cannot be read: {error}.", "Give a file of safetensors.") from error
    except Exception as error:  # of pickle, which has several
        what = f"{file} holds more than weights: {str(error).splitlines()[0]}"
        raise wrong("model.weights", what, "Save the weights alone: torch.save(network.state_dict(), path).") from error
    if not isinstance(state, dict) or not all(isinstance(each, Tensor) for each in state.values()):
        held = f"has {', '.join(map(str, list(state)[:SHOWN]))}" if isinstance(state, dict) else "is no dictionary"
        what = f"{file} {held}, and is no state dict."
        raise wrong("model.weights", what, "Save the weights alone: torch.save(network.state_dict(), path).")
    return state
