"""What a round of many small models costs over batched products written by hand for that one network.

    python tests/benchmarks/vectorised_floor.py [--nodes 64 1024] [--batches 1 16] [--processes 5]

An mlp of 9,610 parameters on 8x8 images, one local step, gossip on a ring, stacked training on one thread. The floor is
what remains when nothing but the mathematics is left: one matrix of parameters, forward and backward pass as batched
products into memory that is kept, one update, and the sums over neighbours as shifted blocks of that matrix; it draws
its batches as the nodes do, without their generators, and records nothing. Both take turns, ten rounds each, of which
the first finds the other's data in the caches and does not count. A process's luck with where its memory lies is worth
a factor of three to either, so each is given its best of several. Prints a table, in microseconds a node and round, and
one JSON line.
"""

from __future__ import annotations

import argparse
import itertools
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
import torch
from torch import Tensor

INPUTS, HIDDEN, CLASSES, SAMPLES, RATE = 64, 128, 10, 32, 0.05
TURN = 10  # rounds


def images(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 8, 8] noise and random labels, `SAMPLES` a node."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (nodes * SAMPLES, 8, 8), dtype=np.uint8), rng.integers(0, CLASSES, nodes * SAMPLES)


class Floor:
    """The same rounds, written by hand."""

    def __init__(self, nodes: int, batch: int) -> None:
        x, y = images(nodes)
        self._x, self._y = torch.from_numpy(x).float().div_(255).flatten(1), torch.from_numpy(y)
        self._nodes, self._batch, self._rng = nodes, batch, np.random.default_rng(0)
        length = INPUTS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
        self._parameters = 0.05 * torch.randn(nodes, length, generator=torch.Generator().manual_seed(0))
        self._mixed, self._gradient = torch.empty_like(self._parameters), torch.empty_like(self._parameters)
        self._ones = -torch.ones(nodes, batch, 1)
        self._cursor = SAMPLES

    def _views(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        first, second, third = INPUTS * HIDDEN, HIDDEN * (INPUTS + 1), HIDDEN * (INPUTS + 1 + CLASSES)
        weights = rows[:, :first].view(-1, HIDDEN, INPUTS), rows[:, second:third].view(-1, CLASSES, HIDDEN)
        return weights[0], rows[:, first:second], weights[1], rows[:, third:]

    def _drawn(self) -> tuple[Tensor, Tensor]:
        if self._cursor + self._batch > SAMPLES:
            own = np.arange(self._nodes * SAMPLES).reshape(self._nodes, SAMPLES)
            self._order, self._cursor = torch.from_numpy(self._rng.permuted(own, axis=1)), 0
        rows = self._order[:, self._cursor : self._cursor + self._batch]
        self._cursor += self._batch
        return self._x[rows], self._y[rows]

    def round(self) -> None:
        x, y = self._drawn()
        (weight, bias, last, last_bias), into = self._views(self._parameters), self._views(self._gradient)
        hidden = torch.baddbmm(bias[:, None], x, weight.mT).relu_()
        backward = torch.baddbmm(last_bias[:, None], hidden, last.mT).softmax(-1)
        backward.scatter_add_(2, y[..., None], self._ones).div_(self._batch)
        into[2].copy_(backward.mT @ hidden)
        torch.sum(backward, 1, out=into[3])
        inner = (backward @ last).mul_(hidden > 0)
        into[0].copy_(inner.mT @ x)
        torch.sum(inner, 1, out=into[1])
        self._parameters.add_(self._gradient, alpha=-RATE)
        own, mixed = self._parameters, self._mixed
        torch.add(own[:-2], own[2:], out=mixed[1:-1])
        torch.add(own[-1], own[1], out=mixed[0])
        torch.add(own[-2], own[0], out=mixed[-1])
        mixed.add_(own).mul_(1 / 3)
        self._parameters, self._mixed = mixed, own


def compare(nodes: int, batch: int, rounds: int) -> dict[str, float]:
    """Median microseconds a node and round of both, taking turns in this process."""
    from simulator import load_experiment, run
    from simulator.core.message import Envelope
    from simulator.core.observer import Observer

    class Turns(Observer):
        """Seconds of each round of both."""

        def __init__(self, floor: Floor) -> None:
            self._floor = floor
            self.engine: list[float] = []
            self.floor: list[float] = []
            self._since: float | None = None

        def sent(self, round: int, messages: Sequence[Envelope]) -> None:
            now = time.perf_counter()
            if self._since is not None:
                self.engine.append(now - self._since)
            self._since = now
            if round % TURN == 0:
                self._floor.round()
                for _ in range(TURN):
                    began = time.perf_counter()
                    self._floor.round()
                    self.floor.append(time.perf_counter() - began)
                self._since = None

    torch.set_num_threads(1)
    x, y = images(nodes)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "noise.npz", x_train=x, y_train=y, x_test=x[:32], y_test=y[:32])
        experiment = load_experiment(
            {
                "name": "floor",
                "rounds": rounds,
                "topology": {"graph": "ring", "nodes": nodes},
                "data": {
                    "dataset": {"name": "npz", "path": str(Path(folder) / "noise.npz")},
                    "partition": "iid",
                    "validation": 0.0,
                },
                "model": "mlp",
                "training": {"batch_size": batch, "optimizer": {"lr": RATE}, "trainer": "stacked"},
                "backend": {"name": "local", "workers": 1},
            }
        )
        turns = Turns(Floor(nodes, batch))
        run(experiment, Path(folder), [turns])
    return {
        name: statistics.median(times) / nodes * 1e6
        for name, times in (("engine", turns.engine), ("floor", turns.floor))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", nargs="+", type=int, default=[64, 1024])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="compare in this process, once")
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(compare(arguments.nodes[0], arguments.batches[0], arguments.rounds)))
        return
    rows = list[dict[str, Any]]()
    print(f"{'nodes':>6}{'batch':>7}{'floor':>9}{'engine':>9}{'ratio':>8}")
    for nodes, batch in itertools.product(arguments.nodes, arguments.batches):
        asked = ["--alone", "--nodes", str(nodes), "--batches", str(batch), "--rounds", str(arguments.rounds)]
        command = [sys.executable, __file__, *asked]
        each = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            for _ in range(arguments.processes)
        ]
        floor, engine = min(one["floor"] for one in each), min(one["engine"] for one in each)
        rows.append({"nodes": nodes, "batch": batch, "floor": floor, "engine": engine, "processes": each})
        print(f"{nodes:>6}{batch:>7}{floor:>9.1f}{engine:>9.1f}{engine / floor:>8.2f}", flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
