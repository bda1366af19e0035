"""How many runs fit into the memory that is free."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from simulator.config.experiment import Experiment
from simulator.core.arrays import leaves
from simulator.core.errors import InputError
from simulator.core.samples import NodeData
from simulator.runs.build import Simulation
from topologies.memory import physical_memory

PROCESS = 500_000_000  # bytes of Python with PyTorch and what a run loads beside its data and models, rounded up
COPIES = 10  # of all nodes' models at a time, beside their states: sent, mixed, evaluated, checkpointed; as measured


def most_that_fit(most: int, experiments: Sequence[Experiment]) -> int:
    """How many runs at once fit, ``most`` at most: each as large as that of ``experiments`` with the most nodes.

    Runs that cannot be made are left out, since nothing will become of them.
    """
    for experiment in sorted(experiments, key=lambda each: each.topology.nodes or 0, reverse=True):
        with suppress(InputError):
            return min(most, free_memory() // memory_of(Simulation.of(experiment)))
    return most


def memory_of(simulation: Simulation) -> int:
    """The bytes that a process which carries it out will hold, estimated."""
    room, arrays = simulation.room, dict[int, int]()
    for node in simulation.data.nodes:
        for tensor in _arrays(node):
            arrays[tensor.data_ptr()] = tensor.nbytes
    return PROCESS + sum(arrays.values()) + room.nodes * (room.state + COPIES * room.model)


def _arrays(node: NodeData) -> list[Tensor]:
    """Those of its samples, most of which other nodes have as well."""
    sets = (node.train, node.validation, node.held_out, node.test, node.public, node.own_test)
    found = [each for each in sets if each is not None]
    targets = [each.targets for each in found if each.targets is not None]
    return [*targets, *(array for each in found for array in leaves(each.inputs))]


def free_memory() -> int:
    """Bytes that new processes can have without others being swapped out; all there are where no system tells."""
    told = Path("/proc/meminfo")
    if not told.exists():
        return physical_memory()
    lines = dict(line.split(":", 1) for line in told.read_text().splitlines())
    return 1024 * int(lines["MemAvailable"].split()[0])
