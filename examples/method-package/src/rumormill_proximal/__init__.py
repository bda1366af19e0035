"""The proximal term of FedProx (Li et al. 2020, arXiv:1812.06127), in decentralized learning."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.traits import Traits


class Proximal(Method):
    """Pulls local training back to where the round began."""

    class Config(PartSettings):
        """How strongly.

        Attributes:
            mu: weight of the proximal term; 0 is plain gossip.
        """

        name: str = "proximal"
        mu: float = Field(0.1, ge=0)

    config: Config
    neutral: ClassVar[Mapping[str, Any] | None] = {"mu": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """It changes gradients in place, of one node or of many stacked."""
        return Traits(stackable=True, beside_gradients=None)

    def before_round(self, node: Node) -> None:
        """Remember where the round began."""
        self.start = node.parameters.clone()

    def before_step(self, node: Node, batch: Any) -> None:
        """Add the gradient of mu / 2 times the squared distance."""
        node.gradient.add_(node.parameters - self.start, alpha=self.config.mu)

    def after_mixing(self, node: Node) -> None:
        """Log how far the round has moved the node."""
        node.log("proximal/movement", float((node.parameters - self.start).norm()))
