"""Flower's two engines on this machine: SuperNodes as on as many machines, or its own simulation of them."""

from __future__ import annotations

from pathlib import Path

from simulator.core.backend import Workers
from simulator.deployment import commands
from simulator.deployment.addresses import Addresses
from simulator.deployment.control import Control
from simulator.deployment.instructions import SIMULATION
from simulator.deployment.processes import Processes, wait_for_superlink
from simulator.deployment.site.lab import write_lab_policy
from simulator.deployment.site.policy_file import VARIABLE
from simulator.deployment.transport.certificates import name_of


class DeploymentEngine:
    """A SuperLink with TLS, and for every node a SuperNode with a key of its own.

    Args:
        folder: the deployment's, already written.
        sites: where each node's site has its policy and its ledger, outside that folder.
        rounds: of the run.
        addresses: of everything.
        control: Flower's command line.
        processes: where they are started, and by whom they are ended.
    """

    def __init__(
        self, folder: Path, sites: Path, rounds: int, addresses: Addresses, control: Control, processes: Processes
    ) -> None:
        self._folder, self._sites, self._rounds = folder, sites, rounds
        self._addresses, self._control, self._processes = addresses, control, processes

    def start(self) -> None:
        """Start the SuperLink and the SuperNodes.

        Raises:
            RunError: Flower does not start.
        """
        superlink, link = self._addresses.superlink, self._folder / "superlink"
        self._processes.start("superlink", commands.superlink(superlink), link)
        wait_for_superlink(superlink, link / "ca.crt", self._processes.children["superlink"])
        self._processes.start("superexec", commands.superexec(superlink), link)
        for node, runtime in enumerate(self._addresses.runtimes):
            name = name_of(node)
            folder = self._folder / "nodes" / name
            self._control.register(folder / "supernode.pub", name)
            policy = write_lab_policy(self._sites / name, name, folder, self._rounds)
            command = commands.supernode(superlink, runtime, folder)
            self._processes.start(name, command, folder, {VARIABLE: str(policy)})

    def submit(self) -> str:
        """Start the app; returns the run's number."""
        return self._control.submit()

    def workers(self) -> Workers:
        """How many SuperNodes are alive, and how many there should be."""
        nodes = [child for name, child in self._processes.children.items() if name.startswith("node-")]
        return Workers(sum(child.alive for child in nodes), len(nodes))


class SimulationEngine:
    """Flower's simulation, which its command line starts: its SuperNodes are turns of a few actors, without keys.

    What the nodes say to each other is protected as ever.

    Args:
        folder: the deployment's, already written.
        nodes: how many.
        control: Flower's command line.
    """

    def __init__(self, folder: Path, nodes: int, control: Control) -> None:
        self._folder, self._nodes, self._control = folder, nodes, control

    def start(self) -> None:
        """Have the command line know the simulation by the name of the deployment."""
        (self._folder / "superlink" / "home" / "config.toml").write_text(SIMULATION)

    def submit(self) -> str:
        """Start the app; returns the run's number."""
        size = f"num-supernodes={self._nodes} client-resources-num-cpus=1 init-args-num-cpus={self._nodes}"
        return self._control.submit("--run-config", f'folder="{self._folder}"', "--federation-config", size)

    def workers(self) -> Workers:
        """Actors, which Ray starts again itself: one a node, since all work at once."""
        return Workers(self._nodes, self._nodes)
