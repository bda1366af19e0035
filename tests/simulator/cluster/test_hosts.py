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
backend = {{"name": "ray", "address": "10.77.0.10:6379", "workers": 2, "placement": "round_robin"}}
print(run(small(**{changes!r}, backend=backend), "ray", [At(5, wait), Recoveries()]).status, flush=True)
"""


@pytest.fixture
def short():
    """A folder with a name that is short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="rm", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder


def said(host, text):
    assert "Traceback" not in host.said(), host.said()
    return text in host.said()


def test_a_cable_that_is_pulled_is_noticed_and_the_run_goes_on_at_the_other_end(hosts, short, tmp_path):
    hub, head, other, *_ = hosts
    deadline = time.monotonic() + 280
    for host in (head, other):
        host.environment |= {"PYTHONPATH": str(TESTS), "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": short}
    head.start(*RAY, "--head", f"--node-ip-address={head.address}", "--port=6379", "--include-dashboard=false")
    until(lambda: said(head, "Ray runtime started"), deadline)
    other.start(*RAY, f"--address={head.address}:6379", f"--node-ip-address={other.address}")
    until(lambda: said(other, "Ray runtime started"), deadline)

    (head.folder / "script.py").write_text(SCRIPT.format(tests=str(TESTS), changes=CHANGES))
    head.start(sys.executable, "script.py")
    until(lambda: said(head, "waiting"), deadline, 0.5)
    ip("-n", hub.name, "link", "set", "v1", "down")
    (head.folder / "cut").touch()
    until(lambda: said(head, "finished"), deadline, 0.5)

    back = re.search(r"went back to 3 after (\d+) s: the machine 10\.77\.0\.11 has not answered", head.said())
    assert back, head.said()
    assert int(back[1]) < 55, "Ray itself takes more than a minute to notice"
    (path,) = (head.folder / "ray").iterdir()
    assert results(path) == results(run(small(**CHANGES), tmp_path / "local").path)
