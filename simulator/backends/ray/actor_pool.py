"""The actors of a run, and the references to what they send each other; the messages themselves never come here."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import Tensor

from simulator.backends.ray.actor import Actor
from simulator.backends.ray.calls import result
from simulator.backends.ray.local_modules import local_modules_by_value
from simulator.backends.ray.machines import Machine, Watch, machines
from simulator.backends.ray.paths import Paths
from simulator.backends.ray.placement import moved, within
from simulator.backends.ray.shared_tensors import SharedTensors
from simulator.core.backend import Blueprint, Order, Replies, Reply, WorkerLost, Workers
from simulator.core.errors import RunError, wrong

TRIES = 4  # of a worker that dies while it is prepared
STARTING = 300.0  # seconds for an actor's process: it may read torch from a network's disk
ROOM = 60.0  # seconds for machines in place of dead ones, and for GPUs of actors that have died to be free again
RESUME = "Continue with `rumormill resume`"


class NoRoomError(Exception):
    """An actor has nowhere to run, and what to do about it."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.advice = advice


class ActorPool:
    """Actors that carry the nodes of ``blueprint``.

    Rounds flow as data dependencies: the outboxes of a superstep are arguments of their receivers' next one, so a
    worker goes on as soon as those that it hears from have sent, however far the others are.

    Args:
        blueprint: goes to the object store once a machine, with the samples of the nodes there; all actors of a machine
            map the same memory.
        parts: the nodes of each worker.
        placed: where each worker is to run.
        gpus: of each worker, or a fraction of one.
        check: raises what is to be raised once Ray itself has died.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        parts: Sequence[Sequence[int]],
        placed: Sequence[Machine],
        gpus: float,
        check: Callable[[], None],
    ) -> None:
        self._parts, self._gpus, self._check = parts, gpus, check
        self._placed, self._watch = dict(enumerate(placed)), Watch()
        worker_of = {node: worker for worker, part in enumerate(parts) for node in part}
        self._worker_of = [worker_of[node] for node in sorted(worker_of)]
        # Both ends of a link: answers go back to those who sent.
        around = ({*blueprint.topology.neighbours(node), *blueprint.overhearing} for node in sorted(worker_of))
        self._around = [frozenset(worker_of[other] for other in others) for others in around]
        self._blueprint = blueprint
        self._stored = dict[str, tuple[frozenset[int], Any]]()
        self._actors: dict[int, Any] = {}
        self._lost: set[int] = set()

    def start(self) -> None:
        """Start the actors and have them make their nodes.

        Raises:
            InputError: a node cannot be made, or there is no room for an actor.
            RunError: a worker keeps dying of it.
        """
        self._forget()
        try:
            self._renew(self._placed, Counter())
        except NoRoomError as none:
            raise wrong("backend.gpus_per_worker" if self._gpus else "backend", str(none), none.advice) from none

    def superstep(self, order: Order) -> Callable[[], Replies]:
        """Send the orders; what is returned waits for the replies."""
        # All mail is taken out before any is sent: what is sent now belongs to the next superstep.
        orders = [(worker, part, self._take_mail(worker)) for worker, part in self._divided(order)]
        replies = [(worker, self._send(worker, part, mail)) for worker, part, mail in orders]
        return lambda: self._collect(replies)

    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states and forget all messages under way.

        Raises:
            RunError: a worker keeps dying of it, or there is no room for another one.
        """

        def load(worker: int) -> Any:
            return self._actors[worker].load.remote(
                SharedTensors({node: dict(states[node]) for node in self._parts[worker]})
            )

        self._have_all(load)

    def revive(self) -> None:
        """Replace the actors that died; the nodes of all are at their beginning then.

        Raises:
            RunError: new ones keep dying, there is no room for them, or Ray itself has died.
        """
        self._have_all(lambda worker: self._actors[worker].reset.remote())
        self._lost.clear()

    def workers(self) -> Workers:
        """Those that have given all that they were asked for so far; nobody is asked anew."""
        return Workers(len(self._actors) - len(self._lost), len(self._actors))

    def dismiss(self) -> None:
        """End the actors' processes."""
        for actor in self._actors.values():
            ray.kill(actor)

    def _have_all(self, call: Callable[[int], Any]) -> None:
        """Make ``call`` of all workers; those that die of it are replaced and called again."""
        self._forget()
        left, tries = list(self._placed), Counter[int]()
        while left:
            left = self._count(self._deaths({worker: call(worker) for worker in left}), tries)
            try:
                self._renew(left, tries)
            except NoRoomError as none:
                raise RunError(f"{none}\n    {none.advice} {RESUME}.") from none

    def _renew(self, workers: Collection[int], tries: Counter[int]) -> None:
        """Give ``workers`` new actors on machines that live now, and have them make their nodes.

        Raises:
            NoRoomError: on no machine.
        """
        left = list(workers)
        while left:
            self._place(left)
            for worker in left:
                self._actors[worker] = self._new(worker)
            lost = self._deaths({worker: self._actors[worker].is_here.remote() for worker in left}, STARTING)
            made = {
                worker: self._actors[worker].make.remote(self._stored_for(worker), self._parts[worker], self._worker_of)
                for worker in left
                if worker not in lost
            }
            left = self._count(lost | self._deaths(made), tries)

    def _place(self, workers: Collection[int]) -> None:
        """Choose a machine for each of ``workers``, which is the one that it had, if that lives.

        Raises:
            NoRoomError: there is none.
        """
        found = within(ROOM, lambda: moved(workers, self._placed, machines(self._gpus), self._gpus))
        if found is None:
            alive = ", ".join(f"{machine.host} for {machine.room}" for machine in machines(self._gpus))
            what = f"{len(workers)} workers have had no machine for {ROOM:g} s; there is room on {alive or 'none'}."
            raise NoRoomError(what, "Start Ray on other machines, or ask for fewer workers.")
        self._placed |= found

    def _new(self, worker: int) -> Any:
        # No processor is reserved: there may be more workers than processors, or a cluster's other jobs hold them all.
        # Ray would ignore a soft affinity then; where a machine dies, another one is chosen here.
        machine = NodeAffinitySchedulingStrategy(self._placed[worker].id, soft=False)
        kind = ray.remote(Actor).options(num_cpus=0, num_gpus=self._gpus, scheduling_strategy=machine)
        return kind.remote()

    def _stored_for(self, worker: int) -> Any:
        """The reference to the blueprint of the nodes on the worker's machine; of all, where that is the only one."""
        here = self._placed[worker].id
        there = [other for other, machine in self._placed.items() if machine.id == here]
        ids = frozenset(node for other in there for node in self._parts[other])
        held, reference = self._stored.get(here, (frozenset[int](), None))
        if not ids <= held:
            made = self._blueprint.for_workers(None if len(there) == len(self._placed) else ids)
            with local_modules_by_value():
                reference = ray.put(SharedTensors(made))
            self._stored[here] = ids, reference
        return reference

    def _deaths(self, calls: Mapping[int, Any], patience: float = math.inf) -> dict[int, WorkerLost]:
        """Wait for all ``calls``; those workers that did not live to give an answer.

        Raises:
            NoRoomError: patience, in seconds, is at an end.
        """
        found, until = {}, time.monotonic() + patience
        for worker, reference in calls.items():
            try:
                result(worker, reference, lambda at=(self._placed[worker],): self._look(at), until)  # type: ignore[misc]
            except WorkerLost as lost:
                found[worker] = lost
            except TimeoutError:
                self._tell_waiting(worker, patience)
        return found

    def _tell_waiting(self, worker: int, patience: float) -> NoReturn:
        host = self._placed[worker].host
        waited = f"worker {worker} has waited {patience:g} s on the machine {host}"
        if self._gpus:
            what = f"{waited} for {self._gpus:g} GPUs: others hold them, or no single one is free by as much."
            raise NoRoomError(what, "See `ray status`; ask for fewer workers or smaller fractions.")
        raise NoRoomError(f"{waited} for its process to start.", "See Ray's logs there: the machine may be too busy.")

    def _count(self, deaths: Mapping[int, WorkerLost], tries: Counter[int]) -> list[int]:
        """The workers that have died, each counted among ``tries`` unless its machine has died with it.

        Raises:
            RunError: one has died too often.
        """
        alive = {machine.id for machine in machines(self._gpus)} if deaths else ()
        for worker, death in deaths.items():
            tries[worker] += self._placed[worker].id in alive
            if tries[worker] >= TRIES:
                advice = "Give each more memory, by fewer nodes a worker or a smaller batch, and continue with"
                what = f"{death}, while it was prepared, for the {TRIES}th time"
                raise RunError(f"{what}.\n    {advice} `rumormill resume`.")
        return list(deaths)

    def _look(self, at: Collection[Machine]) -> None:
        """Whether Ray lives, and those machines do.

        Raises:
            RunError: Ray does not.
            WorkerLost: a machine does not.
        """
        self._check()
        self._watch.look(at)

    def _hears(self) -> dict[Machine, list[Machine]]:
        """From which other machines messages come to the workers on each."""
        found = dict[Machine, set[Machine]]()
        for worker, part in enumerate(self._parts):
            at = self._placed[worker]
            around = {self._placed[other] for node in part for other in self._around[node]}
            found.setdefault(at, set()).update(machine for machine in around if machine.id != at.id)
        return {at: sorted(others) for at, others in found.items()}

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
        paths, began = Paths(self._hears), time.monotonic()

        def look() -> None:
            self._look(self._placed.values())  # it may wait for what another one sends it: all machines count
            paths.look(time.monotonic() - began)

        for worker, reference in references:
            try:
                replies |= result(worker, reference, look).content
            except WorkerLost:
                self._lost.add(worker)
                raise
        return dict(sorted(replies.items()))
