"""States within states: the tensors of several parts in one mapping, each part's under its own prefix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from torch import Tensor


class Stateful(Protocol):
    """Anything that keeps a state as named tensors."""

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive, as named tensors."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> Any:
        """Restore the state that `state_dict` gave."""
        ...


def nested(parts: Iterable[tuple[str, Stateful]]) -> dict[str, Tensor]:
    """The states of ``parts``, by prefix and part, in one mapping."""
    return {f"{prefix}{name}": tensor for prefix, part in parts for name, tensor in part.state_dict().items()}


def load_nested(parts: Iterable[tuple[str, Stateful]], state: Mapping[str, Tensor]) -> None:
    """Restore in each of ``parts`` what `nested` took from it; other entries of ``state`` are let be."""
    for prefix, part in parts:
        own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        part.load_state_dict(own)
