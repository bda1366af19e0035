"""From an experiment to running parts: the one place where they are put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from simulator.config.attackers import attack_notes, attackers_of, with_attackers_named
from simulator.config.experiment import Experiment
from simulator.config.part_blocks import placed
from simulator.config.planning import exchanges, needing, network_notes, schedule_notes
from simulator.core.adversary import ADVERSARIES
from simulator.core.attackers import Attackers
from simulator.core.backend import BACKENDS, Backend
from simulator.core.buffers.discovery import state_notes
from simulator.core.errors import InputError, Problem
from simulator.core.flat_module import FlatModule
from simulator.core.method import METHODS, traits_of
from simulator.core.mixer import MIXERS
from simulator.core.model_registry import MODELS
from simulator.core.observer import Observer, RunInfo
from simulator.core.run_schedule import RunSchedule
from simulator.core.samples import NodeData, moved
from simulator.core.seeding import generator
from simulator.core.task import TASKS
from simulator.core.traits import NEEDS, OF_SAMPLES
from simulator.data.sites.agreement import agreed
from simulator.data.sites.statistics import Statistics
from simulator.data.splits import NetworkData, prepare
from simulator.results.checkpoint import Checkpoints
from simulator.results.room import Room
from simulator.rounds.asynchronous import Asynchronous
from simulator.rounds.clock import Clock
from simulator.rounds.energy import EnergyMeter
from simulator.rounds.engine import Engine
from simulator.rounds.mode import Mode
from simulator.rounds.synchronous import Synchronous
from simulator.runs.autotune import Figures, device_here, node_by_node, with_device, with_trainer
from simulator.runs.blueprint import ExperimentNodes, beginning_of, by_sample
from simulator.runs.named_nodes import check_names, told_names
from simulator.training.evaluation import ConsensusGroup
from simulator.training.hooks import overrides
from simulator.training.layerwise import NotLayerwiseError
from simulator.training.layerwise_trial import tried
from simulator.training.outputs import check_outputs
from simulator.training.recompute import Recompute
from simulator.training.separable import check_samples_apart
from topologies import Network


def run_schedule(experiment: Experiment, nodes: int = 0) -> RunSchedule:
    """How many rounds it has, and what is done between them; of how many ``nodes`` some are tested, if not all are."""
    may_stop = any(traits_of(settings).may_stop for settings in experiment.methods)
    tested, evaluate = None, experiment.evaluate
    if evaluate.tested_nodes is not None and nodes:
        drawn = generator(experiment.seed, "evaluation.nodes").choice(nodes, evaluate.tested_nodes, replace=False)
        tested = frozenset(drawn.tolist())
    return RunSchedule(experiment.rounds, evaluate.every, experiment.checkpoint.every, may_stop, nodes, tested)


def protects(experiment: Experiment) -> bool:
    """Whether random numbers of a method or the mixer protect the nodes, so that nobody else may draw them."""
    hides = MIXERS.load(experiment.mixer.name).traits(experiment.mixer).sums
    return hides or any(traits_of(settings).secret_randomness for settings in experiment.methods)


def _check_needs_of_samples(experiment: Experiment, data: NodeData) -> None:
    """Refuse methods and attacks that cannot work with such samples.

    Raises:
        InputError: naming each.
    """
    offers = data.offers
    problems = [
        placed(place, Problem("", f"{name} needs {need.replace('_', ' ')}, and there is none.", NEEDS[need]))
        for place, name, needs in needing(experiment)
        for need in sorted(needs & OF_SAMPLES)
        if need not in offers
    ]
    if not problems:
        problems = [
            placed(("adversaries", number, "attack", *filter(None, [problem.where])), problem)
            for number, block in enumerate(experiment.adversaries)
            for problem in ADVERSARIES.load(block.attack.name).check_samples(block.attack, data)
        ]
    if problems:
        raise InputError(*problems)


def _tested_together(nodes: Sequence[NodeData]) -> NodeData:
    """The data of the first, to be tested on what all of them are tested on."""
    first = nodes[0]
    if first.test is not first.own_test:
        return first
    own = [node.test for node in nodes]
    return replace(first, test=replace(first.test, index=torch.cat([samples.index for samples in own])))


@dataclass
class Simulation:
    """All parts of an experiment, ready to run.

    Attributes:
        experiment: with what was left open decided.
        seeds: one for each network of it that is run.
        autotuned: what was measured to decide it, by what was decided.
        attackers: of each network, if nodes lie; one for each of ``seeds``.
        told: what the user should know about the network, found out by trying it.
    """

    experiment: Experiment
    seeds: Sequence[int]
    network: Network
    data: NetworkData
    blueprint: ExperimentNodes
    backend: Backend
    autotuned: Mapping[str, Figures]
    attackers: Sequence[Attackers] = ()
    told: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        replicas: Sequence[int] = (),
        opened: Mapping[int, Path] | None = None,
        statistics: Statistics | None = None,
    ) -> Simulation:
        """Load the data, decide what is left open, and put the parts together.

        Args:
            experiment: what to simulate.
            replicas: seeds of networks to run as one, in place of the experiment's own. Each has the same links, pools
                and settings; with its seed it divides the pools anew into what is trained on and what is held out,
                draws initial parameters, and orders batches.
            opened: where nodes are sites that keep their own data, the paths of those to open, by node; the others'
                nodes cannot be made. None: all of them, in ``data.dataset.path``.
            statistics: where sites agree on them, what they have agreed on. None: what they do agree on, where all are
                opened; where not, samples cannot be prepared yet.

        Raises:
            InputError: the data set is not there, a node would be left without samples, there is no such device, or the
                network cannot be trained in the way asked for.
        """
        experiment = with_device(experiment)
        network = experiment.topology.build(experiment.seed)
        experiment = with_attackers_named(experiment, network.base)
        lying = attackers_of(experiment, network.base)
        task, seeds = TASKS.build(experiment.task), [experiment.seed]
        data = prepare(experiment.data, network.base.num_nodes, experiment.seed, task, opened)
        order = "data.sites.names" if experiment.data.sites else "data.partition.sites"
        check_names(network.base.labels, data.sites, order)
        if experiment.data.sites and experiment.data.sites.statistics:
            if statistics is None and opened is None:
                statistics = agreed(experiment.data.sites, data.sums, network.base, experiment.seed)
            data = data.normalised(experiment.data.sites.data_schema, statistics) if statistics else data
        if replicas:
            split = (data.resplit(seed).nodes for seed in replicas)
            data, seeds = replace(data, nodes=tuple(chain.from_iterable(split))), list(replicas)
            network = network.copies(len(seeds))
        size = network.base.num_nodes // len(seeds)
        attackers = [lying.shifted(k * size) for k in range(len(seeds))] if lying else []
        _check_needs_of_samples(experiment, data.example)
        here = device_here(experiment)
        blueprint = ExperimentNodes(experiment, network.base, data, seeds, attackers=attackers, device=here)
        blueprint.check_room()
        module = blueprint.module()
        blueprint = replace(blueprint, beginning=beginning_of(module))
        (example,) = moved([data.example], module.device)
        told = check_outputs(module, example, experiment.training.batch_size)
        if by_sample(experiment):
            check_samples_apart(blueprint.module(), example)
        if opened is None:
            experiment, figures = with_trainer(experiment, blueprint)
        else:
            experiment, figures = with_trainer(node_by_node(experiment), blueprint.all_on(data.example))
        blueprint = replace(blueprint, experiment=experiment)
        autotuned = {"trainer": figures} if figures else {}
        backend = BACKENDS.build(experiment.backend)
        return cls(experiment, seeds, network, data, blueprint, backend, autotuned, attackers, told)

    @contextmanager
    def started(self) -> Iterator[None]:
        """Make the nodes and keep the workers for as long as the block lasts.

        Raises:
            InputError: the network cannot be mixed, a node cannot be made, or there is not what the backend asks for.
        """
        self.backend.start(self.blueprint)
        try:
            yield
        finally:
            self.backend.close()

    def engine(self, checkpoints: Checkpoints, observers: Sequence[Observer]) -> Engine:
        """The rounds of this simulation."""
        groups = self._consensus_groups(self._module.device)
        module = self._module
        schedule = run_schedule(self.experiment, self.network.base.num_nodes)
        recompute = self._recompute()
        distances = {node: links for each in self.attackers for node, links in each.distances.items()}
        return Engine(self._mode(), schedule, observers, checkpoints, module, groups, recompute, distances or None)

    def _recompute(self) -> Recompute | None:
        """What makes the consensus model's statistics anew, if that is asked for of a network that keeps any."""
        experiment = self.experiment
        asked = experiment.buffers.recompute if experiment.buffers and self._module.layout else None
        if not any(len(node.train) for node in self.data.nodes):  # their samples are elsewhere
            return None
        return Recompute(asked, experiment.training.batch_size, experiment.seed) if asked else None

    @cached_property
    def _module(self) -> FlatModule:
        """The engine's; every worker has one of its own."""
        return self.blueprint.module()

    def _consensus_groups(self, device: torch.device) -> list[ConsensusGroup]:
        """The nodes of each network and modality."""
        size, members = len(self.data.nodes) // len(self.seeds), dict[tuple[int, str], list[int]]()
        for id, node in enumerate(self.data.nodes):
            network, number = divmod(id, size)
            members.setdefault((network, node.modalities[number] if node.modalities else ""), []).append(id)
        lying = {node for each in self.attackers for node in each.nodes}
        firsts = moved([_tested_together([self.data.nodes[id] for id in ids]) for ids in members.values()], device)
        return [
            ConsensusGroup(frozenset(ids), data, [(id, self.data.nodes[id]) for id in ids if id not in lying])
            for ids, data in zip(members.values(), firsts, strict=True)
        ]

    def _mode(self) -> Mode:
        experiment, training = self.experiment, self.experiment.training
        nodes = self.network.base.num_nodes
        clock = Clock(experiment.clock, experiment.seed, nodes) if experiment.clock else None
        meter = EnergyMeter(experiment.energy, nodes, clock) if experiment.energy else None
        if experiment.mode == "synchronous":
            early = MIXERS.load(experiment.mixer.name).traits(experiment.mixer).sends_early
            overhearing, mixing = self.blueprint.overhearing, 1 if early else None
            early_exchanges = exchanges(experiment) - 1
            return Synchronous(self.backend, self.network, early_exchanges, clock, overhearing, mixing, meter)
        assert clock is not None  # the experiment was checked when it was read
        steps = [training.of(node).local_steps for node in range(nodes)]
        return Asynchronous(self.backend, self.network.base, steps, clock, experiment.seed, meter)

    def info(self, path: Path, rounds_done: int) -> RunInfo:
        """What observers are told at the start of a run in ``path``."""
        experiment, nodes = self.experiment, self.network.base.num_nodes
        return RunInfo(
            path=path,
            name=experiment.name,
            seed=experiment.seed,
            rounds=experiment.rounds,
            nodes=nodes,
            parameters=self._module.num_parameters,
            rounds_done=rounds_done,
            settings=experiment.to_dict(),
            notes=(
                *self.network.base.notes,
                *network_notes(experiment, self.network),
                *schedule_notes(experiment),
                *attack_notes(experiment),
                *self.data.notes,
                *told_names(self.network.base.labels, self.data.sites),
                *MODELS.build(experiment.model).notes(self._module.module),
                *self.told,
                *state_notes(self._module.layout, experiment.buffers, self._module.counted),
                *self.room.notes(),
                *self._canary_notes(),
                *self._by_sample_notes(),
                *self._tested_notes(),
                *self._batch_notes(),
                *self._group_notes(),
            ),
        )

    @cached_property
    def room(self) -> Room:
        """How much disk it will take."""
        experiment = self.experiment
        held = next((data for data in self.data.nodes if len(data.train)), self.data.example)
        made = ExperimentNodes(
            experiment,
            self.network.base,
            self.data,
            self.seeds,
            attackers=self.attackers,
            device=device_here(experiment),
        )
        (node,) = made.all_on(held).nodes([0])
        keep, rounds, schedule = experiment.checkpoint, range(1, experiment.rounds + 1), run_schedule(experiment)
        saved = [round for round in rounds if schedule.checkpoints(round)]
        kept = saved if keep.keep == "all" else {*saved[-keep.keep :], *(set(saved) & set(keep.rounds))}
        return Room(
            nodes=self.network.base.num_nodes,
            model=node.parameters.nbytes,
            state=sum(tensor.nbytes for tensor in node.state_dict().values()),
            checkpoints=len(kept),
            recorded=len(experiment.record.among(experiment.rounds)),
            left_out=len(set(experiment.record.without)),
        )

    def _group_notes(self) -> Iterator[str]:
        """Where noise on gradients hides single samples, and an onlooker would ask of whole groups."""
        hiding = [settings.name for settings in self.experiment.methods if traits_of(settings).noise == "gradients"]
        if self.data.groups is not None and hiding:
            held = [self.data.groups[node.train.index.numpy()] for node in self.data.nodes]
            largest = max(int(np.unique(groups, return_counts=True)[1].max()) for groups in held)
            one = f"{hiding[0]} hides single samples: its epsilon is that of one"
            yield f"{one}, and a group has up to {largest} of them at a node, of which together more is given away"

    def _batch_notes(self) -> Iterator[str]:
        """Where no batch is as large as it is set to be."""
        asked, most = self.experiment.training.batch_size, max(len(node.train) for node in self.data.nodes)
        if most and asked > most:
            yield f"training.batch_size is {asked:,}, and no node trains on more than {most:,} samples: steps take all"

    def _tested_notes(self) -> Iterator[str]:
        """Where figures over nodes are those of a sample."""
        if tested := self.experiment.evaluate.tested_nodes:
            nodes = f"{tested:,} of {self.network.base.num_nodes:,} nodes"
            yield f"{nodes} are tested: means have a standard error, and the worst node is the worst of these"

    def _by_sample_notes(self) -> Iterator[str]:
        """Where gradients of samples are written out for a method that could do without."""
        methods = [settings.name for settings in self.experiment.methods]
        weighing = [name for name in methods if overrides(METHODS.load(name), "weigh_gradients")]
        if weighing:
            try:
                tried(self._module, *moved([self.data.example], self._module.device))
            except NotLayerwiseError as error:
                yield f"steps of {weighing[0]} write out the gradient of each sample, which takes longer: {error}"

    def _canary_notes(self) -> Iterator[str]:
        """Where too little is recorded for what was planted."""
        experiment = self.experiment
        recorded = len(experiment.record.among(experiment.rounds))
        canaries = experiment.data.canaries
        if canaries.marked and canaries.number:
            size = canaries.number * self.network.base.num_nodes
            if canaries.kind == "block":
                yield f"{size:,} of the parameters are a block for canaries, which no network reads"
            if canaries.coins is None:
                yield "coins of canaries follow from the seed; data.canaries.coins gives them a seed of the audit's own"
        elif canaries.number and recorded < experiment.rounds and experiment.mode == "synchronous":
            yield (
                f"canaries are planted and {recorded} of {experiment.rounds} rounds recorded: an audit of them sees no "
                "more of what nodes send; to keep all that it reads, set record.every=1 record.without=[mixed]"
            )
