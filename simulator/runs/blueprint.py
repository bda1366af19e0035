"""The nodes of an experiment, made wherever they are to run: the same ones on every backend."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from simulator.config.attackers import liars
from simulator.config.experiment import AdversarySettings, Experiment
from simulator.core.adversary import ADVERSARIES
from simulator.core.aligned_rows import aligned_rows
from simulator.core.attackers import Attacker, Attackers
from simulator.core.backend import BACKENDS
from simulator.core.buffers.discovery import check_declared, findings, set_training_modes
from simulator.core.buffers.layout import Layout
from simulator.core.canary_marks import add_block
from simulator.core.copied_inputs import give_copies
from simulator.core.errors import InputError, no_cuda, wrong
from simulator.core.flat_module import FlatModule
from simulator.core.lazy_layers import give_shapes
from simulator.core.method import METHODS, traits_of
from simulator.core.mixer import MIXERS
from simulator.core.model_registry import MODELS
from simulator.core.model_size import built, check_room_for_models
from simulator.core.node import Node, SharedSettings
from simulator.core.place import Place
from simulator.core.samples import NodeData, moved
from simulator.core.secrets import Secrets
from simulator.core.seeding import global_seed
from simulator.core.specification import InputSpec
from simulator.data.splits import NetworkData
from simulator.training.hooks import combines
from simulator.training.separable import check_layers
from topologies import Topology, eigenvalues

TRIED = 4  # samples at most, to find out what a network does to its buffers


@dataclass(frozen=True)
class ExperimentNodes:
    """The `Blueprint` of an experiment: its nodes, on ``data``, once for each of ``seeds``.

    Several seeds are several networks run as one: node r n + i is node i of network r, which consists of n nodes and
    does what it would do by itself under its own seed.

    Attributes:
        experiment: the settings; of its seed no use is made here.
        topology: of all networks, side by side.
        data: of all their nodes.
        seeds: one a network, for initial parameters and the order of batches.
        secrets: of the only node that is made here, in a deployment; see `Secrets`.
        attackers: who lies in each of the networks; empty where nobody does.
        device: of what is made in this process, where it only leads workers that train elsewhere; None: where the
            experiment trains.
        beginning: of the first network, as `beginning_of` tells it; all that are made from then on must begin so.
    """

    experiment: Experiment
    topology: Topology
    data: NetworkData
    seeds: Sequence[int]
    secrets: Secrets | None = None
    attackers: Sequence[Attackers] = ()
    device: str | None = None
    beginning: Tensor | None = None

    def nodes(self, ids: Sequence[int]) -> list[Node]:
        """The nodes ``ids``; those of a network have the same initial parameters, and all are rows of one matrix.

        Raises:
            InputError: a method cannot work at a node.
        """
        n = self.topology.num_nodes // len(self.seeds)
        modules = {network: self._module(self.seeds[network]) for network in sorted({id // n for id in ids})}
        _check_same_constants(modules.values())
        canaries = self.data.example.canaries
        marks = (
            {network: canaries.marks(each.num_parameters, each.block) for network, each in modules.items()}
            if canaries
            else {}
        )
        lying = liars(self.experiment)
        matrix = aligned_rows([modules[id // n].initial for id in ids])
        held, nodes = moved([self.data.nodes[id] for id in ids], matrix.device), []
        for id, parameters, data in zip(ids, matrix, held, strict=True):
            place = Place.among(self.topology, id)
            methods = [METHODS.build(settings) for settings in self.experiment.methods]
            try:
                mixer = MIXERS.build(self.experiment.mixer)
                shared, buffers = self._shared(network=id // n, node=id % n), modules[id // n].initial_buffers
                attacker = _attacker(lying[id % n]) if id % n in lying else None
                mark = marks.get(id // n)
                nodes.append(Node(place, shared, data, parameters, mixer, methods, buffers, mark, attacker))
            except InputError as error:
                raise error.under(f"node {id}") from error
        _in_one_matrix(nodes)
        return nodes

    @property
    def shared_data(self) -> str:
        """Identifies the samples that all nodes share, or draw theirs from."""
        return self.data.shared

    def with_secrets(self, secrets: Secrets) -> ExperimentNodes:
        """The same, its random numbers keyed by ``secrets``; only the node that they are of can be made."""
        return replace(self, secrets=secrets)

    def for_workers(self, ids: Collection[int] | None) -> ExperimentNodes:
        """The same where the nodes ``ids`` are made, with no more samples than those of theirs, or else all."""
        return replace(self, device=None, data=self.data if ids is None else self.data.only(ids, TRIED))

    def all_on(self, data: NodeData) -> ExperimentNodes:
        """The same nodes, each with ``data``: for what can be tried where their own are not."""
        return replace(self, data=replace(self.data, nodes=(data,) * len(self.data.nodes)))

    def check_room(self) -> None:
        """Refuse models that do not fit into memory: all nodes' in one process, or else one.

        Raises:
            InputError: they are such.
        """
        model, data = MODELS.build(self.experiment.model), self.data.example
        model.check(data.inputs)
        together = BACKENDS.load(self.experiment.backend.name).in_one_process
        held = self.topology.num_nodes if together else 1
        with global_seed(0, "model.size"):
            check_room_for_models(
                lambda: add_block(model.build(_seen(data), data.outputs), data.canaries),
                held,
                8 if self.experiment.training.precision == "fp64" else 4,
            )

    def module(self) -> FlatModule:
        """The experiment's network, initialised by the first seed, as its nodes are: the same at every call.

        Raises:
            InputError: the network cannot be mixed, a method cannot work with it, or it mixes samples where a method
                needs a gradient of each.
        """
        return self._module(self.seeds[0])

    def _shared(self, network: int, node: int) -> SharedSettings:
        """What node ``node`` of a network is told."""
        experiment, n = self.experiment, self.topology.num_nodes // len(self.seeds)
        augmentation, channels = experiment.data.augment, self.data.nodes[network * n + node].channels
        augment = partial(augmentation, channels=channels) if augmentation.is_on else None
        return SharedSettings(
            seed=self.seeds[network],
            nodes=n,
            rounds=experiment.rounds,
            training=experiment.training.of(node),
            augment=augment,
            recorded=experiment.record.among(experiment.rounds),
            unrecorded=experiment.record.without,
            first=network * n,
            secrets=self.secrets,
            spectrum=self._spectrum(slice(network * n, (network + 1) * n)),
            attackers=self.attackers[network] if self.attackers else None,
        )

    @property
    def overhearing(self) -> Collection[int]:
        """The omniscient attackers of all networks."""
        return sorted(node for each in self.attackers for node in each.overhearing)

    def _spectrum(self, network: slice) -> tuple[float, ...]:
        """Eigenvalues of the W of a network, if a method asks for them."""
        if not any(traits_of(settings).asks_spectrum for settings in self.experiment.methods):
            return ()
        return tuple(eigenvalues(self.topology.weights[network, network]).tolist())

    def _module(self, seed: int) -> FlatModule:
        experiment, data = self.experiment, self.data.example
        rows = torch.arange(min(TRIED, self._smallest_batch)) % len(data.train)
        tried = data.preparation(data.train.inputs_at(rows))
        with global_seed(seed, "model.initialisation"):
            model, seen = MODELS.build(experiment.model), _seen(data)
            network = built(lambda: model.build(seen, data.outputs))
            give_shapes(network, tried)
            network = add_block(network, data.canaries)
        set_training_modes(network, experiment.buffers)
        if by_sample(experiment):
            check_layers(network)
        found = findings(network, tried)
        if found.writes_to_inputs:
            give_copies(network)
        check_declared(found.layout, experiment.buffers, network)
        _check_private(experiment, found.layout)
        _check_masked(experiment, found.layout)
        self._check_methods(network)
        precision, device = experiment.training.precision, self.device or experiment.training.device
        if device == "cuda" and not torch.cuda.is_available():
            raise no_cuda(f"no CUDA device can be used on {socket.gethostname()}.")
        made = FlatModule(network, precision, device, found.layout, experiment.buffers, found.is_random, found.counted)
        if self.beginning is not None and seed == self.seeds[0]:
            _check_begins_alike(self.beginning, beginning_of(made))
        return made

    @property
    def _smallest_batch(self) -> int:
        """Of any node whose data are there: some layers, such as batch normalisation, cannot be trained with one."""
        n, training = self.topology.num_nodes // len(self.seeds), self.experiment.training
        held = [(id % n, len(node.train)) for id, node in enumerate(self.data.nodes) if len(node.train)]
        return min((min(training.of(node).batch_size, size) for node, size in held), default=TRIED)

    def _check_methods(self, network: nn.Module) -> None:
        for number, settings in enumerate(self.experiment.methods):
            if problems := list(METHODS.load(settings.name).check_network(settings, network)):
                raise InputError(*problems).under(f"methods[{number}]")


def by_sample(experiment: Experiment) -> bool:
    """Whether a method asks for the gradient of each sample."""
    return any(combines(METHODS.load(settings.name)) for settings in experiment.methods)


def _check_private(experiment: Experiment, layout: Layout | None) -> None:
    """Refuse running statistics that a method's promise of privacy does not cover.

    Raises:
        InputError: naming the method and the layers.
    """
    if layout is None or experiment.buffers is None:
        return
    protecting = [settings.name for settings in experiment.methods if traits_of(settings).noise]
    if protecting and (by_sample(experiment) or experiment.buffers.ever_travel):
        layers = ", ".join(layer or "the network itself" for layer in layout.layers[:3])
        what = f"running statistics are a function of the raw batch, which {protecting[0]} does not cover: {layers}."
        advice = "Use group or evonorm normalisation, or statistics that never move: buffers: {policy: frozen}."
        raise wrong("buffers", what, advice)


def _check_masked(experiment: Experiment, layout: Layout | None) -> None:
    """Refuse running statistics that travel beside masked models.

    Raises:
        InputError: naming the mixer and the layers.
    """
    hides = MIXERS.load(experiment.mixer.name).traits(experiment.mixer).sums
    if hides and layout is not None and experiment.buffers is not None and experiment.buffers.ever_travel:
        layers = ", ".join(layer or "the network itself" for layer in layout.layers[:3])
        what = f"running statistics travel beside what {experiment.mixer.name} masks, each node's own: {layers}."
        raise wrong("buffers", what, "Set buffers: local, or another network or mixer.")


def beginning_of(module: FlatModule) -> Tensor:
    """float64 [tensors, 2]: of each, the sum and the norm of what it begins with."""
    views = module.views(module.initial.detach().double().cpu())
    return torch.stack([torch.stack([view.sum(), view.norm()]) for view in views])


def _check_begins_alike(first: Tensor, second: Tensor) -> None:
    """Refuse a network that begins otherwise each time it is made, as each worker makes it; but for rounding.

    Raises:
        InputError: it does.
    """
    if ((first - second).abs() > 1e-3 * first[:, 1:]).any():
        what = "the network begins otherwise each time it is made, so that workers would have different ones."
        advice = "Draw initial parameters by torch, or from a generator with a seed: np.random.default_rng(0)."
        raise wrong("model", what, advice)


def _check_same_constants(modules: Iterable[FlatModule]) -> None:
    """Refuse networks that would share frozen parameters and constants, and have others each.

    Raises:
        InputError: they depend on the seed.
    """
    if len({module.constants for module in modules}) > 1:
        what = "frozen parameters or constant buffers depend on the seed, and networks run as one share them."
        raise wrong("model", what, "Make them under a seed of their own, or read them from a file.")


def _seen(data: NodeData) -> InputSpec:
    """A network's input; where each node holds one modality, that is its ``own``."""
    if not data.modalities:
        return data.inputs
    return replace(data.inputs, channels=tuple(replace(channel, group="own") for channel in data.channels))


def _attacker(block: AdversarySettings) -> Attacker:
    """What one of the nodes of ``block`` does."""
    return Attacker(ADVERSARIES.build(block.attack), block.from_round, block.knowledge == "omniscient")


def _in_one_matrix(nodes: Sequence[Node]) -> None:
    """Let the nodes' momenta be rows of one matrix, as their parameters are."""
    momenta = [node.momentum for node in nodes if node.momentum is not None]
    for node, row in zip(nodes, aligned_rows(momenta) if momenta else (), strict=False):
        node.momentum = row
