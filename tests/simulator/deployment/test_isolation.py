"""What a confined process gives up, whoever it is."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reference.confined import missing_here

CONFINED = """
import os, time
from simulator.deployment.confined import isolation
isolation.without_outliving()
print(os.getpid(), flush=True)
time.sleep(60)
"""
STARTS = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(int(process.stdout.readline()), flush=True)
os.kill(os.getpid(), 9)
"""

ALONE = """
import json, os, sys
from simulator.deployment.confined import launcher
launcher._confine(json.loads(sys.argv[1]))
os.execv("/bin/grep", ["grep", "-E", "CapPrm|CapEff", "/proc/self/status"])
"""


def runs(process):
    try:
        return process.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_ends_with_the_process_that_started_it():
    starting = subprocess.run([sys.executable, "-c", STARTS, CONFINED], stdout=subprocess.PIPE, timeout=60)
    assert starting.returncode == -9
    confined, deadline = Path("/proc") / starting.stdout.decode().strip() / "stat", time.monotonic() + 10
    while runs(confined) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(confined)


def test_not_even_root_keeps_its_rights(tmp_path):
    if missing := missing_here():
        pytest.skip(f"this machine has no {missing}")
    given = {"user": None, "scratch": str(tmp_path)}
    command = [sys.executable, "-c", ALONE, json.dumps(given)]
    told = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, text=True).stdout
    assert dict(line.split() for line in told.splitlines()) == {"CapPrm:": "0" * 16, "CapEff:": "0" * 16}
