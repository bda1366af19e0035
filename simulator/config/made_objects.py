"""Objects that somebody has made where an experiment names a part, and what to write instead of them.

A run makes its parts itself: networks by its seed, alike at all nodes, and wherever a node is trained or goes on.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from simulator.core.errors import Problem
from simulator.core.plain_network import FROM_DATA

SAVED = (
    "numpy.savez('/path/mine.npz', x_train=..., y_train=...) keeps arrays, and "
    "data={'dataset': {'name': 'npz', 'path': '/path/mine.npz'}} reads them."
)
FILES = {  # by what an object in memory has to keep itself with: an advice
    "save_to_disk": (
        "save_to_disk('/path/mine') keeps it, and data={'dataset': {'name': 'huggingface', 'path': '/path/mine'}} "
        "reads it."
    ),
    "to_csv": (
        "to_csv('/path/mine.csv', index=False) keeps it, and "
        "data={'dataset': {'name': 'table', 'path': '/path/mine.csv', 'target': ...}} reads it."
    ),
}


def instead_of(given: Any, kind: str) -> Problem | None:
    """What to say of ``given`` where a part of ``kind``, as registries are called, is to be named; None: nothing."""
    if isinstance(given, dict):
        given = given.get("name")
    if kind == "models":
        return _of_network(given)
    return _of_data(given) if kind == "datasets" else None


def _of_network(given: Any) -> Problem | None:
    if inspect.isfunction(given):
        what = "is a function, and networks are told apart and kept by the text of their classes."
        return Problem("", what, f"{_a_class('Module')} and in it what the function does; then model=Net.")
    if not isinstance(given, nn.Module):
        return None
    what = f"is a {_name(given)} that has been made, and every run initialises a network of its own."
    if _is_of_torch(given):
        return Problem("", what, f"{_a_class(_name(given))} and super().__init__(...) in its __init__; then model=Net.")
    asked = [name for name in _parameters(given) if name not in FROM_DATA]
    settings = "".join(f", '{name}': ..." for name in asked)
    block = f"{{'name': {_name(given)}{settings}}}" if asked else _name(given)
    return Problem("", what, f"Write model={block}.")


def _of_data(given: Any) -> Problem | None:
    if isinstance(given, DataLoader):
        what = "is a DataLoader, and every node draws batches of its own."
        inner = _of_data(given.dataset)
        return Problem("", what, f"Give what is in it. {inner.advice if inner else SAVED}")
    if isinstance(given, Dataset):
        what = f"is a {_name(given)} that has been made, and a run reads its data anew wherever it goes on."
        if _is_of_torch(given):
            return Problem("", what, SAVED)
        arguments = ", ".join(f"'{name}': ..." for name in _parameters(given))
        block = f"{{'name': {_name(given)}, 'arguments': {{{arguments}}}}}" if arguments else _name(given)
        return Problem("", what, f"Write data={{'dataset': {block}}}; or: {SAVED}")
    what = f"is a {_name(given)} in memory, and a run reads its data from files, wherever it goes on."
    if _is_array(given) or (isinstance(given, list | tuple) and any(map(_is_array, given))):
        return Problem("", what, SAVED)
    return next((Problem("", what, advice) for method, advice in FILES.items() if hasattr(given, method)), None)


def _is_array(given: Any) -> bool:
    return isinstance(given, np.ndarray | torch.Tensor)


def _name(given: Any) -> str:
    return type(given).__name__


def _is_of_torch(given: Any) -> bool:
    return type(given).__module__.partition(".")[0] in ("torch", "torchvision")


def _parameters(given: Any) -> list[str]:
    """Those of its constructor that can be given by name."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, each in inspect.signature(type(given)).parameters.items() if each.kind in named]


def _a_class(base: str) -> str:
    return f"Write class Net(torch.nn.{base}):"
