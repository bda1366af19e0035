"""Nodes in Ray actors, a process each: on the cores and GPUs of this machine, or on those of a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Annotated, Literal

from pydantic import AfterValidator, NonNegativeFloat, PositiveInt
from torch import Tensor

from simulator.core.backend import Backend, Blueprint, Order, Replies, Workers, too_many_workers
from simulator.core.errors import wrong
from simulator.core.registry import PartSettings
from topologies import Topology, blocks


def _whole_above_one(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError("more than one GPU a worker must be a whole number")
    return gpus


def _of_a_cluster(address: str) -> str:
    if address.startswith("ray://"):
        raise ValueError(
            "through Ray Client nobody can say where a worker runs; give the head's own host:port, on a machine of it"
        )
    if address != "auto" and not re.fullmatch(r"[^/\s]+:\d{1,5}", address):
        raise ValueError('an address is "host:port", as `ray start --head` prints it, or "auto"')
    return address


class Ray(Backend):
    """Nodes in actors, each of which is a process with one torch thread.

    Messages go from actor to actor through Ray's object store, and rounds flow as data dependencies: nobody waits for
    nodes that it does not hear from. Neither the number of workers nor the placement changes results (of stacked nodes:
    beyond the order in which floats are summed). If an actor or its machine dies, another one takes its place, on a
    machine that lives, and the run goes back to its last checkpoint.

    A Ray to which the process is connected already is used as it is, and left open; otherwise, without an address, a
    new one is started for the run, which other machines cannot reach. Ray itself is imported when the run starts.
    """

    class Config(PartSettings):
        """Where the actors run, how many there are, and which nodes they carry.

        Attributes:
            workers: how many actors; "auto" is one a processor (or as many as the GPUs are enough for), and at most one
                a node. More than there are processors share them.
            gpus_per_worker: how many GPUs each gets, or which fraction of one.
            address: of a cluster, as "host:port", to be given on one of its machines; "auto" finds the one that this
                machine belongs to; None starts Ray on this machine alone. Ray Client ("ray://...") does not serve.
            placement: "fewest_cuts" keeps neighbours together, so that few messages leave an actor.
            window: rounds that may be under way at once.
        """

        name: str = "ray"
        workers: PositiveInt | Literal["auto"] = "auto"
        gpus_per_worker: Annotated[NonNegativeFloat, AfterValidator(_whole_above_one)] = 0.0
        address: Annotated[str, AfterValidator(_of_a_cluster)] | None = None
        placement: Literal["fewest_cuts", "round_robin"] = "fewest_cuts"
        window: PositiveInt = 2

    config: Config

    @classmethod
    def has_gpus(cls, settings: PartSettings) -> bool:
        """Where each worker gets some."""
        return isinstance(settings, cls.Config) and settings.gpus_per_worker > 0

    def start(self, blueprint: Blueprint) -> None:
        """Connect to Ray, or start it, and have actors make the nodes.

        Raises:
            InputError: there are not as many nodes or GPUs, nothing answers at the address, or a node cannot be made.
            RunError: an actor keeps dying of it.
        """
        from simulator.backends.ray.session import connected

        self._check(blueprint)
        config, topology = self.config, blueprint.topology
        self.window = config.window
        with ExitStack() as opened:
            check = opened.enter_context(connected(config.address))
            from simulator.backends.ray.actor_pool import ActorPool  # imports Ray, as late as what it reads is set
            from simulator.backends.ray.placement import places

            workers = None if config.workers == "auto" else config.workers
            machines = places(workers, config.gpus_per_worker, topology.num_nodes)
            parts = self._parts(topology, len(machines))
            self._actors = ActorPool(blueprint, parts, machines, config.gpus_per_worker, check)
            opened.callback(self._actors.dismiss)
            self._actors.start()
            self._opened = opened.pop_all()

    def superstep(self, order: Order) -> Callable[[], Replies]:
        """Tell the actors; what is returned waits for them."""
        return self._actors.superstep(order)

    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states."""
        self._actors.load(states)

    def workers(self) -> Workers:
        """As of the replies collected last."""
        return self._actors.workers()

    def revive(self) -> None:
        """Replace actors that died."""
        self._actors.revive()

    def close(self) -> None:
        """End the actors, and the connection to Ray if `start` made it."""
        self._opened.close()

    def _check(self, blueprint: Blueprint) -> None:
        """Whatever can be told without Ray."""
        nodes, workers = blueprint.topology.num_nodes, self.config.workers
        if workers != "auto" and workers > nodes:
            raise too_many_workers(workers, nodes)
        if self.config.gpus_per_worker == 0 and blueprint.module().device.type != "cpu":
            what = "the nodes train on a GPU, and the workers get none."
            raise wrong("backend.gpus_per_worker", what, "Give each one, or a fraction, or set training.device: cpu.")

    def _parts(self, topology: Topology, workers: int) -> list[tuple[int, ...]]:
        if self.config.placement == "fewest_cuts":
            return blocks(topology, workers)
        return [tuple(range(worker, topology.num_nodes, workers)) for worker in range(workers)]
