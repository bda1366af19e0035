"""What runs in an actor's process: a worker, and the sorting of its messages by the worker that they go to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from simulator.backends.ray.shared_tensors import SharedTensors
from simulator.backends.worker import Worker
from simulator.core.backend import Blueprint, Order, Reply
from simulator.core.message import Message

Outbox = SharedTensors[list[Message]]
States = dict[int, dict[str, Tensor]]


class Actor:
    """A `Worker` behind Ray's calls, with one torch thread: its results are those of a worker of `Local`."""

    def is_here(self) -> None:
        """Answer as soon as the process has started."""

    def make(self, blueprint: SharedTensors[Blueprint], ids: Sequence[int], worker_of: Sequence[int]) -> None:
        """Make the nodes ``ids``; ``worker_of`` says for each node of the network which worker carries it.

        Raises:
            InputError: a node cannot be made.
        """
        torch.set_num_threads(1)
        self._worker_of = worker_of
        self._worker = Worker(blueprint.content, ids)

    def reset(self) -> None:
        """Put the nodes back to their beginning and forget their mail."""
        self._worker.reset()

    def load(self, states: SharedTensors[States]) -> None:
        """Restore the nodes' states; what has arrived cannot be written to, so the nodes get copies."""
        for state in states.content.values():
            for name, value in state.items():
                state[name] = value.clone()
        self._worker.load(states.content)

    def superstep(
        self, order: Order, receivers: Sequence[int], *arrived: Outbox
    ) -> SharedTensors[dict[int, Reply]] | tuple[SharedTensors[dict[int, Reply]] | Outbox, ...]:
        """Carry out ``order``.

        Args:
            order: what to do.
            receivers: the workers that messages can go to.
            *arrived: what other workers have sent.

        Returns:
            The replies, followed by one outbox for each of ``receivers``, if there are any.
        """
        inbox = chain.from_iterable(outbox.content for outbox in arrived)
        replies, sent = self._worker.superstep(order, inbox)
        if not receivers:
            return SharedTensors(replies)
        outboxes: dict[int, list[Message]] = {worker: [] for worker in receivers}
        for message in sent:
            outboxes[self._worker_of[message.receiver]].append(message)
        return SharedTensors(replies), *(SharedTensors(messages) for messages in outboxes.values())
