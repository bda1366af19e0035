"""All nodes in this process, on worker threads of one torch thread each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from simulator.core.backend import Backend, Evaluation, Order, Reply
from simulator.core.flat_module import FlatModule
from simulator.core.message import Message
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.training.evaluation import evaluate
from simulator.training.sequential import Sequential


class Local(Backend):
    """Nodes are rows of one matrix; ``workers`` threads carry them through a superstep, each with a module of its own.

    Torch releases the interpreter lock inside its kernels, so two threads nearly halve the time of a step that takes
    over about 2 ms; for smaller steps one worker is faster. The number of workers never changes results.
    """

    class Config(PartSettings):
        """Settings of `Local`; "auto" is one worker a core."""

        name: str = "local"
        workers: PositiveInt | Literal["auto"] = 1

    config: Config

    def start(self, nodes: Sequence[Node], build_module: Callable[[], FlatModule]) -> None:
        """Take charge of ``nodes`` and start the workers."""
        self._nodes = list(nodes)
        self._trainer = Sequential()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        wanted = cores if self.config.workers == "auto" else self.config.workers
        self._modules = [build_module() for _ in range(min(wanted, len(nodes)))]
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(
            len(self._modules), thread_name_prefix="worker", initializer=torch.set_num_threads, initargs=(1,)
        )

    def superstep(self, order: Order, inboxes: Mapping[int, Sequence[Message]]) -> dict[int, Reply]:
        """Deal the nodes to the workers, each taking every K-th."""
        if len(self._modules) == 1:
            return dict(self._carry(0, order, inboxes))
        jobs = [self._pool.submit(self._carry, worker, order, inboxes) for worker in range(len(self._modules))]
        replies = {node: reply for job in jobs for node, reply in job.result()}
        return dict(sorted(replies.items()))

    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states."""
        for node in self._nodes:
            node.load_state_dict(states[node.id])

    def close(self) -> None:
        """Stop the workers and give torch its threads back."""
        self._pool.shutdown()
        torch.set_num_threads(self._threads_before)

    def _carry(self, worker: int, order: Order, inboxes: Mapping[int, Sequence[Message]]) -> list[tuple[int, Reply]]:
        mine = self._nodes[worker :: len(self._modules)]
        mine = [node for node in mine if order.nodes is None or node.id in order.nodes]
        return [(node.id, self._one(node, self._modules[worker], order, inboxes.get(node.id, ()))) for node in mine]

    def _one(self, node: Node, module: FlatModule, order: Order, inbox: Sequence[Message]) -> Reply:
        reply, place = Reply(), order.places[node.id] if order.places else None
        with node.using(module):
            if order.absorb:
                node.absorb(inbox)
            if order.answer:
                reply.messages = node.answer(inbox)
            if order.finalize:
                node.finalize()
            if order.evaluate:
                score = evaluate(module, node.data.test, node.data.normalizer)
                reply.evaluation = Evaluation(score.accuracy, score.loss, node.take_loss(), node.parameters)
            if order.snapshot:
                reply.state = node.state_dict()
            if order.work:
                reply.messages = node.work(self._trainer, place)
            if order.send:
                reply.messages = node.send(place)
        reply.metrics, node.metrics = node.metrics, []
        reply.artifacts, node.artifacts = node.artifacts, []
        return reply
