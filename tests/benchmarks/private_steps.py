"""What privacy costs a step: the time of one of DP-SGD over that of one without, for both trainers, beside Opacus.

    python tests/benchmarks/private_steps.py [--models mlp cnn] [--nodes 4] [--rounds 100]

Nodes train on images of Fashion-MNIST's shape with batches of 32 (of that length on average, where they are private) on
one thread of one process, and the ways take turns round by round, of two steps each. A way's time is the processor's in
its best round, per step and node; "noise" is what drawing a step's noise takes alone, "less noise" the ratio without
it, and "written out" a step whose samples' gradients are. Opacus trains one model on batches of 32, in PyTorch's own
memory layout, with its hooks and with its ghost clipping. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from overhead import BATCH, OPTIMIZER, experiment, images, network

from simulator.core.node_program import NodeProgram
from simulator.runs.build import Simulation
from simulator.training.by_sample import BySample
from simulator.training.trainers import TRAINERS

STEPS = 2  # a round: the fewer, the more rounds are undisturbed
DP = "methods=[{name: dp_sgd, noise_multiplier: 1.0, clip: 1.0, accountant: rdp}]"


def engine(model: str, trainer: str, nodes: int, private: bool, written_out: bool = False) -> Callable[[], int]:
    """A round of local steps; returns how many those are."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = [f"topology.nodes={nodes}", f"training.local_steps={STEPS}", *([DP] if private else [])]
        simulation = Simulation.of(experiment(model, Path(folder), 1, chosen))
    members = simulation.blueprint.nodes(range(nodes))
    for node in members:
        NodeProgram(node).begin()
    team = TRAINERS[trainer](simulation.blueprint.module())
    if written_out:
        team._by_sample = _WritingOut(team.module)  # type: ignore[attr-defined]

    def round() -> int:
        team.train(members)
        return nodes * STEPS

    return round


class _WritingOut(BySample):
    def _way(self, node: Any) -> Any:
        return self._written_out


def noise(model: str) -> Callable[[], int]:
    """Noise alone, drawn as `methods.differential_privacy.dp_sgd` draws it."""
    size, rng = sum(parameter.numel() for parameter in network(model).parameters()), np.random.default_rng(0)

    def round() -> int:
        for _ in range(STEPS):
            torch.from_numpy(rng.standard_normal(size)).to(torch.float32) * 1.0
        return STEPS

    return round


def opacus(model: str, ghost: bool) -> Callable[[], int]:
    """Steps of Opacus."""
    x, y = images()
    plain = network(model)
    for parameter in plain.parameters():
        parameter.data = parameter.data.contiguous()
    inputs, targets = torch.from_numpy(x[:, None]).float().div_(255).split(BATCH), torch.from_numpy(y).split(BATCH)
    sgd = torch.optim.SGD(plain.parameters(), **OPTIMIZER)
    options: dict[str, Any] = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "expected_batch_size": BATCH}
    loss: Any = torch.nn.CrossEntropyLoss()
    if ghost:
        watched: Any = GradSampleModuleFastGradientClipping(plain, max_grad_norm=1.0, use_ghost_clipping=True)
        optimizer: Any = DPOptimizerFastGradientClipping(sgd, **options)
        loss = DPLossFastGradientClipping(watched, optimizer, loss)
    else:
        watched, optimizer = GradSampleModule(plain), DPOptimizer(sgd, **options)

    def round() -> int:
        for batch, labels in zip(inputs[:STEPS], targets[:STEPS], strict=True):
            optimizer.zero_grad()
            loss(watched(batch), labels).backward()
            optimizer.step()
        return STEPS

    return round


def milliseconds(round: Callable[[], int]) -> float:
    """Processor time a step."""
    began = time.process_time()
    steps = round()
    return 1e3 * (time.process_time() - began) / steps


def compare(model: str, nodes: int, rounds: int) -> dict[str, float]:
    """The best round of each way, in milliseconds a step."""
    ways = {"noise": noise(model), "opacus": opacus(model, ghost=False), "opacus ghost": opacus(model, ghost=True)}
    for trainer in TRAINERS:
        made = partial(engine, model, trainer, nodes)
        ways |= {trainer: made(private=False), f"{trainer} private": made(private=True)}
        ways[f"{trainer} written out"] = made(private=True, written_out=True)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, round in ways.items():
            times[way].append(milliseconds(round))
    return {way: min(found[1:]) for way, found in times.items()}  # the first one warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=["mlp", "cnn"], default=["mlp", "cnn"])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Full backward hook is firing")  # of Opacus
    results = {}
    print(f"{'':16}{'plain ms':>10}{'private ms':>12}{'ratio':>7}{'less noise':>12}{'written out ms':>16}{'ratio':>7}")
    for model in arguments.models:
        found = results[model] = compare(model, arguments.nodes, arguments.rounds)
        for trainer in TRAINERS:
            plain, private, rows = (found[f"{trainer}{way}"] for way in ("", " private", " written out"))
            print(
                f"{model + ' ' + trainer:16}{plain:>10.3f}{private:>12.3f}{private / plain:>7.2f}"
                f"{(private - found['noise']) / plain:>12.2f}{rows:>16.3f}{rows / plain:>7.2f}"
            )
        others = (f"{way} {found[way]:.3f} ms" for way in ("noise", "opacus", "opacus ghost"))
        print(f"{model}: {', '.join(others)}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
