"""Networks that write to what they are given, such as those that begin with ``nn.ReLU(inplace=True)``.

Others need a batch as it was: a second look at the network, a method's second model, the next signal of an audit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from simulator.core.arrays import Arrays, leaves


def versions(inputs: Arrays) -> list[int]:
    """How often each array has been written to, even if its values stayed: autograd minds that, too."""
    return [array._version for array in leaves(inputs)]


def give_copies(network: nn.Module) -> None:
    """Give ``network`` copies of its inputs from now on, so that it writes to nobody else's."""
    network.register_forward_pre_hook(_copied, with_kwargs=True)


def _copied(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(map(_copy, args)), {name: _copy(each) for name, each in kwargs.items()}


def _copy(given: Any) -> Any:
    return torch.clone(given) if isinstance(given, Tensor) else given
