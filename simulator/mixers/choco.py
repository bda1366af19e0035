"""CHOCO-SGD: gossip with compressed messages (Koloskova et al. 2019, arXiv:1902.00340 and arXiv:1907.09356)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field
from torch import Tensor, zeros_like

from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.traits import MixerTraits
from simulator.mixers.compression.settings import CompressionSettings, compressor
from simulator.mixers.weighted_sum import SumOfRow, weighted_sum


class Choco(SumOfRow):
    """Nodes send what their neighbours do not know of them yet, compressed, and step towards the average of replicas.

    Every node i has a replica r_i, which it and its neighbours keep up to date from the same messages; s_i is the
    weighted sum of the replicas around it. Both begin at 0. With y_i the parameters after local training, C the code
    and gamma the step size::

        q_i = C(y_i - r_i)                                   (sent)
        r_i <- r_i + q_i;  s_i <- s_i + sum_j w_ij q_j
        x_i <- y_i + gamma (s_i - r_i)

    What a code leaves out stays in y_i - r_i and is sent later. Where the columns of W sum to 1 as its rows must, the
    mean over the nodes is kept whatever C loses: sum_i s_i = sum_i r_i. Where they do not, it is not kept by any C.
    With ``none`` this is gossip at rate gamma, adapt then combine, from the first round on.

    The coarser the code, the smaller gamma must be. On a ring of 16 nodes, with the largest tenth sent, they diverge at
    gamma 1 and agree at 0.3; with a random tenth, or qsgd of few bits on a large model, they diverge at 0.3 as well.
    The sums s_i hold for one mixing matrix, so W may not change between rounds.
    """

    class Config(PartSettings):
        """The step size towards the average, and the code (see `simulator.mixers.compression`)."""

        name: str = "choco"
        gamma: float = Field(0.1, gt=0, le=1)
        compression: CompressionSettings = CompressionSettings()

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._code = compressor(config.compression)
        self._update: Mapping[str, Tensor] = {}
        self._replica: Tensor | None = None
        self._around: Tensor | None = None

    @classmethod
    def traits(cls, config: Any) -> MixerTraits:
        """Only what the models differ by from their replicas is sent."""
        return MixerTraits(beside_models=None)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The rows of W must sum to 1, and W must stay the same."""
        yield from super().check(config, plan)
        if plan.varies:
            yield Problem(
                "",
                "keeps sums that hold for one mixing matrix, and the links change from round to round.",
                "Leave out topology.schedule and topology.failures, or set mixer: gossip.",
            )

    def after_local_training(self, node: Node) -> None:
        """Compress what the replica lacks."""
        if self._replica is None:
            self._replica, self._around = zeros_like(node.parameters), zeros_like(node.parameters)
        self._update = self._code.compress(node.parameters - self._replica, node.rng("choco.compression"))

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The same update to every neighbour."""
        return self._update

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """Those of the code."""
        return self._code.parts(node.parameters)

    def objection(self, node: Node, message: Message) -> str | None:
        """The code knows."""
        return self._code.objection(message.parts)

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Bring the replica and the sum up to date, then step towards the average."""
        assert self._replica is not None  # set earlier in the round
        assert self._around is not None
        parts = {message.sender: message.parts for message in inbox} | {node.id: self._update}
        updates = {j: self._code.restore(parts[j], node.parameters) for j in parts}
        self._replica.add_(updates[node.id])
        self._around.add_(weighted_sum(node, updates))
        self._step(node, self._around - self._replica)

    def _step(self, node: Node, error: Tensor) -> None:
        """Move along ``error``, float [parameters]: what the replicas around have more than the node's own."""
        node.parameters.add_(error, alpha=self.config.gamma)

    def shown(self, node: Node, message: Message) -> Tensor:
        """The replica that the message brings up to date: the message itself is a difference, and no model."""
        assert self._replica is not None  # set earlier in the round
        return self._replica + self._code.restore(message.parts, node.parameters)

    def state_dict(self) -> dict[str, Tensor]:
        """The replica and the sum of those around."""
        if self._replica is None or self._around is None:
            return {}
        return {"replica": self._replica, "around": self._around}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from saved replicas."""
        if state:
            self._replica, self._around = state["replica"].clone(), state["around"].clone()
