"""What an experiment asks of one node: what would leave it, to whom, how often, and how it is protected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from simulator.core.method import METHODS, Method
from simulator.core.promise import Promise
from simulator.deployment.site.policy import UNITS

if TYPE_CHECKING:
    from simulator.config.experiment import Experiment
    from simulator.core.node_program import NodeProgram


@dataclass(frozen=True)
class Asked:
    """What would leave a node in a run.

    Attributes:
        rounds: of the run.
        exchanges: of a round: messages to each receiver.
        receivers: node ids.
        parts: the most bytes of each part of a message.
        largest: the most bytes that one message's tensors have.
        mechanism: the method that promises differential privacy of the largest unit; "none" where there is none.
        promise: what it promises.
        recordings: whether rounds are recorded for audits.
        labels: the methods that send labels of public samples.
        collects: whether models and metrics are laid out for `rumormill deploy collect`.
        bounded: whether a bound on a round's change can be held: every message shows a model, after local training.
        samples: how many the node trains on.
    """

    rounds: int
    exchanges: int
    receivers: tuple[int, ...]
    parts: Mapping[str, int]
    largest: int
    mechanism: str
    promise: Promise | None
    recordings: bool
    labels: tuple[str, ...]
    collects: bool
    bounded: bool
    samples: int

    @classmethod
    def of(cls, program: NodeProgram, experiment: Experiment, receivers: Iterable[int]) -> Asked:
        """What ``experiment`` asks of the node of ``program``, whose messages go to ``receivers``."""
        node, others = program.node, tuple(sorted(receivers))
        parts, largest = _declared(program, others, experiment.rounds)
        mechanism, promise = _promise(program)
        return cls(
            rounds=experiment.rounds,
            exchanges=program.exchanges,
            receivers=others,
            parts=parts,
            largest=largest,
            mechanism=mechanism,
            promise=promise,
            recordings=bool(experiment.record.among(experiment.rounds)),
            labels=tuple(settings.name for settings in experiment.methods if _labels(METHODS.load(settings.name))),
            collects=getattr(experiment.backend, "collect", "models") == "models",
            bounded="parameters" in parts and not node.mixer.traits(node.mixer.config).sends_early,
            samples=len(node.data.train),
        )

    @property
    def epsilon(self) -> float:
        """What the whole run costs; infinite where nothing is promised."""
        return inf if self.promise is None else self.promise.cost(self.rounds)


def _labels(method: type[Method]) -> bool:
    """Whether the messages of ``method`` tell labels: then it says how to read them."""
    return method.labels_told.__func__ is not Method.labels_told.__func__  # type: ignore[attr-defined]


def _declared(program: NodeProgram, receivers: Iterable[int], rounds: int) -> tuple[dict[str, int], int]:
    """The most bytes of each part, and of one message, over all that mixer and methods declare."""
    parts, largest = dict[str, int](), 0
    for to in receivers:
        for round in range(1, rounds + 1):
            for exchange in range(1, program.exchanges + 1):
                declared = program.declared(program.node.id, to, round, exchange)
                largest = max(largest, sum(part.bytes for part in declared.values()))
                for name, part in declared.items():
                    parts[name] = max(parts.get(name, 0), part.bytes)
    return parts, largest


def _promise(program: NodeProgram) -> tuple[str, Promise | None]:
    """The promise of what protects the largest unit, and by which method."""
    node = program.node
    made = [(method.config.name, method.promise(node)) for method in node.methods if method.config is not None]
    promised = [(name, promise) for name, promise in made if promise is not None]
    return max(promised, key=lambda each: UNITS.index(each[1].unit), default=("none", None))
