"""A node of a run, as what takes it through its rounds sees it; and one that this process carries itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch import Tensor

from simulator.core.backend import Order, Reply
from simulator.core.declaration import Declared
from simulator.core.message import Message
from simulator.deployment.site.asked import Asked

if TYPE_CHECKING:
    from simulator.backends.worker import Worker
    from simulator.core.node_program import NodeProgram
    from simulator.core.secrets import Secrets
    from simulator.data.sites.sums import Sums
    from simulator.runs.build import Simulation


class Counts(NamedTuple):
    """How many samples a node trains on, is tested on, and is tested on that are its own."""

    train: int
    test: int
    own_test: int


class CarriedNode(Protocol):
    """A node, wherever its program runs."""

    @property
    def asked(self) -> Asked:
        """What the experiment asks of it."""
        ...

    @property
    def counts(self) -> Counts:
        """How many samples it has, by use."""
        ...

    @property
    def shared(self) -> str:
        """Identifies the samples that all nodes must have alike; see `NetworkData.shared`."""
        ...

    @property
    def content(self) -> str | None:
        """What tells a site's own data from any other; None where all hosts have all data."""
        ...

    @property
    def tolerant(self) -> bool:
        """Whether the experiment's parts bear it that messages are lost."""
        ...

    @property
    def sums(self) -> Sums | None:
        """float64 [3, Q]: what there is to tell of its samples before round 1; None: nothing."""
        ...

    @property
    def exchanges(self) -> int:
        """How many exchanges a round has."""
        ...

    @property
    def parameters(self) -> Tensor:
        """The parameters of its model as one vector, float [P]."""
        ...

    def declared(self, sender: int, receiver: int, round: int, exchange: int) -> Mapping[str, Declared]:
        """See `NodeProgram.declared`."""
        ...

    def objection(self, message: Message) -> str | None:
        """See `NodeProgram.objection`."""
        ...

    def shown(self, message: Message) -> Tensor | None:
        """The model that a message of the node's own shows; see `simulator.core.mixer.Mixer.shown`."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state that a snapshot gave."""

    def superstep(self, order: Order, arrived: Iterable[Message] = ()) -> tuple[Reply, list[Message]]:
        """Carry out ``order``, and give what the node has to report and to send."""
        ...


@dataclass(frozen=True)
class CarriedHere:
    """A node that this process carries itself.

    Attributes:
        id: which one.
        simulation: it is a node of.
        worker: holds it, and no other.
        neighbours: who receives what it sends.
    """

    id: int
    simulation: Simulation
    worker: Worker
    neighbours: tuple[int, ...]

    @classmethod
    def of(cls, simulation: Simulation, id: int, neighbours: Iterable[int], secrets: Secrets | None) -> CarriedHere:
        """The node ``id`` at its beginning, and no other; its noise is drawn from ``secrets``.

        Raises:
            InputError: it cannot be made.
        """
        import torch

        from simulator.backends.worker import Worker

        torch.set_num_threads(1)  # as in every other backend, so that sums run in the same order
        blueprint = simulation.blueprint if secrets is None else simulation.blueprint.with_secrets(secrets)
        return cls(id, simulation, Worker(blueprint, [id], watches=False), tuple(neighbours))

    @cached_property
    def asked(self) -> Asked:
        """What the experiment asks of the node."""
        return Asked.of(self.program, self.simulation.experiment, self.neighbours)

    @property
    def counts(self) -> Counts:
        """How many samples it has, by use."""
        data = self.program.node.data
        return Counts(len(data.train), len(data.test), len(data.own_test) if data.own_test is not None else 0)

    @property
    def shared(self) -> str:
        """Identifies the samples that all nodes must have alike."""
        return self.simulation.data.shared

    @property
    def content(self) -> str | None:
        """What tells a site's own data from any other."""
        of_a_site = self.simulation.experiment.data.sites is not None
        return self.simulation.data.content.digest.tobytes().hex() if of_a_site else None

    @property
    def tolerant(self) -> bool:
        """Whether the experiment's parts bear it that messages are lost."""
        from simulator.deployment.tolerance import bears_losses

        return bears_losses(self.simulation.experiment)

    @property
    def sums(self) -> Sums | None:
        """What there is to tell of its samples before round 1."""
        return self.simulation.data.sums.get(self.id)

    @property
    def exchanges(self) -> int:
        """How many exchanges a round has."""
        return self.program.exchanges

    @property
    def parameters(self) -> Tensor:
        """The parameters of its model as one vector, float [P]."""
        return self.program.node.parameters

    def declared(self, sender: int, receiver: int, round: int, exchange: int) -> Mapping[str, Declared]:
        """What a message between this node and a neighbour holds."""
        return self.program.declared(sender, receiver, round, exchange)

    def objection(self, message: Message) -> str | None:
        """What mixer or methods have against a message that has arrived."""
        return self.program.objection(message)

    def shown(self, message: Message) -> Tensor | None:
        """The model that a message of the node's own shows."""
        return self.program.node.mixer.shown(self.program.node, message)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state that a snapshot gave."""
        self.worker.load({self.id: state})

    def superstep(self, order: Order, arrived: Iterable[Message] = ()) -> tuple[Reply, list[Message]]:
        """Carry out ``order``."""
        replies, sent = self.worker.superstep(order, arrived)
        return replies[self.id], sent

    @property
    def program(self) -> NodeProgram:
        """The node's program."""
        return self.worker.program(self.id)
