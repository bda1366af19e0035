"""The experiment: everything that decides a run's results, as one frozen, validated tree of settings."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, SerializeAsAny, model_validator

from simulator.config.part_blocks import fill, placed
from simulator.config.slots import SLOTS, parts_of, places
from simulator.config.user_parts import UserParts
from simulator.core.acting import GIVEN, Acts, If
from simulator.core.adversary import Knowledge
from simulator.core.backend import BACKENDS
from simulator.core.buffers.settings import BufferSettings
from simulator.core.errors import InputError
from simulator.core.mixer import MIXERS
from simulator.core.registry import PartSettings, Settings
from simulator.core.task import TASKS
from simulator.core.training import TrainingSettings
from simulator.data.splits import DataSettings
from simulator.rounds.clock import ClockSettings
from simulator.rounds.energy import EnergySettings
from simulator.rounds.traces import AbsenceTrace
from topologies import ALONG_LINKS, SCHEDULES, Failures, Network, Topology, build_schedule
from topologies.errors import TopologyError, require

# Settings that there were not from the start.
LATER = frozenset({"energy", "devices", "links", "trace", "round_seconds", "tested_nodes"})


class LinkScheduleSettings(Settings):
    """How links change over time; further keys are the schedule's own options, such as ``degree``.

    Attributes:
        name: of the schedule; its name alone stands for a block without options.
    """

    model_config = ConfigDict(extra="allow")

    name: str = "static"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, content: Any) -> Any:
        return {"name": content} if isinstance(content, str) else content

    @model_validator(mode="after")
    def _seed_is_the_experiments(self) -> LinkScheduleSettings:
        if "seed" in (self.model_extra or {}):
            raise ValueError("a schedule is drawn with the experiment's seed")
        return self


class FailureSettings(Settings):
    """What goes wrong in a round, as in `topologies.Failures`.

    Attributes:
        links: probability that a link loses what it carries.
        nodes: expected share of nodes away.
        mean_absence: expected number of rounds a node stays away; by default, rounds are independent.
        absences: further ones (node, first round, last round), rounds from 1; who joins late is away from round 1.
        symmetric: whether both directions of a link are lost together.
        trace: when devices are away, in seconds; nodes are given them at random.
        round_seconds: how long a round takes, on the axis of that trace.
    """

    links: float = 0.0
    nodes: float = 0.0
    mean_absence: float | None = None
    absences: tuple[tuple[int, int, int], ...] = ()
    symmetric: bool = True
    trace: AbsenceTrace | None = None
    round_seconds: PositiveFloat | None = None

    @model_validator(mode="after")
    def _trace_has_its_axis(self) -> FailureSettings:
        if (self.trace is None) != (self.round_seconds is None):
            raise ValueError("trace and round_seconds go together: give both, or neither")
        return self

    def build(self, nodes: int, seed: int) -> Failures:
        """What goes wrong among so many nodes; ``seed`` is the experiment's.

        Raises:
            TopologyError: a value is out of range, or cannot change anything.
        """
        given = self.model_dump(exclude={"trace", "round_seconds"})
        if self.trace and self.round_seconds:
            given["absences"] = (*self.absences, *self.trace.absences(nodes, seed, self.round_seconds))
        return Failures(**given, seed=seed)


class TopologySettings(Settings):
    """The graph and its mixing matrix; further keys are the graph's own options, such as ``rows`` of a torus.

    Attributes:
        graph: its name.
        nodes: how many there are; None: as many as the graph has, if it says so.
        weights: the rule that makes the mixing matrix.
        spanning_tree: keep only the links of a breadth-first spanning tree from node 0.
        schedule: how the links change over time.
        failures: what goes wrong.
    """

    model_config = ConfigDict(extra="allow")

    graph: str
    nodes: PositiveInt | None = None
    weights: str = "metropolis_hastings"
    spanning_tree: bool = False
    schedule: LinkScheduleSettings = LinkScheduleSettings()
    failures: FailureSettings = FailureSettings()

    def build(self, seed: int) -> Network:
        """The links of every round; ``seed`` is for what is random.

        Raises:
            TopologyError: the settings do not describe a valid network.
        """
        topology = Topology.build(self.graph, self.nodes, self.weights, seed, **(self.model_extra or {}))
        own = f"The schedule {self.schedule.name} brings its own links, and would use none of a spanning tree."
        along = not self.spanning_tree or self.schedule.name in ALONG_LINKS or self.schedule.name not in SCHEDULES
        require(along, own, f"Remove spanning_tree, or choose one of {', '.join(ALONG_LINKS)}.", "spanning_tree")
        if self.spanning_tree:
            topology = topology.spanning_tree()
        schedule = build_schedule(self.schedule.name, topology, seed, **(self.schedule.model_extra or {}))
        try:
            return Network(schedule, self.failures.build(schedule.num_nodes, seed))
        except TopologyError as error:
            raise TopologyError(error.message, error.advice, f"failures.{error.field}") from error


class EvaluateSettings(Settings):
    """When nodes are measured on the test set, always before the first round and after the last, and how many are.

    Attributes:
        every: each round that it divides.
        tested_nodes: so many, drawn once for the whole run; the others are not tested, but count in consensus models
            and their distances as ever. None: all.
    """

    every: PositiveInt | None = None
    tested_nodes: int | None = Field(None, ge=2)


class CheckpointSettings(Settings):
    """How often the state of all nodes is saved, in rounds, always after the last; and how much of that is kept.

    Attributes:
        every: each round that it divides.
        keep: so many of the last ones, or "all": audits of how a run went on need them.
        rounds: of those that are saved, the ones that are kept whatever comes later.
    """

    every: PositiveInt | None = None
    keep: PositiveInt | Literal["all"] = 2
    rounds: tuple[PositiveInt, ...] = ()


class RecordSettings(Settings):
    """The rounds of which every node keeps what it sent and its model before and after, for audits; none by default.

    Attributes:
        every: each round that it divides, and the last.
        rounds: these ones; the first is round 1.
        without: models that are not kept, to save disk: of its ``start`` or after mixing, ``mixed``. The audit of
            privacy reads no mixed ones.
    """

    every: PositiveInt | None = None
    rounds: tuple[PositiveInt, ...] = ()
    without: tuple[Literal["start", "mixed"], ...] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> RecordSettings:
        if self.every and self.rounds:
            raise ValueError("give either every or rounds")
        if self.without and not (self.every or self.rounds):
            raise ValueError("nothing is recorded that could be left out: give every or rounds, too")
        return self

    def among(self, rounds: int) -> frozenset[int]:
        """The rounds to record of a run that has ``rounds``."""
        every = (*range(self.every, rounds, self.every), rounds) if self.every else ()
        return frozenset({*every, *self.rounds})


class AdversarySettings(Settings):
    """Nodes that lie, all in the same way; attackers of all blocks know each other, and all links.

    Attributes:
        nodes: their numbers; where ``count`` says how many there are, a run fills in who was chosen.
        count: so many nodes, chosen by ``place`` with the experiment's seed, before the run begins.
        place: anywhere (random), anywhere with no two linked (apart), where most links meet (degree), or where most
            shortest paths cross (betweenness).
        from_round: the round in which the attack begins; before, they are honest.
        knowledge: heard: what neighbours sent them the round before; omniscient: what every node sends in this round.
        attack: what they do.
    """

    nodes: tuple[NonNegativeInt, ...] = ()
    count: PositiveInt | None = None
    place: Literal["random", "apart", "degree", "betweenness"] = "random"
    from_round: PositiveInt = 1
    knowledge: Knowledge = "heard"
    attack: SerializeAsAny[PartSettings]

    acts: ClassVar[Acts] = {"place": If(count=GIVEN)}

    @model_validator(mode="after")
    def _one_of_both(self) -> AdversarySettings:
        if (not self.nodes and self.count is None) or self.count not in (None, len(self.nodes) or self.count):
            raise ValueError("give either the nodes, or how many there shall be: count (null takes a recipe's away)")
        if len(set(self.nodes)) < len(self.nodes):
            raise ValueError("a node is named twice")
        return self


class Experiment(Settings):
    """One experiment; `simulator.load_experiment` makes one from a file and reports every problem at once.

    In Python, a part may also be given as a class or as an object: ``model=MyNet``, ``methods=[Mine(mu=0.1)]``, and a
    data set in the place of the whole block: ``data=MyData``.

    Attributes:
        name: of the experiment, and so of its run directories.
        description: what it is for, in words.
        seed: decides every random number of the run.
        rounds: how many there are.
        topology: who is whose neighbour, and by which weights they mix.
        data: what nodes train on and are tested on, and how it is divided among them.
        task: what is predicted, what it costs and how good it is.
        model: the network that every node trains.
        buffers: what becomes of running statistics that the network keeps beside its parameters. No setting of the
            model, whose block is what its constructor takes; None: the network must keep none.
        training: what a node does between two exchanges.
        mixer: how parameters travel and combine.
        methods: what nodes do beyond plain SGD, in this order.
        adversaries: nodes that lie; by default, all are honest.
        clock: how fast nodes and links are; None: no simulated time.
        energy: what takes how many joules; None: they are not counted.
        mode: "synchronous", or "asynchronous" for pairwise gossip on the simulated clock, without rounds in step.
        backend: where nodes run.
        evaluate: when nodes are tested, and how many.
        checkpoint: when the state of all nodes is saved, and how much of it is kept.
        record: what is kept for audits of messages.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=230)
    description: str = ""
    seed: int = Field(0, ge=0, lt=2**64)
    rounds: PositiveInt
    topology: TopologySettings
    data: DataSettings
    task: SerializeAsAny[PartSettings] = Field(
        default_factory=lambda: TASKS.load("classification").Config(name="classification")
    )
    model: SerializeAsAny[PartSettings]
    buffers: BufferSettings | None = None
    training: TrainingSettings = TrainingSettings()
    mixer: SerializeAsAny[PartSettings] = Field(default_factory=lambda: MIXERS.load("gossip").Config(name="gossip"))
    methods: tuple[SerializeAsAny[PartSettings], ...] = ()
    adversaries: tuple[AdversarySettings, ...] = ()
    mode: Literal["synchronous", "asynchronous"] = "synchronous"
    clock: ClockSettings | None = None
    energy: EnergySettings | None = None
    backend: SerializeAsAny[PartSettings] = Field(default_factory=lambda: BACKENDS.load("local").Config(name="local"))
    evaluate: EvaluateSettings = EvaluateSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    record: RecordSettings = RecordSettings()

    @model_validator(mode="before")
    @classmethod
    def _parts_as_given(cls, content: Any) -> Any:
        """Parts that are given as classes, objects or names, read as `load_experiment` reads them."""
        if not isinstance(content, Mapping):
            return content
        tree = copy.deepcopy(
            {key: list(value) if isinstance(value, tuple) else value for key, value in content.items()}
        )
        if "data" in tree and not isinstance(tree["data"], Mapping | DataSettings):
            tree["data"] = {"dataset": tree["data"]}
        problems = [
            placed(where, problem)
            for pattern, registry in SLOTS.items()
            for holder, key, place in places(tree, pattern)
            if not isinstance(holder[key], PartSettings | None)
            for where, problem in fill(holder, key, place, registry, Path())
        ]
        if problems:
            raise InputError(*problems)
        return tree

    def __getstate__(self) -> dict[Any, Any]:
        """With the code of the parts that workers elsewhere do not have; it arrives before what is made by it."""
        return {"user_parts": self.user_parts, **super().__getstate__()}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__({key: value for key, value in state.items() if key != "user_parts"})

    @property
    def user_parts(self) -> UserParts:
        """The code of those parts that no installed package brings."""
        return UserParts.of(parts_of(self))

    def to_dict(self) -> dict[str, Any]:
        """The resolved experiment as plain data; `simulator.load_experiment` gives it back."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The resolved experiment as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def digest(self) -> str:
        """Identifies what decides the results; where and how it is run does not count.

        The code of the user's parts does: by their names, or for those that were added by name, beside them.
        """
        without = ("backend", "description", "checkpoint", "record")
        content = {key: value for key, value in self.to_dict().items() if key not in without}
        if not self.adversaries:
            del content["adversaries"]
        # What was run before there were such settings is still what it was.
        blocks = content, content["clock"] or {}, content["topology"]["failures"], content["evaluate"]
        for block in blocks:
            for name in LATER & block.keys():
                if block[name] is None:
                    del block[name]
        if added := self.user_parts.hashes_of_added():
            content["added"] = added
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
