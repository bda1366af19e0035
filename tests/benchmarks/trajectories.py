"""What watching every training sample costs: its time over that of the same training without.

    python tests/benchmarks/trajectories.py [--epochs 4] [--model cnn] [--trainer sequential]

Four nodes on a ring with 1,125 made-up images each (of the shape of CIFAR-10's, or of the digits), and 125 to validate
on, train in batches of 32, 2 steps a round, in one process on one thread, and take turns round by round, so that a busy
machine slows all alike. ``byproduct`` uses the logits of training; ``eval_pass`` looks at all training samples once an
epoch (every 18 rounds) or every 4 rounds. ``ltc`` looks at the validation samples as well, once an epoch. Prints a
table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from simulator import load_experiment
from simulator.backends.worker import Worker
from simulator.config.experiment import Experiment
from simulator.core.backend import Order
from simulator.runs.build import Simulation

NODES, SAMPLES, VALIDATION, EPOCH = 4, 1250, 0.1, 18  # rounds an epoch, of two steps of 32
MODELS = {"cnn": ({"name": "cnn", "width": 8}, (32, 32, 3)), "mlp": ({"name": "mlp", "hidden": [64]}, (8, 8, 1))}
TRAINERS = ("sequential", "stacked")
VARIANTS = {
    "without": [],
    "byproduct": [{"name": "trajectories"}],
    "eval_pass, each epoch": [{"name": "trajectories", "mode": "eval_pass", "every": EPOCH}],
    "eval_pass, every 4 rounds": [{"name": "trajectories", "mode": "eval_pass", "every": 4}],
    "ltc, byproduct, each epoch": [{"name": "ltc", "mode": "byproduct", "every": EPOCH}],
    "ltc, eval_pass, each epoch": [{"name": "ltc", "every": EPOCH}],
}


def experiment(model: str, trainer: str, methods: list[dict[str, object]], folder: Path) -> Experiment:
    settings, shape = MODELS[model]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NODES * SAMPLES, *shape), dtype=np.uint8)
    labels = np.arange(NODES * SAMPLES) % 10
    np.savez(folder / "images.npz", x_train=images, y_train=labels, x_test=images[:32], y_test=labels[:32])
    return load_experiment(
        {
            "name": "watching",
            "rounds": 10_000,
            "topology": {"graph": "ring", "nodes": NODES},
            "data": {
                "dataset": {"name": "npz", "path": str(folder / "images.npz")},
                "partition": "iid",
                "validation": VALIDATION,
            },
            "model": settings,
            "training": {"local_steps": 2, "batch_size": 32, "optimizer": {"lr": 0.01}, "trainer": trainer},
            "methods": methods,
        }
    )


def seconds(model: str, trainer: str, epochs: int) -> dict[str, float]:
    """Of all rounds, by variant."""
    with tempfile.TemporaryDirectory() as folder:
        made = {name: experiment(model, trainer, methods, Path(folder)) for name, methods in VARIANTS.items()}
        workers = {name: Worker(Simulation.of(each).blueprint, range(NODES)) for name, each in made.items()}
    spent = dict.fromkeys(VARIANTS, 0.0)
    for round in range((epochs + 1) * EPOCH):
        for name, worker in workers.items():
            began = time.perf_counter()
            worker.superstep(Order(absorb=round > 0, begin=True, train=True, send=1))
            if round >= EPOCH:  # the first epoch warms up
                spent[name] += time.perf_counter() - began
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--model", choices=MODELS, action="append", help="repeatable; default: all")
    parser.add_argument("--trainer", choices=TRAINERS, action="append", help="repeatable; default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for model in arguments.model or MODELS:
        for trainer in arguments.trainer or TRAINERS:
            spent = seconds(model, trainer, arguments.epochs)
            found[f"{model}, {trainer}"] = {name: taken / spent["without"] for name, taken in spent.items()}
            steps = arguments.epochs * EPOCH * 2 * NODES
            print(f"{model}, {trainer}: {1000 * spent['without'] / steps:.2f} ms a node-step without")
            for name, ratio in found[f"{model}, {trainer}"].items():
                print(f"    {name:<28}{ratio:>7.3f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
