"""A deployment without Flower: its folder, and its nodes as threads of this process."""

import shutil
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import SystemRandom
from types import MappingProxyType
from typing import ClassVar

from simulator.core.user_code.files import CODE
from simulator.data.sites.opening import paths_of
from simulator.deployment.addresses import NOWHERE, Addresses
from simulator.deployment.agreement import agree
from simulator.deployment.collect import collect
from simulator.deployment.folder import write_folder
from simulator.deployment.keys.on_the_host import init, join
from simulator.deployment.keys.signing import sign
from simulator.deployment.mailbox_process import MailboxSettings
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.phase import take_part
from simulator.deployment.plan import deployable, plan
from simulator.deployment.site.gate import Gate
from simulator.deployment.site.lab import write_lab_policy

PORTS = range(20_000, 32_000)  # of which the system gives none to connections, and Ray none to its workers


def free_addresses(count):
    with ExitStack() as held:
        sockets = []
        while len(sockets) < count:
            each = held.enter_context(socket.socket())
            with suppress(OSError):
                each.bind(("127.0.0.1", SystemRandom().choice(PORTS)))
                sockets.append(each)
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def free_ports(count):
    """So many in a row."""
    while True:
        first = SystemRandom().choice(PORTS)
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return range(first, first + count)


class OneAtATime(NodeFolder):
    """In one process, nodes are made one after the other: torch has one random generator for what they begin with."""

    lock = threading.Lock()
    read_before: ClassVar[dict] = {}  # by text: each real process reads it once, and here hundreds of them are one

    def peer(self, manifest, gate):
        with self.lock:
            return super().peer(manifest, gate)

    def admitted(self, manifest, gate):
        with self.lock:
            return super().admitted(manifest, gate)

    def experiment(self):
        text = (self.folder / "experiment.yaml").read_bytes()
        if (self.folder / CODE).is_dir():  # which is read with it, and may be another
            return super().experiment()
        if text not in self.read_before:
            self.read_before[text] = super().experiment()
        return self.read_before[text]


class Deployment:
    """The folder of ``experiment``'s deployment, written to ``path``, with all keys in it.

    To nodes that are ``unreachable`` nobody can connect.
    """

    lab_keys = True

    def __init__(self, experiment, path, unreachable=(), **settings):
        self.folder = Path(path) / "deployment"
        self.experiment = deployable(experiment, **settings)
        ready = plan(self.experiment)
        self.manifest, self.links = ready.manifest, ready.manifest.links
        addresses = self.addresses(ready.manifest.nodes, ready.manifest.plane, unreachable)
        data = paths_of(self.experiment.data)
        experiment, topology, files, lab = ready.experiment, ready.topology, ready.files, self.lab_keys
        write_folder(
            self.folder, experiment, self.manifest, topology, addresses, files, data, ready.largest, lab_keys=lab
        )
        for node in range(self.manifest.nodes):
            own = self.folder / "nodes" / f"node-{node}"
            write_lab_policy(self.policy(node).parent, f"site-{node}", own, self.manifest.rounds)

    def addresses(self, nodes, plane, unreachable=()):
        """On loopback; there are no programs of Flower's. Nobody can connect to nodes that are ``unreachable``."""
        link, (mailbox, *own) = "127.0.0.1:9443", free_addresses(nodes + 1)
        own = [NOWHERE if node in unreachable else address for node, address in enumerate(own)]
        return Addresses(link, own, range(nodes), link, link, *((mailbox, mailbox) if plane == "relay" else ("", "")))

    def place(self, node):
        """Where the node's own folder stands."""
        return self.folder / "nodes" / f"node-{node}"

    def node_folder(self, node):
        return OneAtATime.read(self.place(node))

    def policy(self, node):
        """Where the policy of the node's site stands."""
        return self.folder.parent / "sites" / f"node-{node}" / "site.yaml"

    def gate(self, node, **manifest):
        """The gate that a message to the node begins with."""
        return Gate(self.policy(node), self.node_folder(node), replace(self.manifest, **manifest))

    def agree(self, nodes=None, seconds=200.0):
        """An attempt of all ``nodes`` at once to agree on statistics; by node, whether it has, or what it raised."""
        return self._at_once(lambda number: self._agreed(number, seconds), nodes, seconds)

    def _agreed(self, number, seconds):
        deadline = time.monotonic() + seconds
        return agree(self.node_folder(number), self.manifest, self.gate(number), deadline)

    def p2p(self, until, nodes=None, seconds=200.0, away=(), over=0, late=(), leaving=MappingProxyType({}), **manifest):
        """A phase: `take_part` of all ``nodes`` at once, with others said to be ``away`` and rounds to be ``over``.

        Those ``late`` begin when their neighbours listen, those ``leaving`` go after so many rounds. Gives, by node,
        how many rounds each has finished, or what it raised.
        """
        deadline = time.monotonic() + seconds

        def node(number):
            terms, gate = replace(self.manifest, **manifest), self.gate(number, **manifest)
            if number in late:
                for address in self.node_folder(number).neighbours.values():
                    _until_heard(address)
            last = leaving.get(number, until)
            return take_part(self.node_folder(number), terms, gate, last, deadline, away, over).round

        return self._at_once(node, nodes, seconds)

    def _at_once(self, work, nodes, seconds):
        found = {}

        def node(number):
            try:
                found[number] = work(number)
            except Exception as error:
                found[number] = error

        every = range(self.manifest.nodes) if nodes is None else nodes
        threads = [threading.Thread(target=node, args=(number,), name=f"node-{number}") for number in every]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 10)
        return found

    def relay(self, until, nodes=None, **more):
        """As `p2p`, with a mailbox that is there as long as the phase."""
        with self.mailbox():
            return self.p2p(until, nodes, **more)

    def on(self, plane, until, **more):
        """A phase on that plane."""
        return (self.p2p if plane == "p2p" else self.relay)(until, **more)

    @contextmanager
    def mailbox(self):
        """The deployment's mailbox, in this process."""
        folder = self.folder / "superlink"
        mailbox = MailboxSettings.read(folder).opened(folder)
        try:
            yield mailbox
        finally:
            mailbox.close()

    def collected(self, out):
        """The run directory of what the nodes did."""
        return collect(self.folder, out).path


class Consortium(Deployment):
    """A deployment whose nodes' keys are made on their hosts, each a folder below ``path/hosts``; nobody is signed."""

    lab_keys = False

    def place(self, node):
        return self.folder.parent / "hosts" / f"node-{node}"

    def request(self, node):
        """What the host sends the organiser, once it has made its keys."""
        init(self.place(node))
        return self.place(node) / "request.csr"

    def delivered(self, node):
        """What the organiser sends the host of a node, which takes it in."""
        return join(self.place(node), self.folder / "nodes" / f"node-{node}")

    def onboarded(self):
        """All have made their keys and have been signed, one after the other."""
        for node in range(self.manifest.nodes):
            sign(self.folder, f"node-{node}", self.request(node))
        for node in range(self.manifest.nodes):
            self.delivered(node)
        return self

    def collected(self, out):
        for node in range(self.manifest.nodes):
            shutil.copytree(self.place(node) / "report", self.folder / "nodes" / f"node-{node}" / "report")
        return super().collected(out)


def _until_heard(address):
    host, port = address.rsplit(":", 1)
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            time.sleep(0.01)
