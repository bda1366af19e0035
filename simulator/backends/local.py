"""All nodes in this process, on worker threads of one torch thread each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from simulator.backends.worker import Worker
from simulator.core.backend import Backend, Blueprint, Order, Replies, Workers, too_many_workers
from simulator.core.cores import cores
from simulator.core.message import Message
from simulator.core.registry import PartSettings
from simulator.training.probe import milliseconds_a_node_step
from simulator.training.trainers import TRAINERS

WORTH_A_THREAD = 2.0  # ms a step: below that, threads wait for the interpreter lock more than they help


class Local(Backend):
    """Nodes are rows of one matrix a worker; ``workers`` threads carry them, each with a module of its own.

    Torch releases the interpreter lock inside its kernels, so two threads nearly halve the time of a step that takes
    over about 2 ms; for smaller steps one worker is faster, and a GPU is kept busy by one. Stacked nodes take their
    steps together. The number of workers never changes results (of stacked nodes: beyond the order in which floats are
    summed).
    """

    class Config(PartSettings):
        """How many threads carry nodes; "auto" is one a core where a measured step is long enough, else one."""

        name: str = "local"
        workers: PositiveInt | Literal["auto"] = "auto"

    config: Config
    in_one_process: ClassVar[bool] = True

    def start(self, blueprint: Blueprint) -> None:
        """Make the nodes and start the threads.

        Raises:
            InputError: there are more workers than nodes, or a node cannot be made.
        """
        nodes, wanted = blueprint.topology.num_nodes, self.config.workers
        if wanted != "auto" and wanted > nodes:
            raise too_many_workers(wanted, nodes)
        count = min(self._measured(blueprint), nodes) if wanted == "auto" else wanted
        self._workers = [Worker(blueprint, ids.tolist()) for ids in np.array_split(np.arange(nodes), count)]
        self._under_way: list[Message] = []
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(
            count, thread_name_prefix="worker", initializer=torch.set_num_threads, initargs=(1,)
        )

    def _measured(self, blueprint: Blueprint) -> int:
        """How many workers are worth having."""
        (node,) = blueprint.nodes([0])
        if node.parameters.device.type != "cpu" or cores() == 1 or blueprint.topology.num_nodes == 1:
            return 1
        trainer = node.training.trainer
        taken = milliseconds_a_node_step(trainer, blueprint)
        together = min(TRAINERS[trainer].typical, -(-blueprint.topology.num_nodes // cores()))
        workers = cores() if taken * together > WORTH_A_THREAD else 1
        self.autotuned = {"workers": {"chosen": workers, "cores": cores(), "milliseconds_a_node_step": round(taken, 4)}}
        return workers

    def superstep(self, order: Order) -> Callable[[], Replies]:
        """Carry ``order`` out before returning; one worker needs no thread of its own."""
        if len(self._workers) == 1:
            (worker,) = self._workers
            replies, _ = worker.superstep(order)
            return lambda: replies
        jobs = [self._pool.submit(worker.superstep, order, self._arriving_at(worker)) for worker in self._workers]
        done = [job.result() for job in jobs]
        self._under_way = [message for _, elsewhere in done for message in elsewhere]
        together = {node: reply for found, _ in done for node, reply in found.items()}
        return lambda: together

    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states."""
        self._under_way = []
        for worker in self._workers:
            worker.load(states)

    def workers(self) -> Workers:
        """Threads do not die alone."""
        return Workers(len(self._workers), len(self._workers))

    def _arriving_at(self, worker: Worker) -> list[Message]:
        return [message for message in self._under_way if message.receiver in worker.ids]

    def close(self) -> None:
        """Stop the workers and give torch its threads back."""
        self._pool.shutdown()
        torch.set_num_threads(self._threads_before)
