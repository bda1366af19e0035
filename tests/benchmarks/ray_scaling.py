"""How the ray backend scales: node-steps a second beside those of one local worker.

    python tests/benchmarks/ray_scaling.py [--rounds 5]

First 16 nodes on a ring with a cnn on noise of Fashion-MNIST's shape, 19 steps of batches of 32 a round: the local
backend with one worker, and ray with one and two actors of one thread each. Then an mlp on noise of the shape of
digits, one step a round, which leaves little work between messages: 16 to 1,024 nodes, local with one worker and ray
with two actors. All backends of a table's row are alive at the same time and take turns, ``--rounds`` rounds each, so
that a busy machine slows all alike; starting them is not counted. Beside it stands the processor time of all processes
that there are then, Ray's own too. Prints tables and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from processor_time import processor_seconds

from simulator import load_experiment
from simulator.backends.ray.session import connected
from simulator.core.backend import Backend, Order
from simulator.runs.build import Simulation

BATCH, TURNS = 32, 5
CONTENDERS = {
    "local-1": {"name": "local", "workers": 1},
    "ray-1": {"name": "ray", "workers": 1},
    "ray-2": {"name": "ray", "workers": 2},
}
SIZES = (16, 64, 256, 1024)


def experiment(folder: Path, model: str, nodes: int, steps: int, side: int) -> dict[str, Any]:
    """``nodes`` on a ring with 64 random images of ``side`` x ``side`` each."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (64 * nodes, side, side), dtype=np.uint8), rng.integers(0, 10, 64 * nodes)
    np.savez(folder / "noise.npz", x_train=x, y_train=y, x_test=x[:32], y_test=y[:32])
    return {
        "name": "ray-scaling",
        "rounds": 10**6,
        "topology": {"graph": "ring", "nodes": nodes},
        "data": {
            "dataset": {"name": "npz", "path": str(folder / "noise.npz")},
            "partition": "iid",
            "validation": 0.0,
        },
        "model": model,
        "training": {"local_steps": steps, "batch_size": BATCH, "optimizer": {"lr": 0.01}},
    }


class Pace(NamedTuple):
    """Node-steps a second, and milliseconds of processor time that one takes."""

    rate: float
    processor: float


def work(backend: Backend, rounds: int) -> tuple[float, float]:
    """Seconds that ``rounds`` rounds take, as many of them under way as the backend allows; and of processor time."""
    used, began, under_way = processor_seconds(), time.perf_counter(), []
    for _ in range(rounds):
        under_way.append(backend.superstep(Order(absorb=True, begin=True, train=True, send=1)))
        if len(under_way) >= backend.window:
            under_way.pop(0)()
    for collect in under_way:
        collect()
    return time.perf_counter() - began, processor_seconds() - used


def compare(content: Mapping[str, Any], backends: Mapping[str, Any], rounds: int) -> dict[str, Pace]:
    """The pace of each backend, the medians over its turns."""
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in backends}
    with ExitStack() as stack:
        started = {}
        for name, settings in backends.items():
            simulation = Simulation.of(load_experiment({**content, "backend": settings}))
            stack.enter_context(simulation.started())
            started[name] = simulation.backend
            started[name].superstep(Order(begin=True, train=True, send=1))()
            work(started[name], 2)  # to warm up
        for _ in range(TURNS):
            for name, backend in started.items():
                turns[name].append(work(backend, rounds))
    steps = content["topology"]["nodes"] * content["training"]["local_steps"] * rounds
    medians = {name: map(statistics.median, zip(*taken, strict=True)) for name, taken in turns.items()}
    return {name: Pace(steps / wall, 1e3 * processor / steps) for name, (wall, processor) in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of nodes of the second table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, connected(None):
        cnn = compare(experiment(Path(folder), "cnn", 16, 19, 28), CONTENDERS, arguments.rounds)
        print(f"{'cnn, 16 nodes':<16}{'node-steps/s':>14}{'over local-1':>14}{'processor ms':>14}")
        for name, pace in cnn.items():
            print(f"{name:<16}{pace.rate:>14,.0f}{pace.rate / cnn['local-1'].rate:>14.2f}{pace.processor:>14.2f}")
        print(
            f"\n{'mlp, nodes':<16}{'local-1':>14}{'ray-2':>14}{'ray-2 over local-1':>20}{'ray-2 s/round':>16}", end=""
        )
        print(f"{'processor ms':>22}")
        sizes = {}
        for nodes in arguments.sizes:
            pair = {name: CONTENDERS[name] for name in ("local-1", "ray-2")}
            sizes[nodes] = found = compare(experiment(Path(folder), "mlp", nodes, 1, 8), pair, arguments.rounds)
            local, ray = found["local-1"], found["ray-2"]
            print(f"{nodes:<16}{local.rate:>14,.0f}{ray.rate:>14,.0f}{ray.rate / local.rate:>20.2f}", end="")
            print(f"{nodes / ray.rate:>16.4f}{local.processor:>12.2f} {ray.processor:>9.2f}")
    told = {name: pace._asdict() for name, pace in cnn.items()}
    mlp = {nodes: {name: pace._asdict() for name, pace in found.items()} for nodes, found in sizes.items()}
    print(json.dumps({"cnn": told, "ratio": cnn["ray-2"].rate / cnn["local-1"].rate, "mlp": mlp}))


if __name__ == "__main__":
    main()
