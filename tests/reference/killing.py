"""A deployment of processes as on hosts, all on loopback, of which one after the other is killed as nothing can catch.

    PYTHONPATH=tests python -m reference.killing [--kills 20] [--seed 0] [--plane relay]

The mixer is CHOCO, which needs every message, so that all wait for whoever is gone and nothing is lost by design. (With
plain gossip nodes that are gone at the same time are away to each other, and go on without.)

The gateway is a thread of the host program on the SuperLink's host, so the two die together. A host program that dies
is started again, as a host's system does; it ends what the one before has left. Prints each kill, and whether the run
ends with the bytes of a simulation.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reference.deployment import Deployment, free_addresses
from reference.experiments import results, small

from simulator import run
from simulator.core.errors import RunError
from simulator.deployment.addresses import NOWHERE, Addresses
from simulator.deployment.control import COMPLETED
from simulator.deployment.guard import end, marked
from simulator.deployment.node_folder import reported_rounds
from simulator.deployment.plan import deployable
from simulator.deployment.site.policy_file import VARIABLE
from simulator.deployment.status import control_of

KINDS = {
    "SuperNode": "flower-supernode",
    "ClientApp": "flwr-clientapp",
    "SuperLink": "flower-superlink",
    "mailbox": "simulator.deployment.mailbox_process",
    "gateway": "rumormill-host",
    "host program": "rumormill-host",
}
LINK = ("SuperLink", "mailbox", "gateway")  # what runs on its host; the others do on a node's
AGAIN, PATIENCE, LOOK = 1.0, 600.0, 10.0  # seconds: until a host program is started again; for a round; to look again


class Hosts(Deployment):
    """The host programs of the SuperLink's host and of all nodes' hosts."""

    def addresses(self, nodes, plane, unreachable=()):
        link, listen, mailbox, *own = free_addresses(2 * nodes + 3)
        runtimes = [int(each.rpartition(":")[2]) for each in own[nodes:]]
        boxes = (mailbox, mailbox) if plane == "relay" else ("", "")
        heard = [NOWHERE if node in unreachable else address for node, address in enumerate(own[:nodes])]
        return Addresses(link, heard, runtimes, listen, listen, *boxes)

    def start_all(self):
        """Until all nodes' keys are registered."""
        self.link = self.folder / "superlink"
        self.parts = {self.link: {}} | {
            self.place(node): {VARIABLE: str(self.policy(node))} for node in range(self.manifest.nodes)
        }
        self.programs = {part: self.started(part) for part in self.parts}
        until(lambda: "nodes are registered" in (self.link / "said").read_text())

    def started(self, part):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with (part / "said").open("a") as said:
            command, own = [part / "start.sh"], {**os.environ, "PATH": path, **self.parts[part]}
            return subprocess.Popen(command, env=own, stdout=said, stderr=said, start_new_session=True)

    def finished(self):
        """How many rounds every node has laid out."""
        reports = [self.place(node) / "report" / self.manifest.run for node in range(self.manifest.nodes)]
        return min(map(reported_rounds, reports))

    def kill(self, kind, node):
        """One process, once there is one."""
        part = self.link if kind in LINK else self.place(node)
        program = self.programs[part]
        if KINDS[kind] == "rumormill-host":
            program.kill()
            program.wait()
            time.sleep(AGAIN)
            self.programs[part] = self.started(part)
        else:
            os.kill(until(lambda: processes(part, KINDS[kind]))[0], signal.SIGKILL)

    def stop(self):
        """End all."""
        for part, program in self.programs.items():
            program.kill()
            program.wait()
            end(part)


def processes(part, name):
    """Those of the host of ``part`` that run this program."""
    found = []
    for process in marked(part):
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if name in {word.decode(errors="replace").rpartition("/")[2] for word in words}:
            found.append(process)
    return found


def until(done):
    """The first true value of ``done()``."""
    deadline = time.monotonic() + PATIENCE
    while not (found := done()):
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.05)
    return found


def moments(kinds, rounds, seed):
    """Each of ``kinds``, in which order, after how many rounds and which part of a second, and at which node."""
    rng = random.Random(seed)
    order = rng.sample(kinds, len(kinds))
    after = sorted(rng.sample(range(5, rounds // 2), len(kinds)))  # while a look takes, many rounds are done
    return [(kind, round, rng.random(), rng.randrange(4)) for kind, round in zip(order, after, strict=True)]


def killed(path, kinds, seed, plane="relay", rounds=None):
    """The results of a run in which a process of each of ``kinds`` is killed, and those of its simulation."""
    rounds = rounds or 250 * len(kinds)
    waits = {"round_timeout": 240.0, "join_timeout": 240.0}  # so long that nobody is gone on without
    waiting = small(rounds=rounds, evaluate={"every": rounds // 2}, mixer={"name": "choco"})
    experiment = deployable(waiting, plane=plane, phase=rounds, **waits)
    there = Hosts(experiment, path)
    there.start_all()
    try:
        followed = Followed(there)
        for kind, round, wait, node in moments(kinds, rounds, seed):
            followed.until(lambda round=round: there.finished() >= round)
            time.sleep(wait)
            before = there.finished()
            assert before < rounds, f"the run is over before {kind} is killed: give it more rounds"
            there.kill(kind, node)
            print(f"{time.strftime('%H:%M:%S')} after {before} of {rounds} rounds: {kind} (node {node})", flush=True)
        followed.until(lambda: there.finished() == rounds)
        followed.until(lambda: followed.status() == COMPLETED)
    finally:
        there.stop()
    simulated = run(experiment.model_copy(update={"backend": small().backend}), path / "local")
    return results(there.collected(path / "runs")), results(simulated.path)


class Followed:
    """The app's run on Flower, submitted again where it has failed, as the deployment's own instructions say: the
    ServerApp goes with its host's program."""

    def __init__(self, there):
        self._control = control_of(there.folder)
        self._number, self._looked = self._control.submit(), time.monotonic()

    def status(self):
        """How the run stands; None while the SuperLink is started again."""
        try:
            return self._control.status(self._number).name
        except RunError:
            return None

    def until(self, done):
        """The first true value of ``done()``."""
        until(lambda: done() or self._look())

    def _look(self):
        if time.monotonic() - self._looked < LOOK:
            return
        if self.status() == "finished:failed":
            self._number = self._control.submit()
            print(f"{time.strftime('%H:%M:%S')} submitted again", flush=True)
        self._looked = time.monotonic()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plane", default="relay")
    given = parser.parse_args()
    every = [kind for kind in KINDS if given.plane == "relay" or kind != "mailbox"]
    kinds = [every[number % len(every)] for number in range(given.kills)]
    path = Path(tempfile.mkdtemp(prefix="rumormill-killing-"))
    print(f"in {path}, which stays where it does not end well", flush=True)
    found, expected = killed(path, kinds, given.seed, given.plane)
    other = [name for name in expected if found.get(name) != expected[name]]
    print(f"other bytes: {', '.join(other)}" if other else "equal bytes")
    if other:
        sys.exit(1)
    shutil.rmtree(path)


if __name__ == "__main__":
    main()
