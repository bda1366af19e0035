"""A deployment goes with its owner, however that dies: its processes, and its folder with the keys."""

import os
import signal
import subprocess
import sys
import time

import pytest

from simulator.deployment.guard import MARK, marked

OWNER = """
import signal, subprocess, sys, time
from pathlib import Path
from simulator.deployment.guard import guarded
from simulator.deployment.processes import Processes

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a shell may have it ignored
folder = Path(sys.argv[1])
with guarded(folder):
    folder.mkdir()
    (folder / "node.key").write_text("secret")
    processes = Processes(folder, {"PATH": "/usr/bin:/bin"})
    for name in "ab":  # each starts another one in a session of its own, as Flower does
        processes.start(name, ["sh", "-c", "setsid sleep 100 & sleep 100"], folder)
    while len(processes.left()) < 6:
        time.sleep(0.05)
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path):
    folder = tmp_path / "temporary" / "deployment"
    folder.parent.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "started\n"
    yield process, folder
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGHUP, id="hung up", marks=pytest.mark.slow),
        pytest.param(None, id="over"),
    ],
)
def test_processes_and_keys_go_with_their_owner(number, owner):
    process, folder = owner
    assert len(marked(folder)) == 6
    if number is None:
        process.communicate("")
    else:
        os.kill(process.pid, number)
        process.wait()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (marked(folder) or folder.parent.exists()):
        time.sleep(0.05)
    assert not marked(folder)
    assert not folder.parent.exists()


def test_the_mark_of_another_deployment_is_left_alone(tmp_path):
    other = subprocess.Popen(["sleep", "100"], env={MARK: str(tmp_path / "other"), "PATH": os.environ["PATH"]})
    try:
        assert marked(tmp_path / "other") == [other.pid]
        assert marked(tmp_path / "oth") == []
    finally:
        other.kill()
        other.wait()
