"""How soon the command line answers, and how soon a run trains.

    python tests/benchmarks/start.py [--repeats 5]

Each command is a process of its own, started once unmeasured and then as often as asked for, all taking turns: the best
counts, as others at work on the machine only make it slower. Of `run quickstart`, time is taken until standard error
says that the nodes are made, and until it has the scores before training; then the process is killed. `import torch`,
which every run does, is there to compare with. Processor time is that of user and system. Prints a table and one JSON
line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

RUMORMILL = (sys.executable, "-m", "simulator")
ANSWERS = (("--version",), ("--help",), ("run", "--help"), ("list", "mixers"), ("list",))
TRAINING = {"nodes are made": "quickstart, seed", "training begins": "round 0/"}  # how the lines begin


class Cost(NamedTuple):
    """Seconds."""

    processor: float
    wall: float


def until(command: Sequence[str], line: str | None = None) -> Cost:
    """What ``command`` takes until it writes a line that begins so, or until it ends."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = [process.stderr.readline()]
    while said[-1] and not (line and said[-1].startswith(line)):
        said.append(process.stderr.readline())
    if line:
        process.kill()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if not said[-1] if line else process.returncode:
        sys.exit(f"{' '.join(command)} did not do as expected: {''.join(said)}")
    return Cost(used.ru_utime + used.ru_stime, wall)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as out:
        run = (*RUMORMILL, "run", "quickstart", "--out", out)
        asked = {
            **{" ".join(words): ((*RUMORMILL, *words), None) for words in ANSWERS},
            "import torch": ((sys.executable, "-c", "import torch"), None),
            **{f"run quickstart: {what}": (run, line) for what, line in TRAINING.items()},
        }
        turns = [{name: until(*each) for name, each in asked.items()} for _ in range(repeats + 1)][1:]
    best = {name: Cost(*(min(costs) for costs in zip(*(turn[name] for turn in turns), strict=True))) for name in asked}
    for name, cost in best.items():
        print(f"{name:32} {cost.processor:6.2f} s of processor time {cost.wall:6.2f} s")
    print(json.dumps({name: cost._asdict() for name, cost in best.items()}))


if __name__ == "__main__":
    main()
