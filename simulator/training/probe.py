"""How long a node-step takes, measured on copies of the run's nodes: nothing of the run is touched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import torch

from simulator.core.backend import Blueprint
from simulator.core.node import Node
from simulator.core.node_program import NodeProgram
from simulator.training.trainer import Trainer
from simulator.training.trainers import TRAINERS

STEPS = 4  # of a round that are timed at most
SECONDS = 0.03  # enough of measuring; the first round warms up and counts only where it takes longer than this


def milliseconds_a_node_step(name: str, blueprint: Blueprint) -> float:
    """Wall time of a round of some nodes' local steps over their number, the best of a few tries.

    Args:
        name: of the trainer.
        blueprint: whose nodes.
    """
    trainer = TRAINERS[name](blueprint.module())
    nodes = blueprint.nodes(range(min(trainer.typical, blueprint.topology.num_nodes)))
    copies = [_copy(node) for node in nodes]
    with _one_thread():
        times = list(_seconds(trainer, copies))
    return 1000 * min(times) / sum(node.local_steps for node in copies)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch with one thread, as in the workers, for the length of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(trainer: Trainer, nodes: Sequence[Node]) -> Iterator[float]:
    """Of rounds of training, until that has taken long enough."""
    for node in nodes:
        with node.using(trainer.module):
            NodeProgram(node).begin()
    spent = 0.0
    while spent < SECONDS:
        began = time.perf_counter()
        trainer.train(nodes)  # reads the losses at its end, so a GPU is done with it
        taken = time.perf_counter() - began
        spent += taken
        yield taken


def _copy(node: Node) -> Node:
    """The node with state of its own, on the same data; its row is copied without the matrix that it lies in."""
    rows = {id(row): row.clone() for row in (node.parameters, node.momentum) if row is not None}
    copied = deepcopy(node, {id(node.data): node.data, **rows})
    copied.training = node.training.model_copy(update={"local_steps": min(node.training.local_steps, STEPS)})
    copied.active = True
    return copied
