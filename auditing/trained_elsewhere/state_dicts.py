"""State dicts of models that were trained elsewhere: which files, in which order, and whether they fit the network."""

from __future__ import annotations

import glob
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from simulator.core.errors import InputError, Problem, wrong
from simulator.core.paths import located

State = Mapping[str, Tensor]
WRAPPED = ("module.", "_orig_mod.", "model.")  # in front of every name, as wrappers of networks leave it
SHOWN = 5  # names in an error


def files_of(patterns: Sequence[str | Path]) -> list[Path]:
    """The files that ``patterns`` name, in their order; of one pattern in the order of the numbers in their names.

    Raises:
        InputError: a pattern names none, or it is not certain what order is meant: m10 comes before m2 by letters.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = located(Path(pattern), where="--models")
        names = sorted(glob.glob(str(path))) if glob.has_magic(str(path)) else [str(path)]
        files = [Path(name) for name in names if Path(name).is_file()]
        if not files:
            raise wrong("--models", f"there is no file {pattern}.", "Correct the path, or quote the pattern: 'm*.pt'.")
        if sorted(names, key=_natural) != names:
            shown = ", ".join(file.name for file in files[:SHOWN])
            what = f"the order of the files is not certain: by letters it is {shown}, ..., and not by numbers."
            advice = "Row k of the mask is about file k: pad the numbers (m02), or name the files one by one."
            raise wrong("--models", what, advice)
        found += files
    return found


def read_state(file: Path) -> State:
    """The state dict in a file: .safetensors, or what `torch.save` wrote, of which nothing is executed.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise wrong(
            str(file), f"cannot be read: {_line(error)}.", "Save it anew, as .safetensors or with torch.save."
        ) from error
    except pickle.UnpicklingError as error:
        what = "holds Python objects beside tensors, which would have to be executed."
        raise wrong(str(file), what, "Save the state dict alone: torch.save(model.state_dict(), ...).") from error
    if isinstance(found, Mapping) and all(isinstance(each, Tensor) for each in found.values()) and found:
        return found
    inner = [key for key, value in found.items() if isinstance(value, Mapping)] if isinstance(found, Mapping) else []
    kind = (
        f"a dict of {', '.join(map(str, list(found)[:SHOWN]))}" if isinstance(found, Mapping) else type(found).__name__
    )
    advice = f"Save what is under '{inner[0]}' alone." if inner else "Save model.state_dict() alone."
    raise wrong(str(file), f"is no state dict, but {kind}.", advice)


def check_state(state: State, network: nn.Module, whose: str) -> None:
    """Refuse a state dict that is not one of ``network``.

    Raises:
        InputError: naming keys that are missing or unexpected, shapes that differ, and values that are not finite.
    """
    if problems := list(_problems(state, network.state_dict(), whose)):
        raise InputError(*problems)


def _problems(state: State, wanted: State, whose: str) -> Iterator[Problem]:
    missing, unexpected = ([key for key in a if key not in b] for a, b in ((wanted, state), (state, wanted)))
    prefix = next((each for each in WRAPPED if state and all(key.startswith(each) for key in state)), None)
    if unexpected and prefix and {key.removeprefix(prefix) for key in state} >= set(wanted):
        what = f"all names begin with '{prefix}', as a wrapper of the network leaves them."
        yield Problem(whose, what, f"Save the wrapped network's state dict, or cut '{prefix}' off the names.")
        return
    advice = "Give the class and the settings (--network-settings) that the model was trained with."
    for what, keys in (("lacks", missing), ("holds, and the network has not,", unexpected)):
        if keys:
            yield Problem(whose, f"{what} {_shown(keys)}.", advice)
    for key in [key for key in wanted if key in state and state[key].shape != wanted[key].shape]:
        what = f"{key} has shape {tuple(state[key].shape)}, and {tuple(wanted[key].shape)} in the network."
        yield Problem(whose, what, advice)
    for key, values in state.items():
        if values.is_floating_point() and not values.isfinite().all():
            yield Problem(whose, f"{key} holds values that are not finite.", "Leave this model out: it has diverged.")


def _shown(keys: Sequence[str]) -> str:
    return ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
