"""What robust rules share: plain messages, a look at each before any rule, and what weight a rule gave to whom."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, sqrt
from typing import Any, NamedTuple

from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.mixer import Mixer
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.traits import MixerTraits
from simulator.mixers.robust.distances import squares
from simulator.mixers.weighted_sum import check_terms, needs_rows, summed


class Mixed(NamedTuple):
    """What a rule makes of the models of a round.

    Attributes:
        model: float [parameters].
        influence: weights, by node, that it gave to them (see `Mixer.influence`).
    """

    model: Tensor
    influence: Mapping[int, float]


class RobustMixer(Mixer):
    """Base of rules that look at all models of a round before they say what each is worth.

    Nodes train, then send their models, then mix. What is not finite, has another shape, or is so far away that the
    square of its distance is not finite in double precision, is rejected before any rule sees it, as if it had been
    lost: its weight goes to the node's own model. It is counted in the metric ``<name>/rejected``.

    No rule promises to keep the sum over the nodes, whatever it does to honest models: what attackers send is not what
    they hold.
    """

    def __init__(self, config: PartSettings) -> None:
        super().__init__(config)
        self._sent: Tensor | None = None
        self._influence: Mapping[int, float] | None = None

    @classmethod
    def traits(cls, config: Any) -> MixerTraits:
        """Models are sent whole, as they were trained. Mixing is not linear, so that no memory is declared."""
        return MixerTraits(sends_models=True, shows_trained=True, weighs_models=True, beside_models=None)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The rows of W must sum to 1, and all neighbours exchange models."""
        yield from needs_rows(plan)
        if plan.apart:
            what = "weighs neighbours by their models, and some exchange none."
            yield Problem("", what, "Leave out what keeps them apart, or set mixer: gossip.")

    def after_local_training(self, node: Node) -> None:
        """Freeze what is sent."""
        self._sent = node.parameters.clone()

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The same parameters to every neighbour: one copy, shared."""
        assert self._sent is not None  # set earlier in the round
        return {"parameters": self._sent}

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Apply the rule to the node's own model and all that could be one."""
        assert self._sent is not None  # set earlier in the round
        heard = {message.sender: message.parts["parameters"] for message in inbox}
        check_terms(node, [*heard, node.id])
        away = {j: sqrt(square) for j, square in _measured(heard, self._sent).items()}
        rejected = heard.keys() - away.keys()
        if rejected:
            node.log(f"{self.config.name}/rejected", len(rejected))
        models = {j: heard[j] for j in away} | {node.id: self._sent}
        mixed = self.combined(node, node.without(node.weights, rejected), models, away)
        node.parameters.copy_(mixed.model)
        self._influence = {**dict.fromkeys(sorted(rejected), 0.0), **mixed.influence}

    @abstractmethod
    def combined(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mixed:
        """What the rule makes of ``models``, by node, the node's own among them; all are finite.

        Args:
            node: who mixes.
            row: its row of W, over the nodes that have sent ``models``.
            models: float [parameters] each, not to be written to.
            away: distances of all other models from the node's own.
        """

    def influence(self, node: Node) -> Mapping[int, float] | None:
        """What the rule gave in the last round; None before the first one, and after a restart before the next."""
        return self._influence


class ReweighingMixer(RobustMixer):
    """Base of rules that are a sum over the models by weights of their own; it runs in order of node id."""

    def combined(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mixed:
        """The sum by `reweighed`."""
        weights = self.reweighed(node, row, models, away)
        return Mixed(summed(weights, models), weights)

    @abstractmethod
    def reweighed(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mapping[int, float]:
        """Weights of all ``models``, by node, which sum to 1; arguments are those of `combined`."""


def _measured(heard: Mapping[int, Tensor], own: Tensor) -> dict[int, float]:
    """Squared distances of all that can be models from the node's ``own``."""
    found = squares({j: heard[j] for j in sorted(heard) if heard[j].shape == own.shape}, own)
    return {j: square for j, square in found.items() if isfinite(square)}
