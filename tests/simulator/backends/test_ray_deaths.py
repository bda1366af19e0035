"""Processes that die while the ray backend runs: actors, and the one that runs the experiment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from reference.experiments import METHODS, At, results, small
from reference.marks import first

from simulator import resume, run
from simulator.backends.ray import Ray
from simulator.core.backend import Order, WorkerLost, Workers
from simulator.core.errors import RunError
from simulator.core.observer import Observer
from simulator.runs.build import Simulation

pytestmark = pytest.mark.ray

TESTS = Path(__file__).parents[2]
CHANGES = {
    "rounds": 8,
    "methods": METHODS,
    "checkpoint": {"every": 3},
    "backend": {"name": "ray", "workers": 2, "placement": "round_robin"},
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The same on the local backend, undisturbed."""
    return results(run(small(**(CHANGES | {"backend": "local"})), tmp_path_factory.mktemp("straight")).path)


class Recoveries(Observer):
    """Where the run went on after a loss."""

    def __init__(self):
        self.rounds, self.reasons, self.alive = [], [], []

    def recovered(self, round, reason):
        self.rounds.append(round)
        self.reasons.append(reason)

    def evaluated(self, round, metrics, speed):
        self.alive.append((speed.alive, speed.workers))


def kill(pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def once(action):
    left = [action]
    return lambda: left.pop()() if left else None


@pytest.mark.slow
@pytest.mark.usefixtures("shared_ray")
@pytest.mark.parametrize(("last", "back"), [pytest.param(1, 0, marks=pytest.mark.exhaustive), (5, 3)])
def test_an_actor_killed_between_checkpoints_changes_nothing(straight, actors, tmp_path, last, back):
    """One of two, before the first checkpoint and after it."""
    seen = Recoveries()
    done = run(small(**CHANGES), tmp_path, [At(last, once(lambda: kill(actors()[:1]))), seen])

    assert done.status == "finished"
    assert seen.rounds == [back]
    assert len(seen.reasons[0]) < 250
    assert set(seen.alive) == {(2, 2)}
    assert results(done.path) == straight


@pytest.mark.usefixtures("shared_ray")
@pytest.mark.slow
@pytest.mark.exhaustive
def test_all_actors_killed_at_once_change_nothing(straight, actors, tmp_path):
    seen = Recoveries()
    done = run(small(**CHANGES), tmp_path, [At(4, once(lambda: kill(actors()))), seen])

    assert seen.rounds == [3]
    assert results(done.path) == straight


@pytest.mark.usefixtures("shared_ray")
@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_loss_of_a_worker_is_told_and_counted(actors):
    backend = Ray(Ray.Config(workers=2))
    backend.start(Simulation.of(small()).blueprint)
    try:
        kill(actors())
        with pytest.raises(WorkerLost, match=r"^worker 0 was lost: Worker unexpectedly exits"):
            backend.superstep(Order(begin=True, train=True, send=1))()
        assert backend.workers() == Workers(1, 2)
    finally:
        backend.close()


@pytest.mark.usefixtures("shared_ray")
@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_run_whose_actors_keep_dying_is_given_up(actors, tmp_path):
    with pytest.raises(RunError, match=r"(?s)3 workers in a row died in round 3: worker \d was lost: .*resume"):
        run(small(**CHANGES), tmp_path, [At(2, lambda: kill(actors()))])


class Fragile:
    """A blueprint: the process that makes its nodes dies of it, as long as there are crosses in ``folder``."""

    overhearing = ()

    def __init__(self, blueprint, folder, crosses):
        self.blueprint, self.topology, self.module, self.folder = (
            blueprint,
            blueprint.topology,
            blueprint.module,
            folder,
        )
        for number in range(crosses):
            (folder / str(number)).touch()

    def for_workers(self, ids):
        return self

    def nodes(self, ids):
        for cross in sorted(self.folder.iterdir()):
            cross.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return self.blueprint.nodes(ids)


def start_fragile(folder, crosses):
    backend = Ray(Ray.Config(workers=2))
    try:
        backend.start(Fragile(Simulation.of(small()).blueprint, folder, crosses))
        return backend.superstep(Order(begin=True, train=True, send=1))()
    finally:
        if hasattr(backend, "_opened"):
            backend.close()


@pytest.mark.usefixtures("shared_ray")
@pytest.mark.slow
def test_an_actor_killed_while_it_makes_its_nodes_is_replaced(tmp_path):
    assert sorted(start_fragile(tmp_path, crosses=2)) == [0, 1, 2, 3]


@pytest.mark.usefixtures("shared_ray")
@pytest.mark.slow
@pytest.mark.exhaustive
def test_actors_that_keep_dying_while_they_make_their_nodes_end_the_run(tmp_path):
    with pytest.raises(RunError, match=r"worker \d was lost: .*, while it was prepared, for the 4th time\.\n.*resume"):
        start_fragile(tmp_path, crosses=99)


@pytest.mark.usefixtures("shared_ray")
@pytest.mark.slow
@pytest.mark.exhaustive
def test_an_actor_killed_while_states_are_loaded_is_replaced(actors):
    """As at the beginning of a resumed run, or on the way back to a checkpoint."""
    backend = Ray(Ray.Config(workers=2))
    backend.start(Simulation.of(small()).blueprint)
    try:
        before = {node: reply.state for node, reply in backend.superstep(Order(snapshot=True))().items()}
        backend.superstep(Order(begin=True, train=True, send=1))()
        kill(actors()[:1])
        backend.load(before)
        after = {node: reply.state for node, reply in backend.superstep(Order(snapshot=True))().items()}
    finally:
        backend.close()

    assert {node: set(state) for node, state in after.items()} == {node: set(state) for node, state in before.items()}
    assert all(torch.equal(after[node][name], before[node][name]) for node in before for name in before[node])


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("server", ["raylet", "gcs_server"])
def test_the_death_of_ray_itself_is_told_within_seconds_and_the_run_can_be_resumed(straight, tmp_path, server):
    action = "print('ready', flush=True); sys.stdin.readline()"
    process = child(tmp_path, action)
    try:
        assert process.stdout.readline() == "ready\n"
        kill(in_session(process.pid, server))
        _, errors = process.communicate("\n", timeout=40)
    finally:
        process.kill()
    assert "Ray has died on this machine" in errors
    assert "rumormill resume" in errors

    (path,) = tmp_path.iterdir()
    assert resume(path).status == "finished"
    assert results(path) == straight


SCRIPT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from reference.experiments import At, small
from simulator import run
def act():
    {action}
print(run(small(**{changes!r}), {out!r}, [At(4, act)]).status)
"""


def child(out, action):
    """A process, with a group of its own, that runs the experiment and does ``action`` after round 4."""
    script = SCRIPT.format(tests=str(TESTS), changes=CHANGES, out=str(out), action=action)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def in_session(leader, name=""):
    """Processes of the session that ``leader`` began, other than itself, whose names begin with ``name``."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            comm, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, _, _, session = rest.split()[:4]
        if int(session) == leader and state != "Z" and int(stat.parent.name) != leader and comm.startswith(name):
            found.append(int(stat.parent.name))
    return found


def gone(leader, name="", seconds=60):
    """Whether they have ended, after waiting for that."""
    deadline = time.monotonic() + seconds
    while in_session(leader, name) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not in_session(leader, name)


@pytest.mark.slow
@pytest.mark.parametrize("helpers", first([False, True]), ids=["its actors", "Ray's helpers too"])
def test_a_killed_run_leaves_no_process_behind_and_is_resumed_to_the_same_bytes(straight, tmp_path, helpers):
    process = child(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL
    assert gone(process.pid, "ray::Actor")

    (path,) = tmp_path.iterdir()
    assert resume(path).status == "finished"
    assert results(path) == straight
    assert not helpers or gone(process.pid, seconds=90)  # they look around once a minute


@pytest.mark.slow
@pytest.mark.exhaustive
def test_ctrl_c_reaches_the_whole_group_and_the_run_still_stops_at_a_checkpoint(straight, tmp_path):
    """As in a terminal: all processes of the group are sent SIGINT; the actors have to live on to give their states."""
    process = child(tmp_path, "print('ready', flush=True); sys.stdin.readline()")
    try:
        assert process.stdout.readline() == "ready\n"
        for pid in [*in_session(process.pid), process.pid]:
            os.kill(pid, signal.SIGINT)
        time.sleep(1)
        output, errors = process.communicate("\n", timeout=600)
    finally:
        process.kill()
    assert (process.returncode, output) == (0, "interrupted\n"), errors
    assert gone(process.pid)

    (path,) = tmp_path.iterdir()
    assert resume(path).status == "finished"
    assert results(path) == straight
