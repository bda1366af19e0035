"""What a node costs: peak memory and time a round, from 16 to 10,000 nodes.

    python tests/benchmarks/memory.py [--rounds 100] [--nodes 16 64 256 1024] [--trainer sequential]

An mlp of 9,610 parameters on the digits data set, one local step on a batch of one (1,024 nodes have one training
sample each, more share them), on a ring and on a torus, evaluated before and after; of more than 1,024 nodes 200 are
tested. Every size runs in a process of its own, so peaks do not add up. Bytes a node are the growth over the smallest
size; the same is shown in parameter vectors. The total is of the run with its report, whose size stands beside it.
Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PARAMETERS, MOST, TESTED = 9_610, 1_024, 200


def digits(nodes: int, folder: Path) -> Any:
    """The data set; for more nodes than it has samples, one that has each of them several times."""
    if nodes <= MOST:
        return "digits"
    from sklearn.datasets import load_digits

    found = load_digits()
    images, labels = (found.images * 15).astype(np.uint8), found.target
    train = np.arange(2 * nodes) % (len(labels) - 360)
    arrays = {"x_train": images[train], "y_train": labels[train], "x_test": images[-360:], "y_test": labels[-360:]}
    np.savez(folder / "digits.npz", **arrays)
    return {"name": "npz", "path": str(folder / "digits.npz")}


def measure(graph: str, nodes: int, rounds: int, trainer: str) -> dict[str, float]:
    """One run in this process: its peak memory, and the median seconds of a round."""
    from simulator import load_experiment, run
    from simulator.core.message import Envelope
    from simulator.core.observer import Observer
    from simulator.results.run_directory import RunDirectory
    from simulator.runs.report import write_run_report

    class Times(Observer):
        def __init__(self) -> None:
            self.at: list[float] = []

        def sent(self, round: int, messages: Sequence[Envelope]) -> None:
            self.at.append(time.perf_counter())

    times = Times()
    with tempfile.TemporaryDirectory() as folder:
        experiment = load_experiment(
            {
                "name": "memory",
                "rounds": rounds,
                "topology": {"graph": graph, "nodes": nodes},
                "data": {"dataset": digits(nodes, Path(folder)), "partition": "iid", "validation": 0.0},
                "model": "mlp",
                "training": {"batch_size": 1, "optimizer": {"lr": 0.1}, "trainer": trainer},
                "evaluate": {"tested_nodes": TESTED} if nodes > MOST else {},
                "backend": {"name": "local", "workers": 1},
            }
        )
        began = time.perf_counter()
        report = write_run_report(RunDirectory.open(run(experiment, Path(folder), [times]).path))
        seconds, size = time.perf_counter() - began, report.stat().st_size
    # Not getrusage: a child's ru_maxrss starts at its parent's.
    status = Path("/proc/self/status").read_text()
    return {
        "peak_mib": int(status.partition("VmHWM:")[2].split()[0]) / 1024,
        "round_s": statistics.median(b - a for a, b in zip(times.at[1:], times.at[2:], strict=False)),
        "total_s": seconds,
        "report_mib": size / 2**20,
    }


def in_a_process_of_its_own(graph: str, nodes: int, rounds: int, trainer: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--only", graph, "--nodes", str(nodes), "--rounds", str(rounds)]
    command += ["--trainer", trainer]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--nodes", type=int, nargs="+", default=[16, 64, 256, 1024])
    parser.add_argument("--trainer", choices=["sequential", "stacked"], default="sequential")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.nodes[0], arguments.rounds, arguments.trainer)))
        return
    results: dict[str, Any] = {}
    columns = (
        "graph",
        "nodes",
        "peak MiB",
        "KiB/node",
        "vectors/node",
        "ms/round",
        "us/node-round",
        "total s",
        "report MiB",
    )
    print("".join(f"{name:>14}" for name in columns))
    for graph in ("ring", "torus"):
        first: dict[str, float] = {}
        for nodes in arguments.nodes:
            row = in_a_process_of_its_own(graph, nodes, arguments.rounds, arguments.trainer) | {"nodes": nodes}
            first = first or row
            grown = (row["peak_mib"] - first["peak_mib"]) * 1024 / max(1, nodes - first["nodes"])
            row["kib_per_node"] = grown
            results[f"{graph}-{nodes}"] = row
            told = [row["peak_mib"], grown, grown * 1024 / 4 / PARAMETERS, row["round_s"] * 1e3]
            told += [row["round_s"] / nodes * 1e6, row["total_s"], row["report_mib"]]
            print(f"{graph:>14}{nodes:>14}" + "".join(f"{value:>14.4g}" for value in told), flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
