"""A confined process ends with the one that has started it, however that ends."""

import subprocess
import sys
import time
from pathlib import Path

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
