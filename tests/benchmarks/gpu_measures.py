"""What `gpu.py` measures: the card's matrix rate, trainers on nodes of random data, and the core of a stacked step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from simulator.core.aligned_rows import aligned_rows
from simulator.core.arrays import called
from simulator.core.flat_module import FlatModule, fill
from simulator.core.node import Node, SharedSettings
from simulator.core.node_program import NodeProgram
from simulator.core.normalizer import Normalizer
from simulator.core.place import Place
from simulator.core.samples import NodeData, Samples, moved
from simulator.core.seeding import global_seed
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.training import OptimizerSettings, TrainingSettings
from simulator.mixers.gossip import Gossip
from simulator.models.resnet import ResNet20
from simulator.models.small import CNN, MLP
from simulator.tasks.classification import Classification
from simulator.training.stacked_module import StackedModule
from simulator.training.trainers import TRAINERS

MODELS = {"mlp": MLP, "cnn": CNN, "resnet20": ResNet20}
SHAPES = {"mlp": (28, 28, 1), "cnn": (28, 28, 1), "resnet20": (32, 32, 3)}  # Fashion-MNIST's and CIFAR-10's
CLASSES = 10
OPTIMIZER = OptimizerSettings(lr=0.01, momentum=0.9, weight_decay=1e-4)
SEQUENTIAL = 16  # nodes at most: one after the other, each takes as long as with more of them
LEAST = 3  # turns, after one that warms up
REPEATED = 5  # steps of the inner program a turn: waiting for a GPU takes as long as a short one
COMPARED = 3  # steps, after which two ways of taking them are held against each other
WAYS = ("plain", "graph", "compiled", "compiled+graph")


class Skipped(Exception):
    """There is no such thing here; the text says why."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        device: "cuda" or "cpu".
        batch: samples a step and node; each node holds twice as many.
        steps: a round.
        matrix: rows and columns of the products whose rate is measured.
        seconds: of measuring, for each thing that is.
    """

    device: str
    batch: int
    steps: int
    matrix: int
    seconds: float

    @property
    def on_gpu(self) -> bool:
        """Whether it is one."""
        return self.device == "cuda"


def matrix_rate(kind: str, sizes: Sizes) -> dict[str, float]:
    """FLOP a second of a large product of square matrices: "fp32", "tf32" (float32, rounded on a GPU), "bf16"."""
    if kind == "tf32" and not sizes.on_gpu:
        raise Skipped("only GPUs have TF32")
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    a, b = (torch.randn(sizes.matrix, sizes.matrix, device=sizes.device, dtype=dtype) for _ in range(2))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if kind == "tf32" else "highest")
    try:
        times = turns([lambda: a @ b], sizes)[0]
    finally:
        torch.set_float32_matmul_precision(before)
    return {"flop_per_s": 2 * sizes.matrix**3 / statistics.median(times), "size": sizes.matrix}


def turns(works: Sequence[Callable[[], object]], sizes: Sizes) -> list[list[float]]:
    """Seconds of each of ``works`` in each of its turns, which they take one after the other; the first warm up."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:
        _seconds(work, sizes)
    while len(times[0]) < LEAST or sum(map(sum, times)) < sizes.seconds * len(works):
        for work, own in zip(works, times, strict=True):
            own.append(_seconds(work, sizes))
    return times


def _seconds(work: Callable[[], object], sizes: Sizes) -> float:
    began = time.perf_counter()
    work()
    if sizes.on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - began


@contextmanager
def _peak(into: dict[str, Any], name: str, sizes: Sizes) -> Iterator[None]:
    """Note the most memory of the GPU that the block takes, in bytes, above what was taken before."""
    if not sizes.on_gpu:
        yield
        return
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    yield
    torch.cuda.synchronize()
    into[name] = torch.cuda.max_memory_allocated() - before


def network(model: str, precision: Any, sizes: Sizes) -> FlatModule:
    """The network, initialised by one seed."""
    task = Classification(Classification.Config())
    with global_seed(0, "model.initialisation"):
        part = MODELS[model](MODELS[model].Config())
        built = part.build(InputSpec("images", SHAPES[model]), OutputSpec(task, CLASSES))
    return FlatModule(built, precision, sizes.device)


def nodes_of(module: FlatModule, model: str, count: int, sizes: Sizes) -> list[Node]:
    """Nodes by themselves, with random images, that have begun a round: what a trainer is given."""
    rng, each = np.random.default_rng(0), 2 * sizes.batch
    images = torch.from_numpy(rng.integers(0, 256, (count * each, *SHAPES[model]), dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, CLASSES, len(images)))
    task, channels, none = Classification(Classification.Config()), SHAPES[model][2], torch.arange(0)
    empty = Samples(images, labels, none)
    whole = NodeData(
        train=Samples(images, labels, torch.arange(len(images))),
        validation=empty,
        held_out=empty,
        test=empty,
        public=None,
        preparation=Normalizer(torch.full((channels,), 0.5), torch.full((channels,), 0.25)),
        inputs=InputSpec("images", SHAPES[model]),
        outputs=OutputSpec(task, CLASSES),
    )
    own = [replace(whole, train=whole.train.subset(rows)) for rows in torch.arange(len(images)).split(each)]
    training = TrainingSettings(local_steps=sizes.steps, batch_size=sizes.batch, optimizer=OPTIMIZER)
    shared = SharedSettings(seed=0, nodes=count, rounds=1, training=training)
    rows = aligned_rows([module.initial] * count)
    nodes = [
        Node(Place(id, {id: 1.0}, ()), shared, data, parameters, Gossip(Gossip.Config()), [])
        for id, (data, parameters) in enumerate(zip(moved(own, module.device), rows, strict=True))
    ]
    for node, momentum in zip(nodes, aligned_rows([torch.zeros_like(module.initial)] * count), strict=True):
        node.momentum = momentum
        NodeProgram(node).begin()
    return nodes


def flop_of_a_step(module: FlatModule, node: Node) -> int:
    """Of the products in a forward and a backward pass over one batch of ``node``."""
    batch = node.training_set.next_batch(node.training.batch_size, node.rng, node.rng("augmentation"))
    module.bind(node.parameters)
    with FlopCounterMode(display=False) as counter:
        with module.autocast():
            outputs = called(module.module, batch.inputs)
        module.differentiate(node.data.task.losses(outputs.to(module.dtype), batch.targets).mean())
    return int(counter.get_total_flops())


def rate_for(model: str, precision: str, sizes: Sizes) -> str:
    """Which matrix rate a network's products could reach: torch lets a GPU round those of float32 convolutions."""
    tf32 = sizes.on_gpu and model != "mlp" and torch.backends.cudnn.allow_tf32
    return "tf32" if precision == "fp32" and tf32 else precision


def trainers(
    model: str, nodes: int, precision: str, sizes: Sizes, rates: Mapping[str, float]
) -> dict[str, str | float | int]:
    """Node-steps a second of both trainers, which take turns round by round, and the stacked one's over the other's."""
    found: dict[str, Any] = {"model": model, "nodes": nodes, "precision": precision}
    teams = []
    for name, members in (("stacked", nodes), ("sequential", min(nodes, SEQUENTIAL))):
        with _peak(found, f"{name}_peak_bytes", sizes):
            module = network(model, precision, sizes)
            team = TRAINERS[name](module), nodes_of(module, model, members, sizes)
            team[0].train(team[1])
        teams.append(team)
    (stacked, many), (sequential, few) = teams
    times = turns([lambda: stacked.train(many), lambda: sequential.train(few)], sizes)
    fast, slow = (
        len(members) * sizes.steps / statistics.median(own) for members, own in zip((many, few), times, strict=True)
    )
    flop, kind = flop_of_a_step(sequential.module, few[0]), rate_for(model, precision, sizes)
    found |= {"stacked_per_s": fast, "sequential_per_s": slow, "gain": fast / slow, "flop": flop, "rate": kind}
    if kind in rates:
        found |= {"stacked_share": fast * flop / rates[kind], "sequential_share": slow * flop / rates[kind]}
    return found


class InnerProgram:
    """What the stacked trainer does in a step of plain SGD, once its batch is there and before its loss is read.

    That is a forward and a backward pass of n models through `StackedModule`, and weight decay, momentum and the update
    on float [n, parameters]; not drawing batches, nor gathering and normalising them, nor hooks. It always takes the
    same batch, `inputs` and `targets`, since a captured graph reads from where it was captured.
    """

    def __init__(self, model: str, nodes: int, precision: str, sizes: Sizes) -> None:
        self._module = network(model, precision, sizes)
        self._stacked, rng = StackedModule(self._module), torch.Generator().manual_seed(0)
        self.parameters = aligned_rows([self._module.initial] * nodes)
        self._momentum, self._gradient = torch.zeros_like(self.parameters), torch.zeros_like(self.parameters)
        views = self._module.named_views(self.parameters)
        self._views = {name: view.detach().requires_grad_() for name, view in views.items()}
        height, width, channels = SHAPES[model]
        inputs = torch.randn(nodes, sizes.batch, channels, height, width, generator=rng, dtype=self._module.dtype)
        targets = torch.randint(CLASSES, (nodes, sizes.batch), generator=rng)
        self.inputs, self.targets = inputs.to(self._module.device), targets.to(self._module.device)
        self._losses = self._plain_losses

    def compile(self) -> None:
        """Let the passes forward and back be compiled, at the next step."""
        torch._dynamo.reset()
        self._losses = torch.compile(self._plain_losses, fullgraph=True, dynamic=False)

    def restart(self) -> None:
        """Put the models back to their beginning."""
        self.parameters.copy_(self._module.initial)
        self._momentum.zero_()

    def step(self) -> None:
        """One step of all models."""
        losses = self._losses(self._views, self.inputs, self.targets)
        found = self._stacked.differentiate(losses.sum(), self._views)
        fill(self._module.views(self._gradient), found)
        self._gradient.add_(self.parameters, alpha=OPTIMIZER.weight_decay)
        self._momentum.mul_(OPTIMIZER.momentum).add_(self._gradient)
        self.parameters.add_(self._momentum, alpha=-OPTIMIZER.lr)

    def _plain_losses(self, views: Mapping[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        outputs = self._stacked.outputs(views, inputs)
        wide = outputs.to(self._module.dtype).flatten(0, 1)
        losses = torch.nn.functional.cross_entropy(wide, targets.flatten(), reduction="none")
        return losses.view(targets.shape).mean(dim=1)


def inner_program(way: str, model: str, nodes: int, precision: str, sizes: Sizes) -> dict[str, Any]:
    """Node-steps a second of the inner program in one of `WAYS`, and how far it leads from the plain one's models."""
    if "graph" in way and not sizes.on_gpu:
        raise Skipped("CUDA graphs need a CUDA device")
    found: dict[str, Any] = {"way": way, "model": model, "nodes": nodes, "precision": precision}
    program, expected = InnerProgram(model, nodes, precision, sizes), None
    if way != "plain":
        expected = _after(program.step, program)
    if "compiled" in way:
        program.compile()
        found["compile_s"] = _seconds(program.step, sizes)
    with _peak(found, "peak_bytes", sizes):
        step = _captured(program.step) if "graph" in way else program.step
        reached = _after(step, program)
    times = turns([lambda: [step() for _ in range(REPEATED)]], sizes)[0]
    found["per_s"] = nodes * REPEATED / statistics.median(times)
    if expected is not None:
        found["difference"] = ((reached - expected).norm() / expected.norm()).item()
    if not isfinite(program.parameters.sum().item()):
        raise ArithmeticError("the models are no longer finite")
    return found


def _after(step: Callable[[], object], program: InnerProgram) -> Tensor:
    """float64 [n, parameters]: how far the models have come after a few steps."""
    program.restart()
    began = program.parameters.double()
    for _ in range(COMPARED):
        step()
    return program.parameters.double() - began


def _captured(step: Callable[[], object]) -> Callable[[], None]:
    """``step`` as a CUDA graph, launched as one: see torch.cuda.CUDAGraph on why it warms up on another stream."""
    other = torch.cuda.Stream()
    other.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(other):
        for _ in range(LEAST):
            step()
    torch.cuda.current_stream().wait_stream(other)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    replay: Callable[[], None] = graph.replay
    return replay
