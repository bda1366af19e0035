"""What an experiment asks of one node: what would leave it, to whom, how often, and how it is protected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from simulator.core.declaration import Declared
from simulator.core.method import METHODS, Method
from simulator.core.promise import Promise
from simulator.data.sites.agreement import Tree
from simulator.data.sites.sums import declared
from simulator.deployment.site.policy import UNITS
from simulator.privacy.accounting import GaussianSteps

if TYPE_CHECKING:
    from simulator.config.experiment import Experiment
    from simulator.core.node_program import NodeProgram
    from simulator.data.sites.settings import SitesSettings
    from simulator.deployment.transport.inspection import Declaring
    from topologies import Topology


@dataclass(frozen=True)
class AskedStatistics:
    """What would leave a node before round 1, where nodes agree on statistics.

    Attributes:
        quantities: what they are of.
        parent: whom the node tells the sums of its own samples and of the nodes ``below`` it; None: nobody.
        below: nodes whose sums go through it.
        children: whom it tells the total.
        noise_multiplier: standard deviation of the noise on its own sums, over the most that one ``unit`` changes them;
            None: there is none.
        unit: a sample, or a group.
        epsilon: what they cost by themselves; infinite without noise.
        delta: of that.
    """

    quantities: tuple[str, ...]
    parent: int | None
    below: tuple[int, ...]
    children: tuple[int, ...]
    noise_multiplier: float | None
    unit: str | None
    epsilon: float
    delta: float

    @classmethod
    def of(
        cls, node: int, samples: int, sites: SitesSettings | None, links: Topology, promise: Promise | None
    ) -> AskedStatistics | None:
        """What is asked of ``node``, which trains on so many samples; None where nothing is agreed on.

        Args:
            node: which one.
            samples: how many.
            sites: what they agree on.
            links: between all nodes.
            promise: of the node's method, that covers this, too.
        """
        if sites is None or sites.statistics is None:
            return None
        tree, settings, own = Tree.of(links), sites.statistics, 0.1 / max(1, samples)
        delta = promise.delta if promise else settings.delta or own
        alone = GaussianSteps(1.0, 1.0, delta, "pld", settings.noise_multiplier or 0.0)
        return cls(
            quantities=tuple(each.name for each in sites.data_schema.without_statistics),
            parent=tree.parent.get(node),
            below=tuple(tree.below(node)),
            children=tuple(tree.children[node]),
            noise_multiplier=settings.noise_multiplier,
            unit=settings.unit,
            epsilon=promise.cost(0) if promise else alone.epsilon(0),
            delta=delta,
        )

    @property
    def declared(self) -> Mapping[str, Declared]:
        """What its messages hold."""
        return declared(len(self.quantities))


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
        statistics: what is told before round 1; None: nothing.
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
    statistics: AskedStatistics | None = None

    @classmethod
    def of(cls, program: NodeProgram, experiment: Experiment, receivers: Iterable[int]) -> Asked:
        """What ``experiment`` asks of the node of ``program``, whose messages go to ``receivers``."""
        node, others = program.node, tuple(sorted(receivers))
        samples, links = len(node.data.train), experiment.topology.build(experiment.seed).base
        mechanism, promise = _promise(program)
        statistics = AskedStatistics.of(node.id, samples, experiment.data.sites, links, promise)
        parts, largest = sizes(program, node.id, others, experiment.rounds, statistics)
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
            samples=samples,
            statistics=statistics,
        )

    @property
    def epsilon(self) -> float:
        """What the whole run costs; infinite where nothing is promised."""
        return inf if self.promise is None else self.promise.cost(self.rounds)


def _labels(method: type[Method]) -> bool:
    """Whether the messages of ``method`` tell labels: then it says how to read them."""
    return method.labels_told.__func__ is not Method.labels_told.__func__  # type: ignore[attr-defined]


def sizes(
    program: Declaring, node: int, receivers: Iterable[int], rounds: int, statistics: AskedStatistics | None
) -> tuple[dict[str, int], int]:
    """The most bytes of each part, and of one message, over all that ``node`` may send to ``receivers``."""
    every = {} if statistics is None else {name: part.bytes for name, part in statistics.declared.items()}
    parts, largest = every, sum(every.values())
    for to in receivers:
        for round in range(1, rounds + 1):
            for exchange in range(1, program.exchanges + 1):
                declared = program.declared(node, to, round, exchange)
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
