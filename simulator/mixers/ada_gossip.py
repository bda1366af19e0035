"""AdaGossip: CHOCO with a step for every parameter (Aketi, Hashemi and Roy 2024, arXiv:2404.05919)."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import Tensor, zeros_like

from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.mixers.choco import Choco
from simulator.mixers.compression.settings import CompressionSettings

TINY = 1e-8  # beside a root that may be 0


class AdaGossip(Choco):
    """Nodes send what CHOCO's do, and step less far where compressed models around them have lately differed more.

    Replicas r_i and their weighted sums s_i are those of `choco`. With y_i the parameters after local training, t the
    round, counted from 1, and all operations entry by entry, what follows is::

        d_i = s_i - r_i                                      (the gossip error)
        v_i <- beta v_i + (1 - beta) d_i^2
        x_i <- y_i + min(1, gamma / (sqrt(v_i / (1 - beta^t)) + 1e-8)) d_i

    v begins at 0. The correction of v and the bound of 1 are the released code's (AdaG-SGD). So gamma is, unlike
    choco's, about how far a parameter moves in a round, whatever its scale; where errors are below it, steps are whole,
    which a coarse code does not bear: see the stability of `choco`.

    Nodes take steps of different lengths, so the mean over the nodes is not kept, whatever W is. Messages, and what
    they reveal, are choco's.
    """

    class Config(Choco.Config):
        """The step size, the memory of errors, and the code (see `simulator.mixers.compression`)."""

        name: str = "ada_gossip"
        gamma: float = Field(0.001, gt=0)
        beta: float = Field(0.999, ge=0, lt=1)
        compression: CompressionSettings = CompressionSettings()

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._moment: Tensor | None = None

    @classmethod
    def keeps_sum(cls, config: Any, plan: Plan) -> bool:
        """No: the steps of two neighbours differ."""
        return False

    def _step(self, node: Node, error: Tensor) -> None:
        """Move along ``error`` by the root of its mean square, entry by entry."""
        beta = self.config.beta
        if self._moment is None:
            self._moment = zeros_like(error)
        self._moment.mul_(beta).addcmul_(error, error, value=1 - beta)
        root = self._moment.div(1 - beta**node.round).sqrt_().add_(TINY)
        node.parameters.addcmul_(error, root.reciprocal_().mul_(self.config.gamma).clamp_(max=1))

    def state_dict(self) -> dict[str, Tensor]:
        """Choco's, and the mean squares."""
        return super().state_dict() | ({} if self._moment is None else {"moment": self._moment})

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from saved replicas and mean squares."""
        super().load_state_dict(state)
        if "moment" in state:
            self._moment = state["moment"].clone()
