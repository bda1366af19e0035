"""What stacking nodes gains: node-steps a second of the stacked trainer over those of the sequential one.

    python tests/benchmarks/stacked.py [--device cuda] [--models mlp cnn resnet20] [--batches 8 32] [--nodes 16 64]

Both train the same nodes in one process on one thread and take turns round by round, so that a busy machine slows both
alike. mlp and cnn see images of Fashion-MNIST's shape, resnet20 of CIFAR-10's. On a GPU the table also says which share
of the card's matrix rate the stacked trainer reaches, that of a large product in the same precision being 1, and what
bounds it: launches, where kernels run less than four fifths of the time; else products, where it reaches half of that
rate; else memory. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from simulator import load_experiment
from simulator.core.node import Node
from simulator.core.node_program import NodeProgram
from simulator.runs.build import Simulation
from simulator.training.trainer import Trainer
from simulator.training.trainers import TRAINERS

OPTIMIZER = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}
SAMPLES = 64  # of each node
SHAPES = {"mlp": (28, 28, 1), "cnn": (28, 28, 1), "resnet20": (32, 32, 3)}


def network(model: str, batch: int, nodes: int, steps: int, arguments: argparse.Namespace) -> Simulation:
    """Nodes on a ring with random images."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.npz"
        x = rng.integers(0, 256, (nodes * SAMPLES, *SHAPES[model]), dtype=np.uint8)
        y = rng.integers(0, 10, len(x))
        np.savez(path, x_train=x, y_train=y, x_test=x[:32], y_test=y[:32])
        training = {"local_steps": steps, "batch_size": batch, "optimizer": OPTIMIZER}
        training |= {"device": arguments.device, "precision": arguments.precision}
        return Simulation.of(
            load_experiment(
                {
                    "name": "stacked",
                    "rounds": 1,
                    "topology": {"graph": "ring", "nodes": nodes},
                    "data": {"dataset": {"name": "npz", "path": str(path)}, "partition": "iid"},
                    "model": model,
                    "training": training,
                }
            )
        )


def team(simulation: Simulation, trainer: str) -> tuple[Trainer, list[Node]]:
    """A trainer with nodes of its own."""
    nodes = simulation.blueprint.nodes(range(simulation.network.base.num_nodes))
    for node in nodes:
        NodeProgram(node).begin()
    return TRAINERS[trainer](simulation.blueprint.module()), nodes


def seconds(trainer: Trainer, nodes: Sequence[Node], device: str) -> float:
    """Wall time of one round of local steps."""
    began = time.perf_counter()
    trainer.train(nodes)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def compare(model: str, batch: int, nodes: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Node-steps a second of both, and the stacked one's over the other's, from the median of their turns."""
    steps = arguments.steps
    simulation = network(model, batch, nodes, steps, arguments)
    teams = {trainer: team(simulation, trainer) for trainer in TRAINERS}
    turns: dict[str, list[float]] = {trainer: [] for trainer in TRAINERS}
    for _ in range(arguments.rounds + 1):
        for trainer, (runner, members) in teams.items():
            turns[trainer].append(seconds(runner, members, arguments.device))
    rates = {trainer: nodes * steps / statistics.median(times[1:]) for trainer, times in turns.items()}
    gains = [one / other for one, other in zip(turns["sequential"][1:], turns["stacked"][1:], strict=True)]
    row = {"model": model, "batch": batch, "nodes": nodes, **rates, "gain": statistics.median(gains)}
    if arguments.device == "cuda":
        row |= bound(*teams["stacked"], rates["stacked"], arguments.precision)
    return row


def bound(trainer: Trainer, nodes: Sequence[Node], rate: float, precision: str) -> dict[str, Any]:
    """What holds the stacked trainer back on a GPU, at ``rate`` node-steps a second."""
    node, module = nodes[0], trainer.module
    batch = node.training_set.next_batch(node.training.batch_size, node.rng, node.rng("augmentation"))
    with FlopCounterMode(display=False) as counter, module.autocast():
        module.module(batch.inputs).sum().backward()
    share = rate * counter.get_total_flops() / matrix_rate(precision)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        wall = seconds(trainer, nodes, "cuda")
    busy = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6 / wall
    by = "launches" if busy < 0.8 else "products" if share > 0.5 else "memory"
    return {"matrix_share": share, "busy": busy, "bound_by": by}


def matrix_rate(precision: str) -> float:
    """FLOP a second of a large matrix product."""
    size, repeats = 8192, 10
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    a @ a
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(repeats):
        a @ a
    torch.cuda.synchronize()
    return 2 * size**3 * repeats / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(SHAPES), default=["mlp", "cnn", "resnet20"])
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--nodes", nargs="+", type=int, default=[16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(f"{'model':<10}{'batch':>6}{'nodes':>7}{'sequential/s':>14}{'stacked/s':>11}{'gain':>7}")
    for model, batch, nodes in itertools.product(arguments.models, arguments.batches, arguments.nodes):
        row = compare(model, batch, nodes, arguments)
        rows.append(row)
        why = f"  {row['matrix_share']:.1%} of the matrix rate, {row['bound_by']}" if "busy" in row else ""
        print(
            f"{model:<10}{batch:>6}{nodes:>7}{row['sequential']:>14.1f}{row['stacked']:>11.1f}{row['gain']:>7.2f}{why}",
            flush=True,
        )
    print(json.dumps({"device": arguments.device, "precision": arguments.precision, "rows": rows}))


if __name__ == "__main__":
    main()
