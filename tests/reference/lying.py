"""One attacker at one receiver, without a network: what it sends, and where gossip goes with it."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulator.core.adversary import ADVERSARIES, Seen
from simulator.core.attackers import Attackers
from simulator.core.seeding import generator

Models = Mapping[int, Sequence[float]]


class Lying:
    """Node 0 with a row of W, and an attacker that knows these models.

    Args:
        row: node 0's; every other receiver has the same.
        models: of honest nodes, as far as they are known.
        own: the attacker's model.
        attacker: its id.
    """

    def __init__(self, row: Mapping[int, float], models: Models, own: Sequence[float], attacker: int) -> None:
        self._row, self._attacker = row, attacker
        self._models = {j: torch.tensor(np.asarray(model, dtype=float)) for j, model in models.items()}
        self._own = torch.tensor(np.asarray(own, dtype=float))

    def craft(
        self,
        name: str,
        to: int = 0,
        starts: Models | None = None,
        fiedler: Mapping[int, float] | None = None,
        **settings: Any,
    ) -> Tensor | None:
        """What the adversary ``name`` sends."""
        attackers = Attackers(frozenset({self._attacker}), fiedler=fiedler or {})
        node: Any = SimpleNamespace(
            id=self._attacker,
            number=self._attacker,
            attackers=attackers,
            rows=dict.fromkeys(range(len(self._row)), self._row),
            rng=lambda purpose: generator(0, purpose),
        )
        began = {j: torch.tensor(model) for j, model in (starts or {}).items()}
        adversary, seen = ADVERSARIES.load(name)(**settings), Seen(self._models, began)
        adversary.watch(node, seen)
        return adversary.craft(node, to, self._own, seen)

    def step_of_honest_neighbours(self) -> np.ndarray:
        """By how much they move node 0."""
        x = self._models
        return sum(self._row[j] * (x[j] - x[0]) for j in x if j).numpy()

    def gossip_step(self, name: str, **settings: Any) -> np.ndarray:
        """By how much node 0 moves under gossip, with what the attacker sends."""
        lie = self.craft(name, **settings)
        return self.step_of_honest_neighbours() + self._row[self._attacker] * (lie - self._models[0]).numpy()
