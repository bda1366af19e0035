"""A node as its mixer and methods see it: parameters, data, neighbours, random numbers, and what it has to report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.arrays import called
from simulator.core.attackers import Attacker, Attackers
from simulator.core.buffers.layout import Buffers
from simulator.core.canary_marks import Marks
from simulator.core.errors import RunError
from simulator.core.flat_module import FlatModule
from simulator.core.method import Method
from simulator.core.mixer import Mixer
from simulator.core.nested_state import Stateful, load_nested, nested
from simulator.core.place import Place
from simulator.core.recording import Recording
from simulator.core.report import ARTIFACT, Artifact, Metric
from simulator.core.samples import Batch, NodeData, Samples
from simulator.core.secrets import Secrets
from simulator.core.seeding import generator, keystream
from simulator.core.training import TrainingSettings
from simulator.core.training_set import Augment, TrainingSet
from simulator.core.under_attack import UnderAttack


@dataclass(frozen=True)
class SharedSettings:
    """What all nodes of a network share.

    Attributes:
        nodes: how many they are.
        recorded: the rounds to record, counted from 1.
        unrecorded: what is left out of a recording: see `Draft`.
        first: the first node's number: not 0 where several networks are run as one.
        secrets: of the only node that these settings are for; None in a simulation, where the seed stands for them.
        spectrum: see `Node`.
        attackers: who lies; None in a network of honest nodes.
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
    spectrum: tuple[float, ...] = ()
    attackers: Attackers | None = None


class Node:
    """One participant: its parameters, its data, one mixer and an ordered list of methods.

    What carries it through rounds is `simulator.core.node_program.NodeProgram`.

    Attributes:
        id: the node's number among all that are run; `number` counts within its own network.
        weights: its row of the mixing matrix: weight by node id, itself included. What is lost in a round, it weighs
            itself for the rest of that round.
        row: the same with nothing lost.
        receivers: ids of the neighbours that it sends to, ascending.
        rows: by receiver, its row of the mixing matrix.
        active: whether it takes part in the round.
        metrics, artifacts, recordings: what it has to report, until a worker fetches it.
        parameters: float [parameters], what is trained of the node's model, as one flat vector.
        buffers: the state that its network keeps beside them, such as running statistics; None where it keeps none.
        marks: of canaries whose gradients are such; None where there are none.
        spectrum: eigenvalues of the network's W, descending, where a method asks for them; else none.
        attackers: who lies in its network; None where all are honest.
        attacker: what it does if it lies itself; ``under_attack``: what it counts if it does not. One of both is None,
            and both are where all are honest.
        finished: how many rounds are.
        under_way: whether one more has begun.
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
        buffers: Buffers | None = None,
        marks: Marks | None = None,
        attacker: Attacker | None = None,
    ) -> None:
        self.id = place.id
        self.seed, self.num_nodes, self.rounds = shared.seed, shared.nodes, shared.rounds
        self._first, self._secrets, self.spectrum = shared.first, shared.secrets, shared.spectrum
        self.attackers, self.attacker = shared.attackers, attacker
        self.under_attack = UnderAttack() if shared.attackers and attacker is None else None
        self.training = shared.training
        self.mixer, self.methods = mixer, list(methods)
        self.traits = [method.traits(method.config) for method in self.methods]
        self.data, self.parameters, self.buffers, self.marks = self._own(data), parameters, buffers, marks
        self.stand(place)
        self.training_set = TrainingSet(self.data, shared.augment, parameters.dtype)
        self.momentum = torch.zeros_like(parameters) if self.training.optimizer.momentum else None
        self.finished, self.under_way = 0, False
        self.learning_rate, self.local_steps = 0.0, self.training.local_steps
        self.metrics: list[Metric] = []
        self.artifacts: list[tuple[str, Artifact]] = []
        self.recordings: list[Recording] = []
        self.recorded, self.unrecorded = shared.recorded, shared.unrecorded
        self.stop_reason: str | None = None
        self._loss_sum, self._loss_rounds = 0.0, 0
        self._module: FlatModule | None = None
        self._gradient: Tensor | None = None
        self._coming: Batch | None = None
        for method in self.methods:
            method.setup(self)

    @property
    def round(self) -> int:
        """The round under way, counted from 1; between rounds, the last one (0 before the first)."""
        return self.finished + self.under_way

    @property
    def number(self) -> int:
        """The node's number in its own network, from 0; its `id` where that is the only one that is run."""
        return self.number_of(self.id)

    def number_of(self, id: int) -> int:
        """The number of the node ``id`` in this node's network."""
        return id - self._first

    @contextmanager
    def using(self, module: FlatModule, gradient: Tensor | None = None) -> Iterator[None]:
        """Lend the node a worker's module, and a place for its gradient (default: the module's), within the block."""
        before = self._module, self._gradient
        self._module, self._gradient = module, module.gradient if gradient is None else gradient
        try:
            yield
        finally:
            self._module, self._gradient = before

    @property
    def model(self) -> FlatModule:
        """The network, holding this node's parameters."""
        module = self._lent()
        module.bind(self.parameters, self.buffers)
        return module

    def _lent(self) -> FlatModule:
        if self._module is None:
            raise RuntimeError("a node has a model only while a worker lends it one: inside the hooks")
        return self._module

    @property
    def gradient(self) -> Tensor:
        """float [parameters]: the gradient of the current step, with weight decay; change it in place."""
        if self._gradient is None:
            raise RuntimeError("a node has a gradient only inside the hooks of a local step")
        return self._gradient

    def coming_batch(self) -> Batch:
        """The batch of the round's first local step, drawn before its time; the step will train on the same.

        For methods whose exchanges come before local training, in rounds of one local step.
        """
        if self._coming is None:
            self._coming = self.next_batch(self.rng("augmentation"))
        return self._coming

    def next_batch(self, augment_rng: np.random.Generator) -> Batch:
        """The batch of the next local step."""
        coming, self._coming = self._coming, None
        return coming or self.training_set.next_batch(self.training.batch_size, self.rng, augment_rng)

    def gradient_at(self, parameters: Tensor, batch: Batch) -> Tensor:
        """float [parameters]: the gradient of the mean loss of ``batch`` there, without weight decay.

        The node's running statistics do not move.
        """
        module = self.model
        with self.drawing("network.elsewhere"), module.autocast():
            module.bind(parameters, self.buffers and self.buffers.clone())
            outputs = called(module.module, batch.inputs)
        module.differentiate(self.data.task.losses(outputs.to(module.dtype), batch.targets).mean())
        return module.gradient.clone()

    def drawing(self, purpose: str) -> AbstractContextManager[None]:
        """Let the network draw the node's own random numbers within the block, if it draws any while it is trained.

        Whatever parameters are bound stay so.
        """
        module = self._lent()
        return module.drawing(self.rng(purpose)) if module.is_random else nullcontext()

    def outputs(self, samples: Samples) -> Tensor:
        """float [N, ...] of the node's current model, in evaluation mode, in the samples' own order.

        Of classes they are logits, [N, classes].
        """
        return self.model.outputs(samples, self.data.preparation)

    def rng(self, purpose: str, round: int | None = None) -> np.random.Generator:
        """Random numbers for one purpose in one round (default: the current one); the same whenever asked."""
        hidden = self._secrets is not None and any(traits.secret_randomness for traits in self.traits)
        seed = self._secrets.own if hidden and self._secrets else self.seed
        return generator(seed, purpose, node=self.number, round=self.finished if round is None else round)

    def link_rng(self, other: int, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose in this round that the neighbour ``other`` draws as well, and nobody else."""
        return generator(self._shared_secret(other), self._shared_purpose(other, purpose), round=self.finished)

    def link_bytes(self, other: int, purpose: str, count: int) -> bytes:
        """``count`` bytes for one purpose in this round that the node ``other`` draws as well, and nobody else.

        Unlike `link_rng` they are a cryptographic stream, of which parts tell nothing of the rest. The other one is a
        neighbour or, where the mixer hides what each sends (`MixerTraits.sums`), one that shares a receiver.
        """
        return keystream(self._shared_secret(other), self._shared_purpose(other, purpose), self.finished, count)

    def _shared_secret(self, other: int) -> int:
        return self._secrets.links[other] if self._secrets else self.seed

    def _shared_purpose(self, other: int, purpose: str) -> str:
        low, high = sorted((self.number, self.number_of(other)))
        return f"{purpose}.{low}.{high}"

    def log(self, name: str, value: float) -> None:
        """Add a metric of this node in this round."""
        self.metrics.append(Metric(self._label, self.id, name, float(value)))

    def stop(self, reason: str) -> None:
        """Ask for the run to end, with everything kept, when this round is over.

        To be called before the round's messages are sent: asked for later, the next round is carried out first.
        """
        if not any(traits.may_stop for traits in self.traits):
            raise undeclared("called node.stop", "may_stop")
        self.stop_reason = f"node {self.id}: {reason}"

    def save(self, name: str, **arrays: NDArray[Any]) -> None:
        """Keep arrays in the run directory, under ``artifacts/``.

        Raises:
            ValueError: no file's name can begin with ``name``.
        """
        if not ARTIFACT.fullmatch(name):
            raise ValueError(f"an artifact's name is 1 to 100 letters, digits, -, _ or ., which {name!r} is not")
        self.artifacts.append((name, Artifact(self._label, self.id, arrays)))

    @property
    def _label(self) -> int:
        """The round that metrics and artifacts belong to: none of those after the last one, which nodes may end in."""
        return min(self.round, self.rounds) if self.under_way else self.finished

    def record_loss(self, loss: float) -> None:
        """The mean training loss of the round; reported as the mean since the last evaluation."""
        self._loss_sum, self._loss_rounds = self._loss_sum + loss, self._loss_rounds + 1

    def take_loss(self) -> float | None:
        """Mean training loss since the last call, or None if nothing was trained since."""
        mean = self._loss_sum / self._loss_rounds if self._loss_rounds else None
        self._loss_sum, self._loss_rounds = 0.0, 0
        return mean

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that must survive between rounds, as named tensors; copies, not views."""
        state = {
            "parameters": self.parameters,
            "round": torch.tensor(self.finished),
            "loss": torch.tensor([self._loss_sum, float(self._loss_rounds)], dtype=torch.float64),
        }
        if self.momentum is not None:
            state["momentum"] = self.momentum
        if self.buffers is not None:
            state |= {"buffers": self.buffers.running, "counters": self.buffers.counters}
        state |= nested(self._owners())
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
        self.finished, self.under_way, self._coming = int(state["round"]), False, None
        self._loss_sum, self._loss_rounds = float(state["loss"][0]), int(state["loss"][1])
        if self.momentum is not None:
            self.momentum.copy_(state["momentum"])
        if self.buffers is not None:
            self.buffers.running.copy_(state["buffers"])
            self.buffers.counters.copy_(state["counters"])
        load_nested(self._owners(), {name: tensor.to(self.parameters.device) for name, tensor in state.items()})

    def stand(self, place: Place) -> None:
        """Take a place in the network: parameters travel between this node and those that it may mix with."""
        self.receivers, self.active, self.rows = place.receivers, place.active, place.rows
        self.apart = {j for j in {*place.weights, *place.receivers} - {self.id} if not self.mixes_with(j)}
        mixes = self.apart.isdisjoint(place.weights)
        self.row = self.weights = place.weights if mixes else self.without(place.weights, self.apart)

    def mixes_with(self, other: int) -> bool:
        """Whether parameters travel between the node and the one with the id ``other``."""
        number, other, held = self.number, self.number_of(other), self.data.modalities
        alike = not held or held[number] == held[other]  # networks on different inputs have nothing to average
        return alike and all(self._lets_mix(method, number, other) for method in self.methods)

    @staticmethod
    def _lets_mix(method: Method, number: int, other: int) -> bool:
        allowed = method.mixes_with(number, other)
        if not (allowed or method.traits(method.config).keeps_apart):
            raise undeclared("kept neighbours apart", "keeps_apart")
        return allowed

    def without(self, weights: Mapping[int, float], others: set[int]) -> Mapping[int, float]:
        """``weights``, a row of W, with those of ``others`` given to the node itself."""
        given = sum(weights[j] for j in sorted(others & weights.keys()))
        kept = {j: weight for j, weight in weights.items() if j not in others}
        return kept | {self.id: kept.get(self.id, 0.0) + given}

    def _own(self, data: NodeData) -> NodeData:
        """``data`` as the node's network sees it."""
        transforms = [method.input_transform(self.number) for method in self.methods]
        for transform in filter(None, transforms):
            data = replace(data, preparation=replace(data.normalizer, transform=transform))
        return data

    def _owners(self) -> list[tuple[str, Stateful]]:
        methods = ((f"methods.{place}/", method) for place, method in enumerate(self.methods))
        owners: list[tuple[str, Stateful]] = [("training_set/", self.training_set), ("mixer/", self.mixer), *methods]
        if self.attacker:
            owners.append(("attacker/", self.attacker))
        if self.under_attack:
            owners.append(("under_attack/", self.under_attack))
        return owners


def undeclared(what: str, trait: str) -> RunError:
    """The error of a method that does what its traits do not declare."""
    return RunError(f"a method {what}, and none declares it.\n    Let its hook traits return Traits({trait}=True).")
