"""How the ray backend scales: node-steps a second beside those of one local worker.

    python tests/benchmarks/ray_scaling.py [--rounds 5]

First 16 nodes on a ring with a cnn on noise of Fashion-MNIST's shape, 19 steps of batches of 32 a round: the local
backend with one worker, and ray with one and two actors of one thread each. Then an mlp on noise of the shape of
digits, one step a round, which leaves little work between messages: 16 to 1,024 nodes, local with one worker and ray
with two actors. All backends of a table's row are alive at the same time and take turns, ``--rounds`` rounds each, so
that a busy machine slows all alike; starting them is not counted. Prints tables and one JSON line.
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
from typing import Any

import numpy as np

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


def work(backend: Backend, rounds: int) -> float:
    """Seconds that ``rounds`` rounds take, as many of them under way as the backend allows."""
    began, under_way = time.perf_counter(), []
    for _ in range(rounds):
        under_way.append(backend.superstep(Order(absorb=True, begin=True, train=True, send=1)))
        if len(under_way) >= backend.window:
            under_way.pop(0)()
    for collect in under_way:
        collect()
    return time.perf_counter() - began


def compare(content: Mapping[str, Any], backends: Mapping[str, Any], rounds: int) -> dict[str, float]:
    """Node-steps a second of each backend, the median over its turns."""
    seconds: dict[str, list[float]] = {name: [] for name in backends}
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
                seconds[name].append(work(backend, rounds))
    steps = content["topology"]["nodes"] * content["training"]["local_steps"] * rounds
    return {name: steps / statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of nodes of the second table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, connected(None):
        cnn = compare(experiment(Path(folder), "cnn", 16, 19, 28), CONTENDERS, arguments.rounds)
        print(f"{'cnn, 16 nodes':<16}{'node-steps/s':>14}{'over local-1':>14}")
        for name, rate in cnn.items():
            print(f"{name:<16}{rate:>14,.0f}{rate / cnn['local-1']:>14.2f}")
        print(f"\n{'mlp, nodes':<16}{'local-1':>14}{'ray-2':>14}{'ray-2 over local-1':>20}{'ray-2 s/round':>16}")
        sizes = {}
        for nodes in arguments.sizes:
            pair = {name: CONTENDERS[name] for name in ("local-1", "ray-2")}
            rates = compare(experiment(Path(folder), "mlp", nodes, 1, 8), pair, arguments.rounds)
            sizes[nodes] = rates
            ratio, pace = rates["ray-2"] / rates["local-1"], nodes / rates["ray-2"]
            print(f"{nodes:<16}{rates['local-1']:>14,.0f}{rates['ray-2']:>14,.0f}{ratio:>20.2f}{pace:>16.4f}")
    print(json.dumps({"cnn": cnn, "ratio": cnn["ray-2"] / cnn["local-1"], "mlp": sizes}))


if __name__ == "__main__":
    main()
