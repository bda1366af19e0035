"""Records: the models that a run has kept, and who was sent them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from auditing.public_labels import PublicLabels
from simulator.config.experiment import Experiment
from simulator.core.errors import InputError, wrong
from simulator.core.message import MASKED
from simulator.core.mixer import MIXERS
from simulator.core.soft_labels import SoftLabels
from simulator.mixers.fixed_point import decoded
from simulator.results.recordings import Recordings
from simulator.runs.run import Run


class Stored(NamedTuple):
    """A model that a run has kept; ``receiver`` is None where all receivers of a message got the same.

    A ``student`` is none that it kept, but one that learns from the labels in the node's message; see
    `auditing.membership.students`. What is ``heard`` is the weighted mean of the models that were sent to ``node``,
    where messages are masked.
    """

    kind: Literal["final", "start", "message", "mixed", "student", "heard"]
    node: int
    round: int = 0
    receiver: int | None = None


class FinalModel(NamedTuple):
    """A node's model at the end: float [parameters], and running statistics, float [running], if it has any."""

    parameters: Tensor
    running: Tensor | None = None


class Record(Protocol):
    """What a network has kept; nodes are counted from 0, rounds from 1."""

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        ...

    @property
    def attackers(self) -> frozenset[int]:
        """The nodes that lied, which are nobody's victims: what they sent is not what they had."""
        ...

    @property
    def rounds(self) -> tuple[int, ...]:
        """The recorded rounds, ascending."""
        ...

    @property
    def lasted(self) -> int:
        """How many rounds there were, recorded or not."""
        ...

    def keeps(self, kind: Literal["start", "mixed"]) -> bool:
        """Whether recordings hold such models; see `simulator.config.experiment.RecordSettings`."""
        ...

    def receivers(self, round: int, node: int) -> tuple[int, ...]:
        """Whom ``node`` sent to; nobody if it was away."""
        ...

    def message(self, round: int, node: int, receiver: int) -> Stored | None:
        """The model that the message shows to one of its receivers; None where it shows none (see `Mixer.shown`)."""
        ...

    @property
    def rounds_of_labels(self) -> tuple[int, ...]:
        """The rounds, ascending and recorded or not, in which nodes may have sent labels of public samples."""
        ...

    def labels(self, round: int, node: int) -> SoftLabels | None:
        """How the message of ``node`` in a recorded round labels public samples; None where it labels none."""
        ...

    def weights(self, round: int, node: int) -> Mapping[int, float] | None:
        """Weights with which ``node`` summed messages and its own model, by node; None where mixing is no such sum."""
        ...

    @property
    def shows_trained(self) -> bool:
        """Whether messages that show a model show the sender's just after training (see `MixerTraits`)."""
        ...

    def masked_to(self, round: int, node: int) -> tuple[int, ...]:
        """Who sent masked messages to ``node``; nobody where they were not masked, or not all of them were kept."""
        ...

    def load(self, stored: Stored) -> Tensor:
        """The parameters of a kept model, float64 [parameters]."""
        ...

    def running(self, stored: Stored) -> Tensor | None:
        """The running statistics of a kept model, float64 [running]; None where it has, or shows, none."""
        ...

    @property
    def has_state(self) -> bool:
        """Whether models are parameters together with running statistics."""
        ...


@dataclass(frozen=True)
class RunRecord:
    """The `Record` of a run, or of one of several networks that were run as one and hear nothing from each other.

    Attributes:
        recordings: what was recorded of all networks.
        final: of each of its nodes.
        rounds: the recorded ones.
        lasted: how many there were.
        first: the node of the run that counts as 0 here.
        public: reads labels of public samples; None where there are none.
        shows_trained: whether messages that show a model show the sender's just after training.
        attackers: the nodes that lied, numbered from 0 within the network.
    """

    recordings: Recordings
    final: Sequence[FinalModel]
    rounds: tuple[int, ...]
    lasted: int
    first: int = 0
    public: PublicLabels | None = None
    shows_trained: bool = False
    attackers: frozenset[int] = frozenset()

    @classmethod
    def of(cls, run: Run) -> RunRecord:
        """What ``run`` has kept; rounds after its last checkpoint belong to a past that was given up."""
        recordings, nodes = Recordings(run.path / "recordings"), run.nodes
        rounds = tuple(round for round in recordings.rounds(len(nodes)) if round <= nodes[0].round)
        final = [FinalModel(node.parameters, node.buffers.running if node.buffers else None) for node in nodes]
        public, trained = PublicLabels(recordings, nodes[0]), shows_trained(run.experiment)
        attackers = run.directory.attackers
        return cls(recordings, final, rounds, nodes[0].round, 0, public, trained, attackers)

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.final)

    def keeps(self, kind: Literal["start", "mixed"]) -> bool:
        """Whether recordings hold such models; all of a run are made alike, so the first one tells."""
        return bool(self.rounds) and kind in self.recordings.names(self.rounds[0], self.first)

    def receivers(self, round: int, node: int) -> tuple[int, ...]:
        """Whom ``node`` sent to, numbered from 0 within its network."""
        return self._numbers(round, node, "receivers")

    def message(self, round: int, node: int, receiver: int) -> Stored | None:
        """The model that the message shows, by whichever name it was recorded; None where it shows none."""
        names = self.recordings.names(round, self.first + node)
        alike = Stored("message", node, round)
        found = (each for each in (alike, alike._replace(receiver=receiver)) if names & set(self._names(each)))
        return next(found, None)

    @property
    def rounds_of_labels(self) -> tuple[int, ...]:
        """The rounds in which nodes may have sent labels of public samples."""
        return self.public.rounds if self.public else ()

    def labels(self, round: int, node: int) -> SoftLabels | None:
        """How the message of ``node`` labels public samples; None where it labels none."""
        return self.public.told(round, self.first + node) if self.public else None

    def weights(self, round: int, node: int) -> Mapping[int, float] | None:
        """Weights with which ``node`` summed what it heard, by node; None where mixing is no such sum."""
        if "weights" not in self.recordings.names(round, self.first + node):
            return None
        weights: list[float] = self.recordings.load(round, self.first + node, "weights").tolist()
        return dict(zip(self._numbers(round, node, "heard"), weights, strict=True))

    def masked_to(self, round: int, node: int) -> tuple[int, ...]:
        """Who sent masked messages to ``node``."""
        senders = sorted((self.weights(round, node) or {}).keys() - {node})
        return tuple(senders) if all(self._masked(round, sender, node) for sender in senders) else ()

    def _masked(self, round: int, sender: int, receiver: int) -> str | None:
        """The name by which a masked message was recorded; None where there is none."""
        known = self.recordings.names(round, self.first + sender)
        names = f"sent/{MASKED}/{self.first + receiver}", f"sent/{MASKED}"
        return next((name for name in names if name in known), None)

    def _heard(self, round: int, node: int) -> Tensor:
        """The mean, by their weights, of the models that were sent to ``node``, as it makes it out."""
        senders, weights = self.masked_to(round, node), self.weights(round, node) or {}
        kept = [(self.first + sender, self._masked(round, sender, node) or "") for sender in senders]
        terms = [self.recordings.load(round, *each) for each in kept]
        return decoded(torch.stack(terms).sum(0)) / sum(weights[sender] for sender in senders)

    def load(self, stored: Stored) -> Tensor:
        """The parameters of a kept model, float64 [parameters].

        Raises:
            InputError: it is missing, damaged, or of another network.
        """
        node, size = self.first + stored.node, self.final[0].parameters.shape
        if stored.kind == "final":
            return self.final[stored.node].parameters.to(torch.float64)
        if stored.kind == "heard":
            return self._heard(stored.round, stored.node)
        known = self.recordings.names(stored.round, node)
        name = next((name for name in self._names(stored) if name in known), stored.kind)
        model = self.recordings.load(stored.round, node, name)
        if model.shape != size:
            raise self._damaged(stored.round, node, f"{model.numel()} parameters, where the model has {size[0]}")
        return model.to(torch.float64)

    @property
    def has_state(self) -> bool:
        """Whether the nodes keep running statistics."""
        return self.final[0].running is not None

    def running(self, stored: Stored) -> Tensor | None:
        """The running statistics of a kept model, float64 [running]; None where it has, or shows, none.

        Raises:
            InputError: they are damaged, or of another network.
        """
        final = self.final[stored.node].running
        if final is None or stored.kind == "final":
            return None if final is None else final.to(torch.float64)
        node = self.first + stored.node
        end = "" if stored.receiver is None else f"/{self.first + stored.receiver}"
        names = (f"sent/buffers{end}", "sent/buffers") if stored.kind == "message" else (f"{stored.kind}_buffers",)
        known = self.recordings.names(stored.round, node)
        name = next((name for name in names if name in known), None)
        if name is None:
            return None
        running = self.recordings.load(stored.round, node, name)
        if running.shape != final.shape:
            raise self._damaged(stored.round, node, f"{running.numel()} running statistics, not {len(final)}")
        return running.to(torch.float64)

    def _names(self, stored: Stored) -> tuple[str, ...]:
        """The names of the tensors that may hold a model; the first that there is does."""
        if stored.kind != "message":
            return (stored.kind,)
        end = "" if stored.receiver is None else f"/{self.first + stored.receiver}"
        return f"shown{end}", f"sent/parameters{end}"

    def _numbers(self, round: int, node: int, name: str) -> tuple[int, ...]:
        numbers: list[int] = self.recordings.load(round, self.first + node, name).tolist()
        return tuple(number - self.first for number in numbers)

    def _damaged(self, round: int, node: int, what: str) -> InputError:
        return wrong("recordings", f"of node {node} in round {round}: {what}.", "Run it again.")


def shows_trained(experiment: Experiment) -> bool:
    """Whether the messages of ``experiment`` show models just after training, as its mixer declares."""
    return MIXERS.load(experiment.mixer.name).traits(experiment.mixer).shows_trained


def recorded_rounds(rounds: int, lasted: int) -> str:
    """How much of a run was recorded, in words."""
    return f"all {lasted} rounds" if rounds == lasted else f"the {rounds} recorded of {lasted} rounds"
