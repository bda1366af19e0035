"""Node programs stepped by hand: nodes on a topology, without engine, registry or files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simulator.core.channel import Channel
from simulator.core.flat_module import FlatModule
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.node import Node, SharedSettings
from simulator.core.node_program import NodeProgram
from simulator.core.normalizer import Normalizer
from simulator.core.place import Place
from simulator.core.samples import NodeData, Samples, VerifiedData, moved
from simulator.core.seeding import globally_seeded
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.training import TrainingSettings
from simulator.mixers.gossip import Gossip
from simulator.tasks.classification import Classification
from simulator.training.sequential import Sequential
from topologies import Network as LinksOverTime
from topologies import Topology


class SteppedNetwork:
    """All nodes of a topology; the messages of a round are delivered in an order of one's choice.

    Args:
        topology: the graph and W.
        model: builds the network; called once.
        data: what each node holds, or one `NodeData` for all.
        training: precision fp64 unless it says otherwise.
        methods: called with a node's id, gives that node's methods.
        mixer: gives a mixer.
        start: float [nodes, parameters], where the nodes begin; the model's own initialisation by default.
    """

    def __init__(
        self,
        topology: Topology,
        model: Callable[[], nn.Module],
        data: NodeData | Sequence[NodeData],
        training: TrainingSettings,
        *,
        methods: Callable[[int], list[Method]] = lambda node: [],
        mixer: Callable[[], Any] = lambda: Gossip(Gossip.Config()),
        start: NDArray[np.float64] | None = None,
        seed: int = 0,
        rounds: int = 1000,
    ) -> None:
        self.topology = topology
        self.module = FlatModule(model(), training.precision, training.device)
        self.trainer = Sequential(self.module)
        n = topology.num_nodes
        held = moved([data] * n if isinstance(data, NodeData) else data, self.module.device)
        rows = self.module.initial.repeat(n, 1)
        if start is not None:
            rows = rows.new_tensor(start)
        schedule = SharedSettings(seed, topology.num_nodes, rounds, training)
        nodes = [
            Node(
                Place.among(topology, i),
                schedule,
                held[i],
                rows[i],
                mixer(),
                methods(i),
            )
            for i in range(n)
        ]
        self.programs = [NodeProgram(node) for node in nodes]
        self.early: list[list[Message]] = []  # of all exchanges before training, in all rounds

    @property
    def nodes(self) -> list[Node]:
        """The nodes as mixer and methods see them."""
        return [program.node for program in self.programs]

    @property
    def parameters(self) -> NDArray[Any]:
        """float [nodes, parameters], a copy."""
        return np.stack([node.parameters.cpu().numpy().copy() for node in self.nodes])

    def work(self) -> list[Message]:
        """Every node goes through the early exchanges and trains; all messages of the last one, by sender."""
        for program in self.programs:
            with program.node.using(self.module):
                program.begin()
        for exchange in range(1, self.programs[0].exchanges):
            self._exchange(exchange)
        return [message for program in self._active() for message in self._work(program)]

    def absorb(self, messages: Sequence[Message]) -> None:
        """Every node takes in what is meant for it."""
        for program in self.programs:
            inbox = [message for message in messages if message.receiver == program.node.id]
            with program.node.using(self.module):
                program.absorb(inbox)

    def round(self) -> list[Message]:
        """One round; returns what was sent."""
        messages = self.work()
        self.absorb(messages)
        return messages

    def run(self, rounds: int) -> NDArray[Any]:
        """float [rounds + 1, nodes, parameters]: where the nodes stood before and after each round."""
        path = [self.parameters]
        for _ in range(rounds):
            self.round()
            path.append(self.parameters)
        return np.stack(path)

    def run_over(self, links: LinksOverTime, rounds: int) -> NDArray[Any]:
        """As `run`, each round on its own links and without the nodes that are away in it."""
        path = [self.parameters]
        for round in range(rounds):
            now = links.at(round)
            for node in self.nodes:
                node.stand(Place.among(now, node.id, bool(now.active[node.id])))
            self.round()
            path.append(self.parameters)
        return np.stack(path)

    def states(self) -> list[dict[str, Tensor]]:
        """The states of all nodes, to be given to `load`."""
        return [node.state_dict() for node in self.nodes]

    def load(self, states: Sequence[dict[str, Tensor]]) -> None:
        """Restore what `states` gave."""
        for node, state in zip(self.nodes, states, strict=True):
            node.load_state_dict(state)

    def _active(self) -> list[NodeProgram]:
        return [program for program in self.programs if program.node.active]

    def _exchange(self, exchange: int) -> None:
        """One exchange before training."""
        sent: list[Message] = []
        for program in self._active():
            with program.node.using(self.module):
                sent += program.send(exchange)
        self.early.append(sent)
        for program in self._active():
            with program.node.using(self.module):
                program.hear(exchange, [message for message in sent if message.receiver == program.node.id])

    def _work(self, program: NodeProgram) -> list[Message]:
        with program.node.using(self.module):
            self.trainer.train([program.node])
            program.finish()
            return program.send(program.exchanges)


def sgd(lr: float, **settings: Any) -> TrainingSettings:
    """Double precision SGD; ``local_steps``, ``batch_size`` and ``schedule`` apart from the optimizer's settings."""
    outer = {key: settings.pop(key) for key in ("local_steps", "batch_size", "schedule") if key in settings}
    return TrainingSettings(precision="fp64", optimizer={"lr": lr, **settings}, **outer)


def random_data(
    samples: int = 24, shape: tuple[int, int, int] = (8, 8, 1), classes: int = 3, public: int = 0, seed: int = 0
) -> NodeData:
    """Random images with random labels: a training set, 12 validation, 4 held-out, 10 test, and public images.

    The validation samples are the verified ones too, 6 to fit by and 6 to select by.
    """
    rng, (inputs, outputs) = np.random.default_rng(seed), of_images(shape, classes)
    images = torch.from_numpy(rng.integers(0, 256, (samples + 26, *shape), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, classes, samples + 26))
    cuts = torch.split(torch.arange(samples + 26), [samples, 12, 4, 10])
    train, validation, held_out, test = (Samples(images, labels, cut) for cut in cuts)
    common = np.random.default_rng(99).integers(0, 256, (public, *shape), dtype=np.uint8)  # the same at every node
    return NodeData(
        train=train,
        validation=validation,
        held_out=held_out,
        test=test,
        public=Samples(torch.from_numpy(common), None, torch.arange(public)) if public else None,
        preparation=Normalizer(torch.full((shape[2],), 0.5), torch.full((shape[2],), 0.25)),
        inputs=inputs,
        outputs=outputs,
        verified=VerifiedData(validation.subset(torch.arange(6)), validation.subset(torch.arange(6, 12))),
    )


def of_images(
    shape: tuple[int, int, int], classes: int, channels: Sequence[Channel] = ()
) -> tuple[InputSpec, OutputSpec]:
    """What a network is given of images of ``shape`` (height, width, channels), and has to put out for ``classes``."""
    task = Classification(Classification.Config())
    return InputSpec("images", shape, channels=tuple(channels)), OutputSpec(
        task, classes, tuple(map(str, range(classes)))
    )


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> Callable[[], nn.Module]:
    """``build`` with the same initial values at every call, the global generators left as they were."""

    def built() -> nn.Module:
        with globally_seeded(seed):
            return build()

    return built
