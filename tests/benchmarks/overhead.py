"""What the engine costs: its time a round over a plain PyTorch loop that does the same maths.

    python tests/benchmarks/overhead.py [--rounds 15]

Both train 16 nodes on a ring with batches of 32, 19 steps a round, on images of Fashion-MNIST's shape, in one process
on one thread, channels-last, and take turns round by round, so that a busy machine slows both alike. The plain loop is
what one would write by hand: a module and a `torch.optim.SGD` a node, normalised float images in memory, no metrics, no
message records. Peak memory is that of separate processes; processor time that of the loop, and then of the engine.
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
import torch
from processor_time import processor_seconds
from torch import nn

NODES, STEPS, BATCH, SAMPLES = 16, 19, 32, 600
OPTIMIZER = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}


def images(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 28, 28] noise and random labels."""
    rng = np.random.default_rng(seed)
    size = NODES * SAMPLES
    return rng.integers(0, 256, (size, 28, 28), dtype=np.uint8), rng.integers(0, 10, size)


def network(model: str) -> nn.Module:
    """The same architectures as the built-in models."""
    if model == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1568, 10)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


class PlainLoop:
    """Gossip SGD on a ring, written by hand."""

    def __init__(self, model: str) -> None:
        x, y = images()
        values = torch.from_numpy(x).float().div_(255)
        values = ((values - values.mean()) / values.std()).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        self.x, self.y = values.split(SAMPLES), torch.from_numpy(y).split(SAMPLES)
        self.models = [network(model) for _ in range(NODES)]
        for other in self.models[1:]:
            other.load_state_dict(self.models[0].state_dict())
        self.optimizers = [torch.optim.SGD(m.parameters(), **OPTIMIZER) for m in self.models]
        self.rng = np.random.default_rng(0)

    def round(self) -> None:
        for node in range(NODES):
            self.train(node)
        rows = [[p.detach().clone() for p in model.parameters()] for model in self.models]
        with torch.no_grad():
            for node, model in enumerate(self.models):
                near = [rows[(node + step) % NODES] for step in (-1, 0, 1)]
                for parameter, *terms in zip(model.parameters(), *near, strict=True):
                    parameter.copy_(terms[0]).add_(terms[1]).add_(terms[2]).div_(3)

    def train(self, node: int) -> None:
        order = torch.from_numpy(self.rng.permutation(SAMPLES))
        model, optimizer = self.models[node], self.optimizers[node]
        for batch in order[: STEPS * BATCH].split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(self.x[node][batch]), self.y[node][batch])
            loss.backward()
            optimizer.step()


def experiment(model: str, folder: Path, rounds: int, overrides: Sequence[str] = ()) -> Any:
    """The same work as an experiment; 600 samples a node."""
    from simulator import load_experiment

    x, y = images()
    np.savez(folder / "noise.npz", x_train=x, y_train=y, x_test=x[:32], y_test=y[:32])
    return load_experiment(
        {
            "name": f"overhead-{model}",
            "rounds": rounds,
            "topology": {"graph": "ring", "nodes": NODES},
            "data": {
                "dataset": {"name": "npz", "path": str(folder / "noise.npz")},
                "partition": "iid",
                "validation": 0.0,
            },
            "model": model,
            "training": {"local_steps": STEPS, "batch_size": BATCH, "optimizer": OPTIMIZER, "trainer": "sequential"},
            "backend": {"name": "local", "workers": 1},
        },
        overrides,
    )


def clocks() -> np.ndarray:
    """Seconds by the clock on the wall, and of processor time."""
    return np.array([time.perf_counter(), processor_seconds()])


def take_turns(loop: Any, experiment: Any, folder: Path) -> dict[str, float]:
    """Median seconds a round of ``experiment`` and of ``loop.round()``, taking turns, and their ratio pair by pair.

    Also the median seconds of processor time a round, of all processes together.
    """
    from simulator import run
    from simulator.core.message import Envelope
    from simulator.core.observer import Observer

    class TakingTurns(Observer):
        def __init__(self) -> None:
            self.engine: list[Any] = []  # wall and processor time
            self.plain: list[Any] = []
            self.resumed: Any = None

        def sent(self, round: int, messages: Sequence[Envelope]) -> None:
            now = clocks()
            if self.resumed is not None:
                self.engine.append(now - self.resumed)
            loop.round()
            self.resumed = clocks()
            self.plain.append(self.resumed - now)

    turns = TakingTurns()
    run(experiment, folder, [turns])
    engine, plain = turns.engine[1:], turns.plain[2:]  # warm-up rounds left out
    ratios = [float(a[0] / b[0]) for a, b in zip(engine, plain, strict=True)]
    (engine_s, engine_processor_s), (plain_s, plain_processor_s) = (np.median(each, axis=0) for each in (engine, plain))
    return {
        "engine_s": float(engine_s),
        "plain_s": float(plain_s),
        "engine_processor_s": float(engine_processor_s),
        "plain_processor_s": float(plain_processor_s),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def compare(model: str, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return take_turns(PlainLoop(model), experiment(model, Path(folder), rounds + 2), Path(folder))


def peak_mib(model: str, which: str) -> float:
    """Peak resident memory of two rounds in a process of their own, in MiB."""
    command = [sys.executable, __file__, "--memory-of", which, "--model", model]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def work_alone(model: str, which: str) -> None:
    """Two rounds of one of the two, then print the process's peak memory in MiB."""
    torch.set_num_threads(1)
    if which == "plain":
        loop = PlainLoop(model)
        loop.round()
        loop.round()
    else:
        from simulator import run

        with tempfile.TemporaryDirectory() as folder:
            run(experiment(model, Path(folder), 2), Path(folder))
    # Not getrusage: a child's ru_maxrss starts at its parent's.
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--memory-of", choices=["plain", "engine"])
    parser.add_argument("--model", choices=["cnn", "mlp"])
    arguments = parser.parse_args()
    if arguments.memory_of:
        return work_alone(arguments.model, arguments.memory_of)
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    print(
        f"{'model':<6}{'plain s/round':>14}{'engine s/round':>16}{'ratio':>8}{'(min max)':>14}{'memory':>9}"
        f"{'processor s':>20}"
    )
    for model in ("cnn", "mlp"):
        rounds = arguments.rounds * (1 if model == "cnn" else 5)
        row = compare(model, rounds) | {name: peak_mib(model, name) for name in ("plain", "engine")}
        row["memory_ratio"] = row["engine"] / row["plain"]
        results[model] = row
        spread = f"{row['ratio_min']:.2f} {row['ratio_max']:.2f}"
        print(
            f"{model:<6}{row['plain_s']:>14.3f}{row['engine_s']:>16.3f}{row['ratio']:>8.3f}{spread:>14}"
            f"{row['memory_ratio']:>9.2f}{row['plain_processor_s']:>11.3f}{row['engine_processor_s']:>9.3f}"
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
