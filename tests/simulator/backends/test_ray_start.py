"""Starting the ray backend: what cannot be had is told before any work, and nothing is left running."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from reference.experiments import results, small
from reference.network import Existing

from simulator import run
from simulator.backends.ray import Ray, address, session
from simulator.core.errors import InputError
from simulator.runs.build import Simulation

pytestmark = pytest.mark.ray


def problem_of(**settings):
    """What starting with ``settings`` complains about."""
    backend = Ray(Ray.Config(**settings))
    with pytest.raises(InputError) as caught:
        backend.start(Simulation.of(small()).blueprint)
    (problem,) = caught.value.problems
    assert problem.advice
    return problem


@pytest.mark.slow
def test_a_run_on_other_backends_does_not_import_ray():
    code = "import sys, simulator.runs.launch; from simulator.core.backend import BACKENDS; BACKENDS.load('ray')"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'ray' not in sys.modules"], check=True)


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("backend.workers=0", "workers"),
        ("backend.workers=many", "workers"),
        ("backend.gpus_per_worker=-1", "gpus_per_worker"),
        ("backend.gpus_per_worker=1.5", "gpus_per_worker"),
        ("backend.address=ray://127.0.0.1:10001", "address"),
        ("backend.address=127.0.0.1", "address"),
        ("backend.placement=random", "placement"),
        ("backend.window=0", "window"),
    ],
)
def test_settings_that_make_no_sense_are_refused_when_they_are_read(override, where):
    with pytest.raises(InputError, match=rf"backend\.{where}"):
        small(override, backend={"name": "ray"})


def test_more_workers_than_nodes_are_refused():
    problem = problem_of(workers=5)

    assert problem.where == "backend.workers"
    assert "at most 4" in problem.advice


def test_nodes_on_a_gpu_and_workers_without_one_are_refused():
    blueprint = Simulation.of(small()).blueprint
    on_gpu = Existing(blueprint.topology, lambda: SimpleNamespace(device=torch.device("cuda")), [])

    with pytest.raises(InputError, match=r"backend\.gpus_per_worker: the nodes train on a GPU"):
        Ray(Ray.Config()).start(on_gpu)


@pytest.fixture
def port():
    """A socket on a free port, which does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def test_an_address_where_nobody_listens_is_told_at_once(port):
    problem = problem_of(address=f"127.0.0.1:{port.getsockname()[1]}")

    assert problem.where == "backend.address"
    assert "refused" in problem.what


def test_an_address_that_takes_calls_and_does_not_answer_is_told_soon(port, monkeypatch):
    monkeypatch.setattr(address, "PATIENCE", 0.2)
    port.listen()
    problem = problem_of(address=f"127.0.0.1:{port.getsockname()[1]}")

    assert problem.where == "backend.address"
    assert "timed out" in problem.what


def test_a_host_that_does_not_exist_is_told():
    assert problem_of(address="no-such-host.invalid:6379").where == "backend.address"


@pytest.mark.slow
@pytest.mark.usefixtures("shared_ray")
@pytest.mark.parametrize("gpus", [0.5, 64])
def test_more_gpus_than_there_are_are_refused(gpus, actors):
    problem = problem_of(gpus_per_worker=gpus, workers=4)

    assert problem.where == "backend.gpus_per_worker"
    assert not actors()


@pytest.mark.usefixtures("shared_ray")
@pytest.mark.slow
def test_a_ray_that_is_there_already_is_used_and_left_open(actors):
    import ray  # only once it is started: what it reads from the environment then is set before

    backend = Ray(Ray.Config(workers=1))
    backend.start(Simulation.of(small()).blueprint)
    used = len(actors())
    backend.close()
    deadline = time.monotonic() + 60
    while actors() and time.monotonic() < deadline:
        time.sleep(0.05)

    assert used == 1
    assert ray.is_initialized()
    assert not actors()


WHERE = """
import sys
from simulator import load_experiment
from simulator.runs.build import Simulation
with Simulation.of(load_experiment({content!r})).started():
    import ray
    print(ray.get_runtime_context().gcs_address)
"""


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_ray_of_ones_own_cannot_be_reached_from_other_machines():
    content = small(backend={"name": "ray", "workers": 1}).to_dict()
    command = [sys.executable, "-c", WHERE.format(content=content)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert done.stdout.startswith("127.0.0.1:"), done.stderr


REFUSED = """
import os, sys
from simulator import load_experiment, run
from simulator.core.errors import InputError
content = {content!r}
try:
    run(load_experiment(content), sys.argv[1])
except InputError as error:
    import ray
    print(error.problems[0].where, ray.is_initialized())
"""


@pytest.mark.slow
def test_a_start_that_fails_closes_the_ray_that_it_opened(tmp_path):
    content = small(backend={"name": "ray", "gpus_per_worker": 64, "workers": 2}).to_dict()
    command = [sys.executable, "-c", REFUSED.format(content=content), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert done.stdout == "backend.gpus_per_worker False\n", done.stderr
    assert not list(tmp_path.iterdir())


OPEN, GUARDED = {"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": 32 * "0"}


@pytest.fixture
def cluster(port, request):
    """The address of a Ray that another process has started on this machine; its parameter is how it is guarded."""
    address = f"127.0.0.1:{port.getsockname()[1]}"
    port.close()
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    command += [f"--port={address.rpartition(':')[2]}", "--include-dashboard=false", "--disable-usage-stats"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=os.environ | getattr(request, "param", OPEN), **quiet)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(60)


JOINED = """
import os, sys, time
from simulator import load_experiment, run
from simulator.backends.ray.address import asks_for_token
from simulator.core.errors import InputError
content = {content!r}
for _ in range(300):  # seconds, of a machine that does much else
    try:
        asks_for_token(content["backend"]["address"])
        break
    except InputError:
        time.sleep(1)
time.sleep(5)  # the cluster has more to start than what answers
print(run(load_experiment(content), sys.argv[1]).path)
"""


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_cluster_that_runs_already_is_joined(cluster, tmp_path):
    content = small(backend={"name": "ray", "address": cluster, "workers": 2}).to_dict()
    command = [sys.executable, "-c", JOINED.format(content=content), str(tmp_path / "ray")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ | OPEN)

    assert done.returncode == 0, done.stderr
    assert results(next((tmp_path / "ray").iterdir())) == results(run(small(), tmp_path / "local").path)


TOLD = """
import sys
from simulator.backends.ray.session import connected
from simulator.core.errors import InputError
try:
    with connected(sys.argv[1]):
        print("in")
except InputError as error:
    print(error.problems[0].what)
"""


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("cluster", [GUARDED], indirect=True)
def test_a_cluster_that_asks_for_a_token_gets_that_of_the_process(cluster, tmp_path):
    """Nobody has to turn tokens on; and who has a wrong one, or none, is told so, where Ray would not."""
    for _ in range(300):  # seconds, of a machine that does much else
        with contextlib.suppress(InputError):
            assert address.asks_for_token(cluster)
            break
        time.sleep(1)
    time.sleep(5)  # as above
    command = [sys.executable, "-c", TOLD, cluster]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    own = {
        "right": {"RAY_AUTH_TOKEN": 32 * "0"},
        "wrong": {"RAY_AUTH_TOKEN": 32 * "1"},
        "none": {"HOME": str(tmp_path)},
    }
    said = {
        name: subprocess.run(command, capture_output=True, text=True, timeout=300, env=plain | mine).stdout
        for name, mine in own.items()
    }

    assert said["right"] == "in\n"
    assert "asks for a token, and this process has another one" in said["wrong"]
    assert "asks for a token, and this process has none" in said["none"]


@pytest.fixture
def slow_start(monkeypatch):
    """``slow_start(n)``: a Ray whose first n starts take too long and leave a process behind; returns what happened."""
    import ray

    left = []

    def prepare(failures):

        def init(*args, **settings):
            left.append(subprocess.Popen(["sleep", "60"]))
            if len(left) <= failures:
                raise Exception("The current node timed out during startup. This could happen because ...")

        monkeypatch.setattr(ray, "init", init)
        return left

    yield prepare
    for process in left:
        process.kill()
        process.wait()


def test_a_start_that_takes_too_long_is_made_again_and_leaves_nothing(slow_start):
    left = slow_start(failures=2)
    session._start()

    assert len(left) == 3
    assert [process.poll() is None for process in left] == [False, False, True]


def test_starts_that_keep_taking_too_long_are_told_in_the_end(slow_start):
    left = slow_start(failures=99)
    with pytest.raises(InputError, match=r"backend\.address: Ray cannot be used: The current node timed out"):
        session._start()

    assert len(left) == session.STARTS
