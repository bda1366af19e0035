"""Hosts as network namespaces of this machine, on a bridge, and a deployment over them; it takes root.

Of the machine's own network nothing is touched. Every program on a host sees the host's own folder, and in place of all
others' an empty file system: what stands there cannot be opened, by whichever user.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from simulator.deployment.site.lab import write_lab_policy
from simulator.deployment.site.policy_file import VARIABLE

NODES, PATIENCE = 4, 1500  # seconds for everything, on a machine that is busy
LINK = "10.77.0.1"
ALONE = """set -e
mount --bind "$1" /mnt
mount -t tmpfs none "$(dirname "$1")"
mkdir "$1"
mount --move /mnt "$1"
cd "$1"
shift
exec "$@"
"""  # in the mount namespace that `ip netns exec` makes


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def missing():
    """Why there can be no namespaces here; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"rm{os.getpid()}-probe"
    try:
        ip("netns", "add", probe)
        ip("netns", "del", probe)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"ip netns does not work here: {getattr(error, 'stderr', error)}"
    return None


class Host:
    """A namespace with ``address``, a folder of its own, and the programs of this Python."""

    def __init__(self, name, address, folder):
        self.name, self.address, self.folder, self.started = name, address, folder, []
        folder.mkdir(mode=0o700)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder)}
        self.environment = {**os.environ, **own}

    def start(self, *command):
        """In the background, as from a terminal of its own."""
        with (self.folder / "out").open("a") as out:
            started = subprocess.Popen(
                self._inside(*map(str, command)),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.started.append(started)

    def run(self, commands):
        """What they say."""
        command = self._inside("sh", "-c", commands)
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)
        return done.stdout + done.stderr

    def said(self):
        """What those in the background have said."""
        file = self.folder / "out"
        return file.read_text() if file.exists() else ""

    def kill(self):
        """End every process on this host, as a loss of power does."""
        while found := subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True
        ).stdout.split():
            for process in map(int, found):
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.1)
        for process in self.started:
            process.wait()
        self.started.clear()

    def _inside(self, *command):
        return ["ip", "netns", "exec", self.name, "sh", "-c", ALONE, "host", str(self.folder), *command]


@contextmanager
def namespaces(path):
    """The SuperLink's host, then those of the nodes; each has a folder in ``path``."""
    mark = f"rm{os.getpid()}"
    with ExitStack() as made:
        hub = _host(made, f"{mark}-hub", LINK, path)
        ip("-n", hub.name, "link", "add", "br0", "type", "bridge")
        ip("-n", hub.name, "addr", "add", f"{LINK}/24", "dev", "br0")
        ip("-n", hub.name, "link", "set", "br0", "up")
        nodes = [_host(made, f"{mark}-{node}", f"10.77.0.{10 + node}", path) for node in range(NODES)]
        for node, host in enumerate(nodes):
            veth = ["type", "veth", "peer", "name", "eth0", "netns", host.name]
            ip("-n", hub.name, "link", "add", f"v{node}", *veth)
            ip("-n", hub.name, "link", "set", f"v{node}", "master", "br0", "up")
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            ip("-n", host.name, "link", "set", "eth0", "up")
        yield [hub, *nodes]


def _host(made, name, address, path):
    ip("netns", "add", name)
    host = Host(name, address, path / name)
    made.callback(ip, "netns", "del", name)
    made.callback(host.kill)
    ip("-n", name, "link", "set", "lo", "up")
    return host


def until(done, deadline, seconds=3.0):
    """The first true value of ``done()``."""
    while not (found := done()):
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(seconds)
    return found


@pytest.fixture
def hosts(tmp_path):
    """The SuperLink's host, then those of the nodes."""
    if why := missing():
        pytest.skip(why)
    with namespaces(tmp_path) as found:
        yield found


class Deployed:
    """A deployment over ``hosts``: each part brought to its host, keys made there, and started.

    Args:
        hosts: the SuperLink's, which is the organiser's and has ``experiment.yaml`` in its folder, and the nodes'.
        rounds: of the experiment.
    """

    def __init__(self, hosts, rounds):
        (self.link, *self.nodes), self.rounds = hosts, rounds
        self.made = self.link.folder / "made"
        self.deadline = time.monotonic() + PATIENCE
        each = " ".join(f"--host {host.address}" for host in self.nodes)
        said = self.link.run(f"rumormill deploy init ./experiment.yaml made --superlink {LINK}:9443 {each}")
        assert (self.made / "README.md").exists(), said
        self.onboard()
        for node, host in enumerate(self.nodes):
            host.environment[VARIABLE] = str(self.allowed(node, host))
        self.start(self.link, "made/superlink")
        for node, host in enumerate(self.nodes):
            self.start(host, f"node-{node}")
        until(lambda: f"4 nodes are registered; they come in at {LINK}:9443" in self.link.said(), self.deadline)

    def onboard(self):
        """All hosts make their keys and send their requests; all are signed, and take in what comes back."""
        names = [(host, f"node-{node}") for node, host in enumerate(self.nodes)]
        for host, name in names:
            said = host.run(f"rumormill site init {name}")
            assert "request.csr" in said, said
            shutil.copy(host.folder / name / "request.csr", self.link.folder / f"{name}.csr")
            said = self.link.run(f"rumormill deploy sign made {name} {name}.csr")
            assert f"Signed: {name}" in said, said
        for host, name in names:
            shutil.copytree(self.made / "nodes" / name, host.folder / "signed")
            said = host.run(f"rumormill site join {name} signed")
            assert "its certificate ends on" in said, said

    def allowed(self, node, host):
        """The policy of the node's site, under which the experiment may run: a lab's."""
        return write_lab_policy(host.folder / "site", f"site-{node}", host.folder / f"node-{node}", self.rounds)

    def start(self, host, part):
        host.start(host.folder / part / "start.sh")

    def flower(self, command):
        quiet = "FLWR_DISABLE_UPDATE_CHECK=1 FLWR_TELEMETRY_ENABLED=0"
        return self.link.run(f"cd made && FLWR_HOME={self.made}/superlink/home {quiet} flwr {command}")

    def submit(self):
        said = self.flower("run app deployment --format json")
        number = re.search(r'"run-id": "(\d+)"', said)
        assert number, said
        self.number = number[1]

    def end(self):
        """How the run has ended, and what the ServerApp said."""

        def ended():
            said = self.flower(f"ls deployment --run-id {self.number} --format json")
            return re.search(r'"status": "(finished:\w+)"', said)

        return until(ended, self.deadline)[1], self.flower(f"log {self.number} deployment --show")

    def collect(self):
        """The run directory of what is on all hosts, on the SuperLink's."""
        for node, host in enumerate(self.nodes):
            name = f"node-{node}"
            shutil.move(host.folder / name / "report", self.made / "nodes" / name / "report")
        out = self.link.folder / "runs"
        said = self.link.run(f"rumormill deploy collect made --out {out}")
        found = re.findall(rf"^({out}/\S+)$", said, re.MULTILINE)
        assert found, said
        return Path(found[-1])
