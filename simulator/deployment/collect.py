"""A run directory from what the nodes of a finished deployment, on whatever hosts, have left on their disks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from simulator.config.parsing import load_experiment
from simulator.core.backend import Backend, Blueprint, Order, Replies, Workers
from simulator.core.errors import InputError, wrong
from simulator.core.observer import Observer
from simulator.core.registry import PartSettings
from simulator.core.report import STATISTICS
from simulator.data.sites.statistics import Statistics
from simulator.deployment.collecting import Collection
from simulator.deployment.files import EXPERIMENT
from simulator.deployment.node_folder import LAID_OUT, other_samples, reported_rounds
from simulator.deployment.open_settings import OpenSettings
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.transport.certificates import name_of
from simulator.deployment.transport.saved_rounds import SavedRounds
from simulator.runs.build import Simulation
from simulator.runs.launch import run_simulation
from simulator.runs.run import Run


class Collected(Backend):
    """The nodes of a run that is over, in the folder of its deployment, ``without`` some that will not come back."""

    def __init__(self, config: PartSettings, folder: Path, without: Set[int] = frozenset()) -> None:
        super().__init__(config)
        self._folder, self._without = folder, without

    def start(self, blueprint: Blueprint) -> None:
        """Look for what the nodes have written.

        Raises:
            InputError: the folder is none of a deployment, or a node's part is missing.
        """
        manifest = RunManifest.of_folder(self._folder)
        memories = {}
        for node in range(manifest.nodes):
            report = _report(self._folder, node, manifest)
            whole = (rounds := reported_rounds(report)) >= manifest.rounds
            if whole and node in self._without:
                what = f"{report} holds all rounds of {name_of(node)}, which is not to be left out then."
                raise wrong("--without", what, f"Collect it, too: leave out --without {name_of(node)}.")
            if not whole and node not in self._without:
                what = f"holds {rounds} of {manifest.rounds} rounds of run {manifest.run}."
                raise _unfinished(report, what, f" Of one that never comes back: --without {name_of(node)}.")
            if whole:
                memories[node] = SavedRounds.of(self._folder / "nodes" / name_of(node), manifest.run)
        self._collection = Collection.of(blueprint, memories, lambda: _gap(self._folder))

    def superstep(self, order: Order) -> Callable[[], Replies]:
        """What the nodes did."""
        return self._collection.superstep(order)

    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Nothing can be changed any more."""
        raise TypeError("what a deployment has done cannot be changed")

    def workers(self) -> Workers:
        """None of them runs."""
        return Workers(0, len(self._collection.memories))

    def hosts(self) -> Mapping[str, str]:
        """The versions on each node's host, as it has laid them out."""
        return {name_of(node): memory.versions() for node, memory in self._collection.memories.items()}

    def not_collected(self) -> Sequence[int]:
        """The nodes that are left out."""
        return sorted(self._without)


def collect(
    folder: Path, out: str | Path = "runs", observers: Sequence[Observer] = (), without: Sequence[str] = ()
) -> Run:
    """Make a run directory under ``out`` of the finished deployment in ``folder``.

    Where nodes are sites, none of their data is asked for: who held what, and how good the consensus model is on the
    sites' own test samples, is not in it then.

    Args:
        folder: the deployment's.
        out: the folder of run directories.
        observers: who looks on.
        without: nodes that will not come back, as "node-3": what they have measured, sent and become is not in it, and
            neither are messages to them.

    Raises:
        InputError: the folder is none of a deployment, or a node's part is missing or not finished; or one that is to
            be left out is there.
    """
    manifest = RunManifest.of_folder(folder)  # before the data is loaded
    absent = _numbers(without, manifest.nodes)
    experiment = load_experiment(folder / EXPERIMENT, recorded=True)
    simulation = Simulation.of(
        experiment, opened={} if experiment.data.sites else None, statistics=_statistics(folder, manifest, absent)
    )
    if simulation.data.shared != manifest.shared:
        raise other_samples(str(folder), OpenSettings.of(experiment).shared_names)
    backend = Collected(simulation.backend.config, folder, absent)
    return run_simulation(replace(simulation, backend=backend), out, observers)


def _numbers(names: Sequence[str], nodes: int) -> set[int]:
    """The nodes that are called so.

    Raises:
        InputError: one is none of the deployment's, or none would be left.
    """
    known = {name_of(node): node for node in range(nodes)}
    for name in names:
        if name not in known:
            what = f"'{name}' is no node of this deployment, which has {name_of(0)} to {name_of(nodes - 1)}."
            raise wrong("--without", what, f"Write it as {name_of(nodes - 1)}; repeat the option for another one.")
    if len(set(names)) == nodes:
        raise wrong("--without", "no node is left to collect.", "Name those alone that never come back.")
    return {known[name] for name in names}


def _report(folder: Path, node: int, manifest: RunManifest) -> Path:
    return folder / "nodes" / name_of(node) / LAID_OUT / manifest.run


def _statistics(folder: Path, manifest: RunManifest, without: Set[int]) -> Statistics | None:
    """What the nodes have agreed on before round 1; None where they have not, or it was not laid out.

    Raises:
        InputError: they do not say the same, or some do not say it.
    """
    files = [_report(folder, node, manifest) / STATISTICS for node in range(manifest.nodes) if node not in without]
    if not manifest.agrees or not any(file.exists() for file in files):
        return None
    for file in files:
        if not file.exists():
            raise _unfinished(file, "is not there, and others of its kind are.")
    found = [Statistics.read(file) for file in files]
    for file, statistics in zip(files, found, strict=True):
        if statistics != found[0]:
            what = f"says other statistics than {files[0]}, and all nodes have agreed on the same."
            raise wrong(str(file), what, "Ask who runs these nodes.")
    return found[0]


def _gap(folder: Path) -> None:
    raise _unfinished(folder, "lacks a step of a round that is finished.")


def _unfinished(folder: Path, what: str, otherwise: str = "") -> InputError:
    advice = f"Let the run finish, and bring nodes/node-N/report of all nodes together here.{otherwise}"
    return wrong(str(folder), what, advice)
