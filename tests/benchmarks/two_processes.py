"""What a round takes on all cores, over a plain PyTorch loop in as many processes that does the same maths.

    python tests/benchmarks/two_processes.py [--rounds 15] [--processes 2]

16 nodes on a ring train a small CNN with batches of 32 on images of Fashion-MNIST's shape, 19 local steps a round and
then 1. The loop is what one would write by hand: a module and a `torch.optim.SGD` a node, contiguous tensors, each
process with its share of the nodes on one thread, parameters handed on in shared memory. The engine runs with as many
worker threads. Both take turns round by round, so that a busy machine slows both alike. Processor time is that of all
processes, in the loop's rounds and then in the engine's. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from overhead import BATCH, NODES, SAMPLES, experiment, images, take_turns
from torch import Tensor, nn

LR = 0.05


def network() -> nn.Module:
    """The same architecture as the built-in `cnn`, in the layout that PyTorch gives it."""
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1568, 10)]
    return nn.Sequential(*layers)


class Share:
    """The nodes of one process."""

    def __init__(self, nodes: Sequence[int], table: Tensor, steps: int) -> None:
        x, y = images()
        values = torch.from_numpy(x).float().div_(255)
        values = ((values - values.mean()) / values.std()).unsqueeze(1)
        self.nodes, self.table, self.steps = nodes, table, steps
        self.x, self.y = values.split(SAMPLES), torch.from_numpy(y).split(SAMPLES)
        self.models = {node: network() for node in nodes}
        self.optimizers = {node: torch.optim.SGD(model.parameters(), lr=LR) for node, model in self.models.items()}

    def train(self) -> None:
        for node in self.nodes:
            model, optimizer = self.models[node], self.optimizers[node]
            for batch in torch.randperm(SAMPLES)[: self.steps * BATCH].split(BATCH):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(self.x[node][batch]), self.y[node][batch])
                loss.backward()
                optimizer.step()
            self.table[node] = nn.utils.parameters_to_vector(model.parameters()).detach()

    def mix(self) -> None:
        for node in self.nodes:
            mixed = self.table[[(node + step) % NODES for step in (-1, 0, 1)]].mean(dim=0)
            nn.utils.vector_to_parameters(mixed, self.models[node].parameters())


def serve(nodes: Sequence[int], table: Tensor, steps: int, pipe: Connection) -> None:
    """Train when told to, mix when all have trained."""
    torch.set_num_threads(1)
    share = Share(nodes, table, steps)
    while (order := pipe.recv()) != "stop":
        getattr(share, order)()
        pipe.send("done")


class PlainLoop:
    """Gossip SGD on a ring in several processes."""

    def __init__(self, processes: int, steps: int) -> None:
        context = mp.get_context("spawn")
        table = torch.zeros(NODES, sum(p.numel() for p in network().parameters())).share_memory_()
        self._pipes, self._workers = [], []
        for nodes in torch.arange(NODES).chunk(processes):
            ours, theirs = context.Pipe()
            worker = context.Process(target=serve, args=(nodes.tolist(), table, steps, theirs), daemon=True)
            worker.start()
            self._pipes.append(ours)
            self._workers.append(worker)
        self.round()  # all have started

    def round(self) -> None:
        for order in ("train", "mix"):
            for pipe in self._pipes:
                pipe.send(order)
            for pipe in self._pipes:
                pipe.recv()

    def stop(self) -> None:
        for pipe, worker in zip(self._pipes, self._workers, strict=True):
            pipe.send("stop")
            worker.join()


def compare(processes: int, steps: int, precision: str, rounds: int) -> dict[str, float]:
    settings = [f"training.local_steps={steps}", f"training.precision={precision}", f"backend.workers={processes}"]
    settings += [f"training.optimizer={{lr: {LR}}}"]
    loop = PlainLoop(processes, steps)
    with tempfile.TemporaryDirectory() as folder:
        found = take_turns(loop, experiment("cnn", Path(folder), rounds + 2, settings), Path(folder))
    loop.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    print(
        f"{'local steps':>11}{'precision':>11}{'plain s/round':>15}{'engine s/round':>16}{'ratio':>8}{'(min max)':>14}"
        f"{'processor s':>20}"
    )
    for steps, rounds in ((19, arguments.rounds), (1, 19 * arguments.rounds)):
        for precision in ("fp32", "bf16"):
            row = compare(arguments.processes, steps, precision, rounds)
            results[f"{steps}-{precision}"] = row
            spread = f"{row['ratio_min']:.2f} {row['ratio_max']:.2f}"
            print(
                f"{steps:>11}{precision:>11}{row['plain_s']:>15.4f}{row['engine_s']:>16.4f}"
                f"{row['ratio']:>8.3f}{spread:>14}{row['plain_processor_s']:>11.4f}{row['engine_processor_s']:>9.4f}"
            )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
