"""Whole deployments on Flower, with TLS and authentication; minutes each, and no process is left.

Run with ``-m flower -n 0``.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import pytest
from reference.experiments import METHODS, results, small
from reference.sites import sites, write_sites

from simulator import run
from simulator.core.errors import RunError
from simulator.core.observer import Observer
from simulator.deployment.guard import MARK
from simulator.deployment.plan import deployable
from simulator.runs.build import Simulation
from simulator.runs.launch import run_simulation

pytestmark = [pytest.mark.flower, pytest.mark.slow]

QGM, IDKD = METHODS
CASES = {"d-psgd": [], "qgm": [QGM], "idkd": [QGM, IDKD]}


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch, tmp_path):
    monkeypatch.setenv("DEPLOYED_BY", str(tmp_path))
    yield
    assert not deployed(tmp_path)


def deployed(test):
    """The processes of any deployment that ``test`` has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            if MARK.encode() in environment and f"DEPLOYED_BY={test}".encode() in environment:
                found.append(int(process.name))
        except OSError:
            continue
    return found


class When(Observer):
    """Does something with the backend, once, when ``round`` rounds are seen to be finished."""

    def __init__(self, round, action):
        self.round, self.action = round, action

    def sent(self, round, messages):
        if round == self.round:
            self.action()


def deploy(experiment, path, round=None, action=None):
    """The run, and its backend; ``action(backend)`` is done in the middle of it."""
    simulation = Simulation.of(experiment)
    observers = [When(round, lambda: action(simulation.backend))] if action else []
    return run_simulation(simulation, path, observers)


@contextmanager
def killed(backend, child, node, after):
    """``child`` dies as nothing can catch once ``node`` has finished rounds ``after``; yields how many it had by then.

    Its disk is looked at for that: what this process has collected may be hundreds of rounds behind on a busy machine.
    """
    ended, finished = Event(), []

    def rounds():
        return len(list(backend.folder.glob(f"nodes/node-{node}/report/*/*-absorb.safetensors")))

    def watch():
        while not ended.wait(0.01):
            if hasattr(backend, "folder") and (found := rounds()) >= after:
                os.killpg(backend.processes.children[child].process.pid, signal.SIGKILL)
                finished.append(found)
                return

    watching = Thread(target=watch)
    watching.start()
    try:
        yield finished
    finally:
        ended.set()
        watching.join()


def expected(experiment, path):
    return results(run(experiment.model_copy(update={"backend": small().backend}), path).path)


@pytest.mark.parametrize("case", CASES)
def test_p2p_gives_the_bytes_of_local(case, tmp_path):
    experiment = deployable(small(methods=CASES[case]))
    assert results(deploy(experiment, tmp_path / "deployed").path) == expected(experiment, tmp_path / "local")


@pytest.mark.parametrize("case", CASES)
def test_relay_gives_the_bytes_of_local_and_the_superlinks_host_stores_none_of_them(case, tmp_path):
    experiment = deployable(small(methods=CASES[case], record={"every": 1}), plane="relay")
    stored = []

    def look(backend):
        files = [file for file in (backend.folder / "superlink").rglob("*") if file.is_file()]
        stored.extend(file.read_bytes() for file in [*files, *backend.folder.glob("*.log")])
        stored.append(backend._collection.memories[0]._path.name.encode())

    done = deploy(experiment, tmp_path / "deployed", round=5, action=look)
    assert results(done.path) == expected(experiment, tmp_path / "local")
    *files, name = stored
    text = b"".join(files)
    assert name in text  # the run's
    for file in (done.path / "recordings").rglob("*.safetensors"):
        data = file.read_bytes()
        pieces = [data[start : start + 16] for start in range(1024, len(data) - 16, 512)]
        assert not any(piece in text for piece in pieces if piece.count(0) < 4)


@pytest.mark.parametrize("plane", ["p2p", "relay"])
def test_rounds_of_several_exchanges_give_the_bytes_of_local(plane, tmp_path):
    methods, mixer = [{"name": "neighbourhood_gradient_clustering"}], {"name": "gossip", "order": "combine_then_adapt"}
    experiment = deployable(small(methods=methods, mixer=mixer, rounds=2, record={"every": 1}), plane=plane)
    assert results(deploy(experiment, tmp_path / "deployed").path) == expected(experiment, tmp_path / "local")


def test_supernodes_that_mask_what_they_send_give_the_bytes_of_local(tmp_path):
    experiment = deployable(small(mixer="masked_sums", rounds=3))
    assert results(deploy(experiment, tmp_path / "deployed").path) == expected(experiment, tmp_path / "local")


@pytest.mark.parametrize("plane", ["p2p", "relay"])
def test_eight_supernodes_give_the_bytes_of_local(plane, tmp_path):
    methods = [QGM, IDKD | {"first_round": 2, "every": 1}]
    experiment = deployable(small("topology.nodes=8", methods=methods, rounds=2), plane=plane)
    assert results(deploy(experiment, tmp_path / "deployed").path) == expected(experiment, tmp_path / "local")


@pytest.mark.parametrize("plane", ["p2p", "relay"])
def test_flowers_simulation_of_the_same_app_gives_the_bytes_of_local(plane, tmp_path):
    methods = [QGM, IDKD | {"first_round": 2, "every": 1}]
    experiment = deployable(small(methods=methods, rounds=3), engine="simulation", plane=plane)
    assert results(deploy(experiment, tmp_path / "deployed").path) == expected(experiment, tmp_path / "local")


def test_a_killed_supernode_goes_on_from_its_disk(tmp_path):
    """Its neighbours wait for it, and the run ends with the bytes of one that was never disturbed."""
    experiment = deployable(small(rounds=400, evaluate={"every": 200}), round_timeout=240.0, phase=400)
    simulation = Simulation.of(experiment)
    with killed(simulation.backend, "node-2", node=2, after=5) as finished:
        done = run_simulation(simulation, tmp_path / "deployed", [])
    assert finished[0] < 399  # it died in the middle of the phase
    assert results(done.path) == expected(experiment, tmp_path / "local")


def test_a_killed_peer_costs_its_neighbours_one_timeout(tmp_path):
    """They go on without it, and it sits out what it has missed when it is back."""
    experiment = deployable(small(rounds=400, evaluate={"every": 200}), round_timeout=8.0, phase=400)
    pauses = []

    class Look(Observer):
        def finished(self, status):
            for node in (1, 3):
                folder = next((simulation.backend.folder / "nodes" / f"node-{node}" / "report").iterdir())
                ends = sorted(file.stat().st_mtime for file in folder.glob("*-absorb.safetensors"))
                pauses.append([after - before for before, after in pairwise(ends)])

    simulation = Simulation.of(experiment)
    with killed(simulation.backend, "node-2", node=2, after=5) as finished:
        assert run_simulation(simulation, tmp_path, [Look()]).status == "finished"
    assert finished[0] < 399
    for taken in pauses:
        assert len(taken) == 399
        assert sum(seconds > 4 for seconds in taken) == 1


def test_a_killed_superlink_is_started_again_and_the_run_goes_on(tmp_path):
    experiment = deployable(small(rounds=6, evaluate={"every": 3}), phase=3)
    simulation = Simulation.of(experiment)
    with killed(simulation.backend, "superlink", node=0, after=2) as finished:
        done = run_simulation(simulation, tmp_path / "deployed", [])
    assert finished[0] < 6
    assert results(done.path) == expected(experiment, tmp_path / "local")


def test_a_killed_mailbox_is_started_again_and_nothing_is_lost(tmp_path):
    experiment = deployable(small(rounds=300, evaluate={"every": 150}), plane="relay", phase=300)
    simulation = Simulation.of(experiment)
    with killed(simulation.backend, "mailbox", node=0, after=5) as finished:
        done = run_simulation(simulation, tmp_path / "deployed", [])
    assert finished[0] < 299
    assert results(done.path) == expected(experiment, tmp_path / "local")


def test_a_run_that_fails_says_why_and_ends_everything(tmp_path):
    experiment = deployable(small(training={"optimizer": {"lr": 1e300}, "precision": "fp64"}))
    began = time.monotonic()
    with pytest.raises(RunError, match=r"finished:failed(.|\n)*training diverged"):
        deploy(experiment, tmp_path)
    assert time.monotonic() - began < 300


def test_a_run_that_is_interrupted_ends_everything(tmp_path):
    experiment = deployable(small(rounds=100_000, evaluate={"every": 1000}), phase=100_000)
    done = deploy(experiment, tmp_path, round=3, action=lambda backend: os.kill(os.getpid(), signal.SIGINT))
    assert done.status == "interrupted"


def test_a_killed_command_leaves_no_process_and_no_key(tmp_path):
    """`deploy local`, killed as nothing can be caught, while its nodes train."""
    keys = tmp_path / "temporary"
    keys.mkdir()
    command = [sys.executable, "-m", "simulator", "deploy", "local", "quickstart-deploy", "rounds=5000"]
    environment = {**os.environ, "TMPDIR": str(keys)}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*command, "--out", str(tmp_path / "runs")], env=environment, stderr=log, stdout=log)
        wait(lambda: len(deployed(tmp_path)) > 8 and list(keys.rglob("*-absorb.safetensors")), 400)
        assert list(keys.rglob("seal.key"))
        process.kill()
        process.wait()
    wait(lambda: not deployed(tmp_path) and not list(keys.rglob("*.key")), 60)


def wait(reached, seconds):
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_sites_of_very_different_sizes_give_the_bytes_of_their_simulation(tmp_path):
    """One of them has no sample of one class; each SuperNode is given its own file alone."""
    experiment = deployable(sites(write_sites(tmp_path / "data")))
    done = deploy(experiment, tmp_path / "deployed")
    assert results(done.path) == expected(experiment, tmp_path / "local")
