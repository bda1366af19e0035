"""The node program, the same on every backend: absorb the neighbours' messages, work, send."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.declaration import Declared, misfit
from simulator.core.errors import RunError
from simulator.core.flat_module import FlatModule
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.mixer import Mixer
from simulator.core.recording import Draft, Recording
from simulator.core.report import ARTIFACT, Artifact, Metric
from simulator.core.samples import NodeData, Samples
from simulator.core.secrets import Secrets
from simulator.core.seeding import generator
from simulator.core.training import TrainingSettings
from simulator.core.training_set import Augment, TrainingSet


@dataclass(frozen=True)
class Place:
    """Where a node stands in the network.

    Attributes:
        id: the node's number.
        weights: its row of the mixing matrix: weight by node id, itself included.
        receivers: the neighbours it sends to, sorted.
        active: whether it takes part; a node that is away keeps its state and does nothing.
    """

    id: int
    weights: Mapping[int, float]
    receivers: tuple[int, ...]
    active: bool = True


@dataclass(frozen=True)
class SharedSettings:
    """What all nodes of a network share.

    Attributes:
        nodes: how many they are.
        recorded: the rounds to record, counted from 1.
        unrecorded: what is left out of a recording: see `Draft`.
        first: the first node's number: not 0 where several networks are run as one.
        secrets: of the only node that these settings are for; None in a simulation, where the seed stands for them.
    """

    seed: int
    nodes: int
    rounds: int
    training: TrainingSettings
    augment: Augment | None = None
    recorded: frozenset[int] = frozenset()
    unrecorded: tuple[str, ...] = ()
    first: int = 0
    secrets: Secrets | None = None


class Node:
    """One participant: its parameters, its data, one mixer and an ordered list of methods.

    Attributes:
        parameters: float [parameters], the node's model as one flat vector.
        round: the round being worked on, counted from 0; between rounds, the number of finished rounds.
        learning_rate: of the current round.
        local_steps: of the current round; a method may change it in ``before_round``.
    """

    weights: Mapping[int, float]

    def __init__(
        self,
        place: Place,
        shared: SharedSettings,
        data: NodeData,
        parameters: Tensor,
        mixer: Mixer,
        methods: Sequence[Method],
    ) -> None:
        self.id = place.id
        self.seed, self.num_nodes, self.rounds = shared.seed, shared.nodes, shared.rounds
        self._first, self._secrets = shared.first, shared.secrets
        self.training = shared.training
        self.mixer, self.methods = mixer, list(methods)
        self.data, self.parameters = self._own(data), parameters
        self._take(place)
        self.training_set = TrainingSet(self.data, shared.augment, parameters.dtype)
        self.momentum = torch.zeros_like(parameters) if self.training.optimizer.momentum else None
        self.round, self.learning_rate, self.local_steps = 0, 0.0, self.training.local_steps
        self._between_rounds = False
        self.metrics: list[Metric] = []
        self.artifacts: list[tuple[str, Artifact]] = []
        self.recordings: list[Recording] = []
        self._recorded, self._unrecorded = shared.recorded, shared.unrecorded
        self._draft: Draft | None = None
        self.stop_reason: str | None = None
        self._loss_sum, self._loss_rounds = 0.0, 0
        self._module: FlatModule | None = None
        self._gradient: Tensor | None = None
        for method in self.methods:
            method.setup(self)

    # What a backend calls.

    def absorb(self, inbox: Sequence[Message]) -> None:
        """End a round: hand the neighbours' messages to the methods, mix, and let the methods look at the result."""
        if self.active:
            self._mix(inbox)
        self.round += 1
        if self._draft is not None:
            self.recordings.append(self._draft.finished(self))
            self._draft = None

    def lose(self, senders: Collection[int]) -> None:
        """What these have sent this round will never come: what they would have weighed, the node itself weighs."""
        self.weights = self._without(self.weights, set(senders))

    def answer(self, inbox: Sequence[Message]) -> list[Message]:
        """In the middle of a round: one message back to each sender, then mix theirs; the round goes on."""
        answers = [self._message(message.sender) for message in inbox]
        self.mixer.answer(self, inbox)
        return answers

    def _mix(self, inbox: Sequence[Message]) -> None:
        messages = sorted(inbox, key=lambda message: message.sender)
        for method in reversed(self.methods):
            messages = [method.incoming(self, message) for message in messages]
        self.mixer.mix(self, [message for message in messages if message.sender not in self._apart])
        for method in reversed(self.methods):
            method.after_mixing(self)

    def begin(self, place: Place | None = None) -> None:
        """Begin a round; ``place`` holds from now on. Local training follows at nodes that are active."""
        if place is not None:
            self._take(place)
        self._draft = Draft(self, self._unrecorded) if self.round + 1 in self._recorded else None
        if not self.active:
            return
        optimizer, schedule = self.training.optimizer, self.training.schedule
        self.learning_rate = optimizer.lr * schedule.factor(self.round, self.rounds)
        self.local_steps = self.training.local_steps
        self.mixer.before_round(self)
        for method in self.methods:
            method.before_round(self)

    def finish(self) -> list[Message]:
        """After local training: one message a neighbour."""
        self._check_finite()
        for method in self.methods:
            method.after_local_training(self)
        self.mixer.after_local_training(self)
        messages = self.send()
        if self._draft is not None:
            self._draft.sent(self, messages)
        return messages

    def send(self, place: Place | None = None) -> list[Message]:
        """One message a neighbour, without training; ``place`` holds from now on."""
        if place is not None:
            self._take(place)
        messages = [self._message(to) for to in self.receivers]
        return [message for message in messages if message.parts]  # between nodes kept apart there may be none

    def declared(self, sender: int, receiver: int, round: int) -> dict[str, Declared]:
        """What a message between this node and a neighbour holds in ``round``, by part."""
        other = receiver if sender == self.id else sender
        number = sender - self._first
        parts = dict(self.mixer.parts(self, number, round)) if self._mixes_with(other) else {}
        for method in self.methods:
            parts |= method.parts(self, number, round)
        return parts

    def objection(self, message: Message) -> str | None:
        """What is wrong with a message that has arrived, although its parts are as declared; None if nothing is."""
        owners: Sequence[Mixer | Method] = (
            [self.mixer, *self.methods] if self._mixes_with(message.sender) else self.methods
        )
        return next(filter(None, (owner.objection(self, message) for owner in owners)), None)

    def finalize(self) -> None:
        """After the last round, which may come before the planned one."""
        self.rounds = min(self.rounds, self.round)
        for method in self.methods:
            method.finalize(self)

    def variants(self) -> dict[str, Tensor]:
        """Between rounds: the models to be evaluated beside the node's own, by the name of the method that made it."""
        self._between_rounds = True
        made = [(method, method.variant(self)) for method in self.methods]
        self._between_rounds = False
        return {method.config.name: parameters for method, parameters in made if parameters is not None}

    @contextmanager
    def using(self, module: FlatModule, gradient: Tensor | None = None) -> Iterator[None]:
        """Lend the node a worker's module, and a place for its gradient (default: the module's), within the block."""
        before = self._module, self._gradient
        self._module, self._gradient = module, module.gradient if gradient is None else gradient
        try:
            yield
        finally:
            self._module, self._gradient = before

    # What methods and mixers use.

    @property
    def model(self) -> FlatModule:
        """The network, holding this node's parameters."""
        if self._module is None:
            raise RuntimeError("a node has a model only while a worker lends it one: inside the hooks")
        self._module.bind(self.parameters)
        return self._module

    @property
    def gradient(self) -> Tensor:
        """float [parameters]: the gradient of the current step, with weight decay; change it in place."""
        if self._gradient is None:
            raise RuntimeError("a node has a gradient only inside the hooks of a local step")
        return self._gradient

    def logits(self, samples: Samples) -> Tensor:
        """float [N, classes] of the node's current model, in evaluation mode, in the samples' own order."""
        return self.model.logits(samples, self.data.normalizer)

    def rng(self, purpose: str, round: int | None = None) -> np.random.Generator:
        """Random numbers for one purpose in one round (default: the current one); the same whenever asked."""
        seed, place = self._secrets.own if self._secrets else self.seed, self.id - self._first
        return generator(seed, purpose, node=place, round=self.round if round is None else round)

    def link_rng(self, other: int, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose in this round that the neighbour ``other`` draws as well, and nobody else."""
        low, high = sorted((self.id - self._first, other - self._first))
        seed = self._secrets.links[other] if self._secrets else self.seed
        return generator(seed, f"{purpose}.{low}.{high}", round=self.round)

    def log(self, name: str, value: float) -> None:
        """Add a metric of this node in this round."""
        self.metrics.append(Metric(self._finished, self.id, name, float(value)))

    def stop(self, reason: str) -> None:
        """Ask for the run to end, with everything kept, when this round is over.

        To be called before the round's messages are sent: asked for later, the next round is carried out first.
        """
        self.stop_reason = f"node {self.id}: {reason}"

    def save(self, name: str, **arrays: NDArray[Any]) -> None:
        """Keep arrays in the run directory, under ``artifacts/``.

        Raises:
            ValueError: no file's name can begin with ``name``.
        """
        if not ARTIFACT.fullmatch(name):
            raise ValueError(f"an artifact's name is 1 to 100 letters, digits, -, _ or ., which {name!r} is not")
        self.artifacts.append((name, Artifact(self._finished, self.id, arrays)))

    @property
    def _finished(self) -> int:
        """Rounds that will be finished when this one is: what metrics and artifacts are labelled with."""
        return self.round if self._between_rounds else min(self.round + 1, self.rounds)

    def measure(self) -> dict[str, float]:
        """What the methods have to say where the node is evaluated, by name."""
        return {name: value for method in self.methods for name, value in method.measure(self).items()}

    def record_loss(self, loss: float) -> None:
        """The mean training loss of the round; reported as the mean since the last evaluation."""
        self._loss_sum, self._loss_rounds = self._loss_sum + loss, self._loss_rounds + 1

    def take_loss(self) -> float | None:
        """Mean training loss since the last call, or None if nothing was trained since."""
        mean = self._loss_sum / self._loss_rounds if self._loss_rounds else None
        self._loss_sum, self._loss_rounds = 0.0, 0
        return mean

    # State.

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that must survive between rounds, as named tensors; copies, not views."""
        state = {
            "parameters": self.parameters,
            "round": torch.tensor(self.round),
            "loss": torch.tensor([self._loss_sum, float(self._loss_rounds)], dtype=torch.float64),
        }
        if self.momentum is not None:
            state["momentum"] = self.momentum
        for prefix, owner in self._owners():
            state |= {f"{prefix}/{name}": tensor for name, tensor in owner.state_dict().items()}
        return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            KeyError: the state lacks something this node needs.
            ValueError: it belongs to a model of another size.
        """
        if state["parameters"].shape != self.parameters.shape or state["parameters"].dtype != self.parameters.dtype:
            raise ValueError(
                f"{tuple(state['parameters'].shape)} {state['parameters'].dtype} parameters, "
                f"where this model has {tuple(self.parameters.shape)} {self.parameters.dtype}"
            )
        self.parameters.copy_(state["parameters"])
        self.round = int(state["round"])
        self._loss_sum, self._loss_rounds = float(state["loss"][0]), int(state["loss"][1])
        if self.momentum is not None:
            self.momentum.copy_(state["momentum"])
        for prefix, owner in self._owners():
            start = f"{prefix}/"
            own = {name.removeprefix(start): t for name, t in state.items() if name.startswith(start)}
            owner.load_state_dict({name: tensor.to(self.parameters.device) for name, tensor in own.items()})

    def _take(self, place: Place) -> None:
        self.receivers, self.active = place.receivers, place.active
        self._apart = {j for j in {*place.weights, *place.receivers} - {self.id} if not self._mixes_with(j)}
        self.weights = (
            place.weights if self._apart.isdisjoint(place.weights) else self._without(place.weights, self._apart)
        )

    def _mixes_with(self, other: int) -> bool:
        number, other, held = self.id - self._first, other - self._first, self.data.modalities
        alike = not held or held[number] == held[other]  # networks on different inputs have nothing to average
        return alike and all(method.mixes_with(number, other) for method in self.methods)

    def _without(self, weights: Mapping[int, float], others: set[int]) -> Mapping[int, float]:
        """The row of W with the weights of ``others`` given to the node itself."""
        given = sum(weights[j] for j in sorted(others & weights.keys()))
        kept = {j: weight for j, weight in weights.items() if j not in others}
        return kept | {self.id: kept.get(self.id, 0.0) + given}

    def _own(self, data: NodeData) -> NodeData:
        """``data`` as the node's network sees it."""
        transforms = [method.input_transform(self.id - self._first) for method in self.methods]
        for transform in filter(None, transforms):
            data = replace(data, normalizer=replace(data.normalizer, transform=transform))
        return data

    def _check_finite(self) -> None:
        if not isfinite(self.parameters.sum().item()):
            raise RunError(
                f"training diverged: in round {self.round} the parameters of node {self.id} are not finite.\n"
                "    Lower training.optimizer.lr, or lengthen training.schedule.warmup."
            )

    def _owners(self) -> Iterator[tuple[str, Any]]:
        methods = ((f"methods.{place}", method) for place, method in enumerate(self.methods))
        return chain([("training_set", self.training_set), ("mixer", self.mixer)], methods)

    def _message(self, to: int) -> Message:
        parts = {} if to in self._apart else dict(self.mixer.outgoing(self, to))
        message = Message(self.id, to, self.round, parts)
        for method in self.methods:
            message = method.outgoing(self, message)
        if wrong := misfit(message.parts, self.declared(self.id, to, self.round)):
            what = f"the message of node {self.id} to node {to} in round {self.round} {wrong}."
            raise RunError(f"{what}\n    A mixer or method declares all that it sends, in its hook `parts`.")
        return message
