"""A deployment over network namespaces, each with an address of its own, as hosts have: ``-m netns -n 0``, as root.

Four hosts of nodes and one of the SuperLink, on a bridge. Everything happens in namespaces that the test makes and
takes away; of the machine's own network nothing is touched.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from reference.experiments import results, small

from simulator import Run, load_experiment, run
from simulator.deployment.site.lab import write_lab_policy
from simulator.deployment.site.policy_file import VARIABLE

pytestmark = [pytest.mark.netns, pytest.mark.flower, pytest.mark.slow]

NODES, PATIENCE = 4, 900  # seconds for everything, on a machine that is busy
LINK = "10.77.0.1"
PARTS = ("superlink", "app", "experiment.yaml")  # of the folder that `deploy init` makes: the SuperLink's host's


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
        self.name, self.address, self.folder, self.started = name, address, folder, {}
        folder.mkdir()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder)}
        self.environment = {**os.environ, **own}

    def start(self, script):
        """In the background, as from a terminal of its own."""
        with (self.folder / "out").open("a") as out:
            self.started[script] = subprocess.Popen(
                self._inside(str(script)),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def run(self, commands):
        """What they say."""
        done = subprocess.run(
            self._inside("sh", "-c", commands),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
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
        for process in self.started.values():
            process.wait()
        self.started.clear()

    def _inside(self, *command):
        return ["ip", "netns", "exec", self.name, *command]


@pytest.fixture
def hosts(tmp_path):
    """The SuperLink's host, then those of the nodes."""
    if why := missing():
        pytest.skip(why)
    mark = f"rm{os.getpid()}"
    with ExitStack() as made:
        hub = _host(made, f"{mark}-hub", LINK, tmp_path)
        ip("-n", hub.name, "link", "add", "br0", "type", "bridge")
        ip("-n", hub.name, "addr", "add", f"{LINK}/24", "dev", "br0")
        ip("-n", hub.name, "link", "set", "br0", "up")
        nodes = [_host(made, f"{mark}-{node}", f"10.77.0.{10 + node}", tmp_path) for node in range(NODES)]
        for node, host in enumerate(nodes):
            veth = ["type", "veth", "peer", "name", "eth0", "netns", host.name]
            ip("-n", hub.name, "link", "add", f"v{node}", *veth)
            ip("-n", hub.name, "link", "set", f"v{node}", "master", "br0", "up")
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
            ip("-n", host.name, "link", "set", "eth0", "up")
        yield [hub, *nodes]


def _host(made, name, address, tmp_path):
    ip("netns", "add", name)
    host = Host(name, address, tmp_path / name)
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


class Consortium:
    """A deployment of ``experiment`` over ``hosts``: made in ``path``, each part brought to its host, and started.

    The nodes' keys are made on their hosts and stay there.
    """

    def __init__(self, hosts, path, experiment):
        (self.link, *self.nodes), self.made = hosts, path / "made"
        self.deadline = time.monotonic() + PATIENCE
        (path / "experiment.yaml").write_text(experiment.to_yaml())
        each = " ".join(f"--host {host.address}" for host in self.nodes)
        init = f"rumormill deploy init {path}/experiment.yaml {self.made} --superlink {LINK}:9443 {each}"
        said = self.link.run(init)
        assert (self.made / "README.md").exists(), said
        self.onboard()
        for part in PARTS:
            shutil.move(self.made / part, self.link.folder / part)
        self.start(self.link, "superlink")
        for node, host in enumerate(self.nodes):
            own = host.folder / f"node-{node}"
            policy = write_lab_policy(host.folder / "site", f"site-{node}", own, experiment.rounds)
            host.environment[VARIABLE] = str(policy)
            self.start(host, f"node-{node}")
        until(lambda: f"4 nodes are registered; they come in at {LINK}:9443" in self.link.said(), self.deadline)

    def onboard(self):
        """All hosts make their keys and send their requests; all are signed, and take in what comes back."""
        names = [(host, f"node-{node}") for node, host in enumerate(self.nodes)]
        for host, name in names:
            said = host.run(f"rumormill site init {name}")
            assert "request.csr" in said, said
            said = self.link.run(f"rumormill deploy sign {self.made} {name} {host.folder / name / 'request.csr'}")
            assert f"Signed: {name}" in said, said
        for host, name in names:
            shutil.copytree(self.made / "nodes" / name, host.folder / "signed")
            said = host.run(f"rumormill site join {name} signed")
            assert "its certificate ends on" in said, said

    def start(self, host, part):
        host.start(host.folder / part / "start.sh")

    def flower(self, command):
        quiet = "FLWR_DISABLE_UPDATE_CHECK=1 FLWR_TELEMETRY_ENABLED=0"
        return self.link.run(f"FLWR_HOME={self.link.folder}/superlink/home {quiet} flwr {command}")

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

    def collect(self, out):
        """The run directory of what is on all hosts."""
        for part in PARTS:
            shutil.move(self.link.folder / part, self.made / part)
        for node, host in enumerate(self.nodes):
            name = f"node-{node}"
            shutil.move(host.folder / name / "report", self.made / "nodes" / name / "report")
        said = self.link.run(f"rumormill deploy collect {self.made} --out {out}")
        return Path(re.findall(rf"^({out}/\S+)$", said, re.MULTILINE)[-1])


def test_four_hosts_give_the_bytes_of_local_and_none_of_them_lets_another_one_submit(hosts, tmp_path):
    """`deploy init`, copied to the hosts, started, run and collected; a node's host asks for what it must not."""
    there = Consortium(hosts, tmp_path, small(rounds=6))
    stranger = there.nodes[0]
    (stranger.folder / "config.toml").write_text(
        f'[superlink.x]\naddress = "{LINK}:9443"\nroot-certificates = "{stranger.folder}/node-0/ca.crt"\n'
    )
    shutil.copytree(there.link.folder / "app", stranger.folder / "app")
    assert "404 Not Found" in stranger.run(f"FLWR_HOME={stranger.folder} flwr run app x --format json")
    connect = f"import socket; socket.create_connection(('{LINK}', 9444), 10)"
    assert "Connection refused" in stranger.run(f'{sys.executable} -c "{connect}"')  # the SuperLink itself

    there.submit()
    ended, said = there.end()
    assert ended == "finished:completed", said
    assert "cannot take part" not in said
    assert there.link.run(f"rumormill deploy status {there.link.folder}").count("online") == 4
    path = there.collect(tmp_path / "runs")
    own = run(load_experiment(str(tmp_path / "experiment.yaml")), tmp_path / "local")
    assert results(path) == results(own.path)


def test_a_host_that_loses_power_is_gone_on_without_and_comes_back(hosts, tmp_path):
    """It sits out what it has missed, and everybody says so."""
    rounds, phase = 600, {"name": "flower", "phase": 200, "round_timeout": 5.0, "join_timeout": 90.0}
    there = Consortium(hosts, tmp_path, small(rounds=rounds, evaluate={"every": 200}, backend=phase))
    there.submit()
    states = there.nodes[3].folder / "node-3"
    until(lambda: len(list(states.rglob("*-absorb.safetensors"))) > 30, there.deadline, 0.1)
    there.nodes[3].kill()
    time.sleep(10)
    there.start(there.nodes[3], "node-3")
    ended, said = there.end()
    assert ended == "finished:completed", said
    assert "node 3 is away" in said
    assert "node 3 is back" in said
    missed = rounds - int(re.search(rf"node 3 took part in (\d+) of {rounds} rounds", said)[1])
    done = Run.open(there.collect(tmp_path / "runs"))
    away = [metric.round for metric in done.metrics() if metric.name == "away"]
    assert 0 < len(away) == missed
    sent = {message["round"] for message in done.directory.messages() if message["sender"] == 3}
    assert not sent & set(away)
    assert "Who took part" in (done.path / "report.html").read_text()
