"""The actors of a run, and the references to what they send each other; the messages themselves never come here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import Tensor

from simulator.backends.ray.actor import Actor
from simulator.backends.ray.calls import result
from simulator.backends.ray.local_modules import local_modules_by_value
from simulator.backends.ray.shared_tensors import SharedTensors
from simulator.core.backend import Blueprint, Order, Replies, Reply, WorkerLost, Workers
from simulator.core.errors import RunError

TRIES = 4  # of a worker that dies while it is prepared


class ActorPool:
    """Actors that carry the nodes of ``blueprint``.

    Rounds flow as data dependencies: the outboxes of a superstep are arguments of their receivers' next one, so a
    worker goes on as soon as those that it hears from have sent, however far the others are.

    Args:
        blueprint: goes to the object store once; all actors of a machine map the same memory.
        parts: the nodes of each worker.
        machines: where each worker is to run, as Ray's node ids.
        gpus: of each worker, or a fraction of one.
        check: raises what is to be raised once Ray itself has died.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        parts: Sequence[Sequence[int]],
        machines: Sequence[str],
        gpus: float,
        check: Callable[[], None],
    ) -> None:
        self._parts, self._machines, self._gpus, self._check = parts, machines, gpus, check
        worker_of = {node: worker for worker, part in enumerate(parts) for node in part}
        self._worker_of = [worker_of[node] for node in sorted(worker_of)]
        # Both ends of a link: answers go back to those who sent.
        around = ({*blueprint.topology.neighbours(node), *blueprint.overhearing} for node in sorted(worker_of))
        self._around = [frozenset(worker_of[other] for other in others) for others in around]
        with local_modules_by_value():
            self._blueprint = ray.put(SharedTensors(blueprint))
        self._actors: dict[int, Any] = {}
        self._lost: set[int] = set()

    def start(self) -> None:
        """Start the actors and have them make their nodes.

        Raises:
            InputError: a node cannot be made.
            RunError: a worker keeps dying of it.
        """
        self._replace(range(len(self._parts)))

    def superstep(self, order: Order) -> Callable[[], Replies]:
        """Send the orders; what is returned waits for the replies."""
        # All mail is taken out before any is sent: what is sent now belongs to the next superstep.
        orders = [(worker, part, self._take_mail(worker)) for worker, part in self._divided(order)]
        replies = [(worker, self._send(worker, part, mail)) for worker, part, mail in orders]
        return lambda: self._collect(replies)

    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states and forget all messages under way.

        Raises:
            RunError: a worker keeps dying of it.
        """

        def load(worker: int) -> Any:
            return self._actors[worker].load.remote(
                SharedTensors({node: dict(states[node]) for node in self._parts[worker]})
            )

        self._forget()
        self._have_all(range(len(self._parts)), load, self._replace)

    def revive(self) -> None:
        """Replace the actors that died; the nodes of all are at their beginning then.

        Raises:
            RunError: new ones keep dying, or Ray itself has died.
        """
        self._forget()
        self._have_all(range(len(self._parts)), lambda worker: self._actors[worker].reset.remote(), self._replace)
        self._lost.clear()

    def workers(self) -> Workers:
        """Those that have given all that they were asked for so far; nobody is asked anew."""
        return Workers(len(self._actors) - len(self._lost), len(self._actors))

    def dismiss(self) -> None:
        """End the actors' processes."""
        for actor in self._actors.values():
            ray.kill(actor)

    def _new(self, worker: int) -> Any:
        # No processor is reserved: there may be more workers than processors, or a cluster's other jobs hold them all.
        machine = NodeAffinitySchedulingStrategy(self._machines[worker], soft=True)
        kind = ray.remote(Actor).options(num_cpus=0, num_gpus=self._gpus, scheduling_strategy=machine)
        return kind.remote()

    def _replace(self, workers: Iterable[int]) -> None:
        """Give ``workers`` new actors, which make their nodes."""

        def make(worker: int) -> Any:
            self._actors[worker] = self._new(worker)
            return self._actors[worker].make.remote(self._blueprint, self._parts[worker], self._worker_of)

        self._forget()
        self._have_all(workers, make)

    def _have_all(
        self,
        workers: Iterable[int],
        call: Callable[[int], Any],
        replace: Callable[[Iterable[int]], None] = lambda workers: None,
    ) -> None:
        """Make ``call`` of each worker; those that die of it are replaced and called again, a few times."""
        left = list(workers)
        for _ in range(TRIES):
            deaths = self._deaths({worker: call(worker) for worker in left})
            if not deaths:
                return
            left = list(deaths)
            replace(left)
        advice = "Give each more memory, by fewer nodes a worker or a smaller batch, and continue with"
        what = f"{deaths[left[0]]}, while it was prepared, for the {TRIES}th time"
        raise RunError(f"{what}.\n    {advice} `rumormill resume`.")

    def _deaths(self, calls: Mapping[int, Any]) -> dict[int, WorkerLost]:
        """Wait for all ``calls``; those workers that did not live to give an answer."""
        found = {}
        for worker, reference in calls.items():
            try:
                result(worker, reference, self._check)
            except WorkerLost as lost:
                found[worker] = lost
        return found

    def _forget(self) -> None:
        self._mail: list[list[Any]] = [[] for _ in self._parts]

    def _take_mail(self, worker: int) -> list[Any]:
        mail, self._mail[worker] = self._mail[worker], []
        return mail

    def _divided(self, order: Order) -> Iterator[tuple[int, Order]]:
        """What each worker has to do of ``order``; those that hold none of its nodes are left in peace."""
        for worker, part in enumerate(self._parts):
            nodes = frozenset(node for node in part if order.nodes is None or node in order.nodes)
            places = order.places and {node: order.places[node] for node in nodes if node in order.places}
            if nodes:
                yield worker, replace(order, nodes=nodes, places=places)

    def _send(self, worker: int, order: Order, mail: Sequence[Any]) -> Any:
        """Have ``order`` carried out and keep the references to the outboxes; returns that to the replies."""
        sends = order.send is not None or order.lie
        around = frozenset[int]().union(*(self._around[node] for node in order.nodes or ())) if sends else frozenset()
        receivers = sorted(around - {worker})
        superstep = self._actors[worker].superstep.options(num_returns=1 + len(receivers))
        if not receivers:
            return superstep.remote(order, receivers, *mail)
        replies, *outboxes = superstep.remote(order, receivers, *mail)
        for receiver, outbox in zip(receivers, outboxes, strict=True):
            self._mail[receiver].append(outbox)
        return replies

    def _collect(self, references: Sequence[tuple[int, Any]]) -> Replies:
        replies: dict[int, Reply] = {}
        for worker, reference in references:
            try:
                replies |= result(worker, reference, self._check).content
            except WorkerLost:
                self._lost.add(worker)
                raise
        return dict(sorted(replies.items()))
