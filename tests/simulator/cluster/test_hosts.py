"""Ray on two hosts with addresses of their own, and a cable between them that is pulled; takes root: ``-m netns``."""

import re
import sys
import tempfile
import time
from pathlib import Path

import pytest
from reference.experiments import METHODS, results, small
from reference.namespaces import ip, until

from simulator import run

pytestmark = [pytest.mark.ray, pytest.mark.netns, pytest.mark.slow, pytest.mark.exhaustive]  # minutes

TESTS = Path(__file__).parents[2]
RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--disable-usage-stats")
CHANGES = {"rounds": 8, "methods": METHODS, "checkpoint": {"every": 3}}
SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from reference.experiments import At, small
from simulator import run
from simulator.core.errors import RunError
from simulator.core.observer import Observer
class Recoveries(Observer):
    def recovered(self, round, reason):
        seconds = time.time() - Path("cut").stat().st_mtime
        print(f"went back to {{round}} after {{seconds:.0f}} s: {{reason}}", flush=True)
def wait():
    if not Path("cut").exists():
        print("waiting", flush=True)
        while not Path("cut").exists():
            time.sleep(0.1)
backend = {{"name": "ray", "address": "10.77.0.10:6379", "workers": {workers}, "placement": "round_robin"}}
try:
    print(run(small(**{changes!r}, backend=backend), "ray", [At(5, wait), Recoveries()]).status, flush=True)
except RunError as error:
    seconds = time.time() - Path("cut").stat().st_mtime
    print(f"failed after {{seconds:.0f}} s: {{error}}\\nthat was all", flush=True)
"""


@pytest.fixture
def short():
    """A folder with a name that is short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="rm", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder


def said(host, text):
    assert "Traceback" not in host.said(), host.said()
    return text in host.said()


def begin(machines, short, deadline, **changes):
    """Ray on these hosts, and a run with a worker on each, which waits in round 5 until its folder has a file `cut`."""
    head = machines[0]
    for host in machines:
        host.environment |= {"PYTHONPATH": str(TESTS), "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": short}
    head.start(*RAY, "--head", f"--node-ip-address={head.address}", "--port=6379", "--include-dashboard=false")
    until(lambda: said(head, "Ray runtime started"), deadline)
    for other in machines[1:]:
        other.start(*RAY, f"--address={head.address}:6379", f"--node-ip-address={other.address}")
        until(lambda host=other: said(host, "Ray runtime started"), deadline)

    script = SCRIPT.format(tests=str(TESTS), changes=CHANGES | changes, workers=len(machines))
    (head.folder / "script.py").write_text(script)
    head.start(sys.executable, "script.py")
    until(lambda: said(head, "waiting"), deadline, 0.5)


def test_a_cable_that_is_pulled_is_noticed_and_the_run_goes_on_at_the_other_end(hosts, short, tmp_path):
    hub, head, other, *_ = hosts
    deadline = time.monotonic() + 280
    begin([head, other], short, deadline)
    ip("-n", hub.name, "link", "set", "v1", "down")
    (head.folder / "cut").touch()
    until(lambda: said(head, "finished"), deadline, 0.5)

    back = re.search(r"went back to 3 after (\d+) s: the machine 10\.77\.0\.11 has not answered", head.said())
    assert back, head.said()
    assert int(back[1]) < 55, "Ray itself takes more than a minute to notice"
    (path,) = (head.folder / "ray").iterdir()
    assert results(path) == results(run(small(**CHANGES), tmp_path / "local").path)


def test_two_machines_that_do_not_reach_each_other_are_told(hosts, short):
    _, head, one, other, *_ = hosts
    deadline = time.monotonic() + 280
    large = {"model": {"name": "mlp", "hidden": [1000]}}  # what is smaller, Ray sends by way of its head
    begin([head, one, other], short, deadline, **large)
    ip("-n", one.name, "route", "add", "blackhole", f"{other.address}/32")
    (head.folder / "cut").touch()
    until(lambda: said(head, "that was all"), deadline, 0.5)

    assert re.search(
        r"failed after \d\d s: the machine 10\.77\.0\.1[12] does not reach 10\.77\.0\.1[12]", head.said()
    ), head.said()
