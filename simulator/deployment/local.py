"""The backend flower: a whole deployment on this machine, over TLS on loopback, for as long as the run lasts."""

from __future__ import annotations

import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from simulator.core.backend import Backend, Blueprint, Order, Replies, Workers
from simulator.core.errors import RunError, wrong
from simulator.data.sites.opening import paths_of
from simulator.deployment.addresses import Addresses
from simulator.deployment.collecting import Collection
from simulator.deployment.commands import environment
from simulator.deployment.control import COMPLETED, Control, Status
from simulator.deployment.engines import DeploymentEngine, SimulationEngine
from simulator.deployment.folder import write_folder
from simulator.deployment.guard import guarded
from simulator.deployment.node_folder import ERRORS
from simulator.deployment.plan import DeploymentPlan
from simulator.deployment.processes import Processes, start_mailbox
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.settings import FlowerSettings
from simulator.deployment.site.lab import write_lab_policy
from simulator.deployment.site.policy_file import VARIABLE
from simulator.deployment.transport.certificates import name_of
from simulator.deployment.transport.saved_rounds import SavedRounds

POLL = 0.1  # seconds between two looks at the nodes' disks
ASK = 10.0  # seconds without a step of a node's, until the run's status is asked for, which takes a process of its own
LATE = 5.0  # seconds that files may take to appear after the run has finished
LINES = 40  # of the ServerApp's log, where a run fails


class Flower(Backend):
    """Nodes in SuperNodes of Flower's, a process each, that exchange messages as they would on as many machines.

    A SuperLink and the SuperNodes are started with TLS and authentication, each node with a folder of its own; what the
    nodes write there is read as they write it, and they run ahead of the reader. A SuperNode or a SuperLink that dies
    is started again, and its node goes on from its last round. All of them and the folder go with this process, even
    where it is killed (`simulator.deployment.guard`). For other machines, see `rumormill deploy init`. With
    ``engine: simulation``, Flower's own simulation runs the same app in the same folders.
    """

    Config = FlowerSettings
    config: FlowerSettings
    simulates: ClassVar[bool] = False

    def start(self, blueprint: Blueprint) -> None:
        """Start the SuperLink and the SuperNodes.

        Raises:
            InputError: the experiment cannot be deployed.
            RunError: Flower does not start.
        """
        _check_collects(self.config)
        _check_noise(blueprint)
        plan = DeploymentPlan.of(blueprint, self.config)
        self._run: str | None = None
        self._asked = self._finished = 0.0
        self._read = 0  # steps of nodes, when it was last looked
        with _ended_in_order(), ExitStack() as opened:
            temporary = tempfile.TemporaryDirectory(prefix="rumormill-deployment-", ignore_cleanup_errors=True)
            self.folder = Path(opened.enter_context(temporary)) / "deployment"
            opened.enter_context(guarded(self.folder))  # before there is a key or a process
            addresses = loopback(plan.manifest.nodes, mailbox=self.config.plane == "relay")
            data = paths_of(blueprint.experiment.data)  # each node is given its own out of the simulation's folder
            write_folder(
                self.folder, plan.experiment, plan.manifest, plan.topology, addresses, plan.files, data, plan.largest
            )
            environment = _environment(self.folder, addresses)
            if self.config.engine == "simulation":  # which has one environment, so that all nodes are of one site
                lab = write_lab_policy(self._sites / "lab", "lab", self._node_folder(0), plan.manifest.rounds)
                environment[VARIABLE] = str(lab)
            self.processes = Processes(self.folder, environment)
            self._control = Control(self.folder, self.processes.environment)
            opened.callback(self.processes.stop)
            start_mailbox(self.folder / "superlink", self.processes)
            self._engine = self._engine_of(plan.manifest, addresses)
            self._engine.start()
            nodes, run = range(plan.manifest.nodes), plan.manifest.run
            memories = {node: SavedRounds.of(self._node_folder(node), run) for node in nodes}
            self._collection = Collection.of(blueprint, memories, self._wait)
            self._opened = opened.pop_all()

    def superstep(self, order: Order) -> Callable[[], Replies]:
        """What the nodes do without being told; what is returned waits until they have."""
        if self._run is None:
            self._run, self._asked = self._engine.submit(), time.monotonic()
        collect = self._collection.superstep(order)
        return (lambda: self._last(collect)) if order.finalize else collect

    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Have the nodes begin with these states.

        Raises:
            RunError: they have begun already.
        """
        if self._run is not None:
            raise RunError("nodes of a deployment cannot be put back while they run.")
        self._collection.load(states)

    def workers(self) -> Workers:
        """SuperNodes, or the actors that stand for them."""
        return self._engine.workers()

    def carried(self) -> Mapping[str, int]:
        """What went through the SuperLink, which is control; a simulation counts nothing."""
        assert self._run is not None  # it is asked for after a run
        through = self._control.status(self._run).traffic
        return {"Flower's SuperLink": through} if through else {}

    def close(self) -> None:
        """Stop the run and end all processes; the deployment's folder is gone then."""
        if self._run is not None and not self._finished:
            with suppress(RunError):
                self._control.stop(self._run)
        self._opened.close()

    @property
    def _sites(self) -> Path:
        return self.folder.parent / "sites"

    def _node_folder(self, node: int) -> Path:
        return self.folder / "nodes" / name_of(node)

    def _engine_of(self, manifest: RunManifest, addresses: Addresses) -> DeploymentEngine | SimulationEngine:
        if self.config.engine == "deployment":
            rounds = manifest.rounds
            return DeploymentEngine(self.folder, self._sites, rounds, addresses, self._control, self.processes)
        return SimulationEngine(self.folder, manifest.nodes, self._control)

    def _wait(self) -> None:
        """Some time passes; what has died is started again.

        Raises:
            RunError: Flower's run has ended without what is waited for.
        """
        time.sleep(POLL)
        self.processes.tend()
        if self._collection.read != self._read and not self._finished:  # a run whose nodes get on has not ended
            self._read, self._asked = self._collection.read, time.monotonic()
        if time.monotonic() - self._asked < ASK or self._run is None:
            return
        self._asked = time.monotonic()
        status = self._status()
        if status and self._finished:
            self._fail(status.name)
        elif status:  # what it has done last may not be seen yet
            self._finished, self._asked = time.monotonic(), time.monotonic() - ASK + LATE

    def _last(self, collect: Callable[[], Replies]) -> Replies:
        """The end of the run, which is a success where Flower says so, too."""
        replies = collect()
        while not (status := self._status()):
            time.sleep(1)
            self.processes.tend()
        self._finished = time.monotonic()
        if status.name != COMPLETED:
            self._fail(status.name)
        return replies

    def _status(self) -> Status | None:
        """How the run has ended; None if it has not, or while the SuperLink is started again and does not answer."""
        assert self._run is not None  # it is asked for during a run
        try:
            status = self._control.status(self._run)
        except RunError:
            return None
        return status if status.finished else None

    def _fail(self, status: str) -> None:
        assert self._run is not None  # it has a status
        said = self._control.log(self._run).strip().splitlines()[-LINES:]
        texts = (file.read_text(errors="replace") for file in sorted(self.folder.glob(f"nodes/*/{ERRORS}")))
        own = "".join(texts).splitlines()[-LINES:]
        lines = ["The ServerApp's last words:", *said, *(["The nodes' own:", *own] if own else ())]
        raise RunError(f"Flower's run ended as {status}. " + "\n    ".join(lines))


def _check_collects(config: FlowerSettings) -> None:
    if config.collect == "nothing":
        what = "a run on this machine is made of what its nodes lay out, which would be nothing."
        raise wrong("backend.collect", what, "Set it to models; `rumormill deploy init` takes both.")


def _check_noise(blueprint: Blueprint) -> None:
    sites = blueprint.experiment.data.sites
    if sites and sites.statistics and sites.statistics.noise_multiplier is not None:
        what = "nodes draw the noise of statistics from secrets of their own, and what they agree on is not known here."
        raise wrong("data.sites.statistics", what, "Run it with backend: local, or as a deployment: deploy init.")


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM end what is under way as Ctrl-C does, so that no process is left; the engine has its own way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _environment(folder: Path, addresses: Addresses) -> dict[str, str]:
    """Flower's simulation is started by its command line, which takes ports from here alone, in a Ray of its own."""
    port, other = addresses.superlink.rpartition(":")[2], str(addresses.runtimes[0])
    ports = {"FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": port, "FLWR_LOCAL_CONTROL_API_PORT": other}
    ray = {"RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0"}
    return {**environment(folder / "superlink" / "home"), **ports, **ray}


def loopback(nodes: int, mailbox: bool = False) -> Addresses:
    """Free ports, all different; one of them for a mailbox, if there is to be one."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(2 * nodes + 2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in sockets]
    link, other, *own = [f"127.0.0.1:{port}" for port in ports[: nodes + 2]]
    letters = (other, other) if mailbox else ("", "")
    return Addresses(link, own, ports[nodes + 2 :], link, link, *letters)
