"""From an experiment to the manifest of a deployed run, or what keeps it from being deployed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.config.experiment import Experiment
from simulator.config.parsing import load_part
from simulator.config.planning import exchanges
from simulator.core.backend import BACKENDS, Blueprint
from simulator.core.declaration import largest
from simulator.core.errors import wrong
from simulator.core.mixer import MIXERS
from simulator.core.node_program import NodeProgram
from simulator.core.paths import PACKAGE
from simulator.core.user_code.files import UserFile
from simulator.data.sites.sums import declared
from simulator.deployment.run_manifest import RunManifest, fingerprint, own_version
from simulator.deployment.settings import FlowerSettings
from simulator.deployment.tolerance import bears_losses
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.sealing import OVERHEAD
from simulator.deployment.versions import own_versions
from simulator.runs.build import Simulation, run_schedule
from topologies import Topology


@dataclass(frozen=True)
class DeploymentPlan:
    """What a deployment is made of.

    Attributes:
        experiment: the file that all nodes get.
        manifest: of the run.
        topology: all links.
        files: of the user's.
        sites: the names of nodes that are sites, each with data of its own; empty where all hosts have all data.
        largest: bytes of the longest message, sealed, where there is a mailbox; else 0.
    """

    experiment: str
    manifest: RunManifest
    topology: Topology
    files: Sequence[UserFile] = ()
    sites: Sequence[str] = ()
    largest: int = 0

    @classmethod
    def of(cls, nodes: Blueprint, settings: FlowerSettings) -> DeploymentPlan:
        """The plan for the nodes of one experiment.

        Raises:
            InputError: it cannot be deployed.
        """
        experiment, topology = nodes.experiment, nodes.topology
        _check(experiment, len(nodes.seeds))
        sites = experiment.data.sites
        if sites and sites.statistics:
            _check_all_can_agree(settings, topology.num_nodes)
        text, borne = _from_anywhere(experiment).to_yaml(), bears_losses(experiment)
        manifest = RunManifest(
            run=uuid.uuid4().hex,
            fingerprint=fingerprint(text.encode()),
            version=own_version(),
            versions=own_versions(),
            plane=settings.plane,
            nodes=topology.num_nodes,
            edges=" ".join(f"{sender}>{receiver}" for sender, receiver in topology.edges()),
            rounds=experiment.rounds,
            exchanges=exchanges(experiment),
            phase=settings.phase,
            round_timeout=settings.round_timeout,
            phase_timeout=settings.phase_timeout,
            join_timeout=settings.join_timeout,
            shared=nodes.shared_data,
            quorum=_quorum(settings, topology.num_nodes, borne),
            absences="borne" if borne else "waited out",
            statistics="agreed" if sites and sites.statistics else "declared",
            sums="masked" if MIXERS.load(experiment.mixer.name).traits(experiment.mixer).sums else "plain",
        )
        longest = _largest(nodes) if settings.plane == "relay" else 0
        return cls(text, manifest, topology, experiment.user_parts.files, sites.names if sites else (), longest)


def deployable(experiment: Experiment, **changes: Any) -> Experiment:
    """``experiment`` with the flower backend, and some of the backend's settings changed.

    Raises:
        InputError: a setting is wrong.
    """
    own = experiment.backend.model_dump() if isinstance(experiment.backend, FlowerSettings) else {"name": "flower"}
    return experiment.model_copy(update={"backend": load_part(BACKENDS, {**own, **changes})})


def plan(experiment: Experiment) -> DeploymentPlan:
    """The plan of ``experiment``, whose backend is flower; where nodes are sites, none of their data is opened.

    Raises:
        InputError: its data is not there, or it cannot be deployed.
    """
    settings = experiment.backend
    assert isinstance(settings, FlowerSettings)  # see `deployable`
    sites = experiment.data.sites is not None
    simulation = Simulation.of(experiment, opened={} if sites else None)
    nodes = simulation.blueprint.all_on(simulation.data.example) if sites else simulation.blueprint
    return DeploymentPlan.of(nodes, settings)


def _largest(nodes: Blueprint) -> int:
    """Bytes of the longest message that any node may send, sealed."""
    found = [0]
    for node in range(nodes.topology.num_nodes):
        (made,) = nodes.nodes([node])
        expected = Expected.of(NodeProgram(made), node, nodes.topology.neighbours(node), nodes.experiment.rounds)
        found += expected.largest.values()
    sites = nodes.experiment.data.sites
    if sites and sites.statistics:
        found.append(largest(declared(len(sites.data_schema.without_statistics))))
    return OVERHEAD + max(found)


def _quorum(settings: FlowerSettings, nodes: int, borne: bool) -> int:
    """How many nodes must be there at the start.

    Raises:
        InputError: there are not as many, or the experiment's parts need all of them.
    """
    quorum = nodes if settings.quorum is None else settings.quorum
    if quorum > nodes:
        raise wrong("backend.quorum", f"{quorum} of {nodes} nodes cannot be there.", "Give fewer, or leave it out.")
    if quorum < nodes and not borne:
        what = f"{quorum} of {nodes} nodes cannot begin: this experiment's mixer or methods need every message."
        raise wrong("backend.quorum", what, "Leave it out, or choose parts that bear losses, such as mixer: gossip.")
    return quorum


def _check_all_can_agree(settings: FlowerSettings, nodes: int) -> None:
    """All nodes have to be there for it.

    Raises:
        InputError: they need not be.
    """
    if settings.quorum not in (None, nodes):
        what = f"{settings.quorum} of {nodes} nodes cannot begin: all of them agree on statistics before round 1."
        raise wrong("backend.quorum", what, "Leave it out, or declare mean and std in the schema.")


def _from_anywhere(experiment: Experiment) -> Experiment:
    """``experiment`` with whole paths: nodes work in folders of their own. A home folder is that of each host."""
    data, subset = experiment.data, experiment.data.subset
    subset = subset and subset.model_copy(update={"run": _whole(subset.run)})
    data = data.model_copy(update={"root": _whole(data.root), "subset": subset})
    weights = {name: _whole(value) for name, value in experiment.model if isinstance(value, Path)}
    return experiment.model_copy(update={"data": data, "model": experiment.model.model_copy(update=weights)})


def _whole(path: Path) -> Path:
    return path if path.parts[:1] == ("~",) or str(path).startswith(PACKAGE) else path.absolute()


def _check(experiment: Experiment, networks: int) -> None:
    if experiment.mode != "synchronous":
        what = "asynchronous mode runs on a simulated clock, and a deployment on real ones."
        raise wrong("mode", what, "Set mode: synchronous, or another backend.")
    if handed := sorted(name for _, name in experiment.user_parts.classes):
        what = f"{handed[0]} is known to this Python process alone, and hosts take code from files that they have."
        raise wrong("backend", what, "Put the class into a file and name it there: my_file.py:Class.")
    if experiment.data.canaries.marked:
        what = "canaries whose gradients are marks are of one who sees all nodes, and so for simulations alone."
        raise wrong("data.canaries", what, "Set data.canaries.kind: mislabelled, or another backend.")
    if experiment.evaluate.tested_nodes is not None:
        what = "every node of a deployment measures itself."
        raise wrong("evaluate.tested_nodes", what, "Leave it out, or choose backend: local or ray.")
    if experiment.adversaries:
        what = "attackers exist in simulations alone: nodes of a deployment belong to others."
        raise wrong("adversaries", what, "Remove adversaries, or choose backend: local or ray.")
    if networks > 1:
        what = "several networks run as one cannot be deployed."
        raise wrong("backend", what, "Choose backend: local for replicas.")
    if run_schedule(experiment).in_step and not bears_losses(experiment):
        what = "a method may let single nodes leave the run early, and the other parts need every message."
        advice = "Leave out what ends it, such as max_epsilon; or choose parts that bear it, such as mixer: gossip."
        raise wrong("methods", what, advice)
