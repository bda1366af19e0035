"""Where nodes run. A backend has one duty: to carry its nodes through supersteps, and their messages to each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

from torch import Tensor

from simulator.core.errors import InputError, wrong
from simulator.core.flat_module import FlatModule
from simulator.core.message import Envelope
from simulator.core.node import Node
from simulator.core.place import Place
from simulator.core.recording import Recording
from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.report import Artifact, Metric
from simulator.core.secrets import Secrets
from topologies import Topology


@dataclass(frozen=True)
class Order:
    """What the nodes do in a superstep, in this order.

    Attributes:
        absorb: mix the messages that have arrived, which ends a round.
        finalize: the run is over: let the methods finish.
        evaluate: measure the nodes.
        tested: of these, the ones that are measured on the test set as well; None: all.
        snapshot: copy the node's state.
        begin: begin the next round.
        hear: take in the messages of this exchange, after which the round goes on.
        train: take the local steps.
        send: send the messages of this exchange.
        lie: let omniscient attackers, who know now what the others send, send theirs.
        nodes: who takes part; None: everyone.
        places: where each node stands from now on, in a round that begins or in one exchange; None: where it stood.
        lost: by node, whose messages of this exchange will never come.
    """

    absorb: bool = False
    finalize: bool = False
    evaluate: bool = False
    tested: Collection[int] | None = None
    snapshot: bool = False
    begin: bool = False
    hear: int | None = None
    train: bool = False
    send: int | None = None
    lie: bool = False
    nodes: Collection[int] | None = None
    places: Mapping[int, Place] | None = None
    lost: Mapping[int, Collection[int]] | None = None


@dataclass(frozen=True)
class Evaluation:
    """One node, measured.

    Attributes:
        scores: on the test set, by name; see `simulator.core.task.Task.metrics`. Empty where it is not tested.
        training_loss: the mean since the last evaluation; None before the first step, and of variants.
        parameters: float [parameters], on the CPU.
        by_methods: what its methods measured, by name.
        variants: changed copies of the model, by the name of the method that made them.
        buffers: float [running], the model's running statistics, on the CPU; None where it has none.
        moved: float [parameters], by how much the last mixing moved an honest node among attackers, on the CPU.
    """

    scores: Mapping[str, float]
    training_loss: float | None
    parameters: Tensor
    by_methods: Mapping[str, float] = field(default_factory=dict)
    variants: Mapping[str, Evaluation] = field(default_factory=dict)
    buffers: Tensor | None = None
    moved: Tensor | None = None


@dataclass
class Reply:
    """What comes back from one node; what its messages hold goes to their receivers, and here only if recorded.

    Attributes:
        steps: local steps it took.
        stop: why it asks for the end of the run, if it does.
    """

    steps: int = 0
    sent: Sequence[Envelope] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    artifacts: list[tuple[str, Artifact]] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    evaluation: Evaluation | None = None
    state: dict[str, Tensor] | None = None
    stop: str | None = None


Replies = Mapping[int, Reply]


class Blueprint(Protocol):
    """Makes any of the run's nodes: the same ones wherever, whenever and in whatever company it is asked to."""

    @property
    def experiment(self) -> Any:
        """The experiment that the nodes are of, for backends that hand it on to others who make the nodes."""
        ...

    @property
    def seeds(self) -> Sequence[int]:
        """The seed of each network that is run: several, where they are run as one."""
        ...

    @property
    def shared_data(self) -> str:
        """Identifies, as a hexadecimal number, the samples that whoever makes nodes must have alike."""
        ...

    @property
    def topology(self) -> Topology:
        """All nodes, and all links that there can be."""
        ...

    @property
    def overhearing(self) -> Collection[int]:
        """The nodes that come to know what all others send, and of which messages may go to any of them."""
        ...

    def with_secrets(self, secrets: Secrets) -> Blueprint:
        """The blueprint of one node whose random numbers are keyed by ``secrets`` of its own."""
        ...

    def for_workers(self, ids: Collection[int] | None) -> Blueprint:
        """The blueprint for processes elsewhere that make the nodes ``ids`` only, with the samples of no others.

        None: for some on this machine that make all of them.
        """
        ...

    def nodes(self, ids: Sequence[int]) -> list[Node]:
        """The nodes ``ids``, at their beginning.

        Raises:
            InputError: a node cannot work with its data or its place.
        """
        ...

    def module(self) -> FlatModule:
        """A network for a worker's own use."""
        ...


class Workers(NamedTuple):
    """How many workers carry nodes at this moment, and how many there should be."""

    alive: int
    wanted: int


class WorkerLost(Exception):
    """A worker has died, and what its nodes had since the last checkpoint with it; `Backend.revive` helps."""


class Backend(Part, ABC):
    """Runs the node program of all nodes; what they send each other arrives before the receiver's next superstep.

    Attributes:
        window: supersteps that may be under way before the first of them is collected.
        autotuned: what was measured at the start to decide what the settings leave open, by what was decided.
        in_one_process: whether all nodes are in the memory of this process.
        simulates: whether nodes do as they are told; those of a deployment belong to others.
    """

    window: int = 1
    in_one_process: ClassVar[bool] = False
    simulates: ClassVar[bool] = True
    autotuned: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def has_gpus(cls, settings: PartSettings) -> bool:
        """Whether workers under these ``settings`` get GPUs wherever they run, whatever this machine has."""
        return False

    @abstractmethod
    def start(self, blueprint: Blueprint) -> None:
        """Make the nodes and start the workers.

        Raises:
            InputError: what the settings ask for is not to be had, or a node cannot be made; nothing is left running.
        """

    @abstractmethod
    def superstep(self, order: Order) -> Callable[[], Replies]:
        """Have ``order`` carried out at its nodes, after all that was ordered before.

        Returns:
            A function that waits for the replies, by node id, in order; to be called once, in the order of supersteps.
            It raises what went wrong at a node, and `WorkerLost`.
        """

    @abstractmethod
    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states and forget all messages under way."""

    @abstractmethod
    def workers(self) -> Workers:
        """How many there are."""

    def carried(self) -> Mapping[str, int]:
        """Bytes that went elsewhere than from node to node, by who carried them; asked for once a run is finished."""
        return {}

    def hosts(self) -> Mapping[str, str]:
        """The versions on nodes' hosts, by name, where they have hosts of their own; asked for as `carried` is."""
        return {}

    def not_collected(self) -> Sequence[int]:
        """The nodes of which nothing is to be had, since their hosts are gone for good; asked for at the start."""
        return ()

    def revive(self) -> None:
        """Replace workers that died and put all nodes back to their beginning; states can be loaded then."""
        raise TypeError(f"{type(self).__name__} has no workers that could die")

    def close(self) -> None:
        """Release workers and memory."""


def too_many_workers(workers: int, nodes: int) -> InputError:
    """What is wrong with more workers than nodes."""
    what = f"{workers} workers for {nodes} nodes leave some without work."
    return wrong("backend.workers", what, f'Ask for at most {nodes}, or for "auto".')


BACKENDS: Registry[Backend] = Registry("backends")
