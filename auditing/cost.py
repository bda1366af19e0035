"""What replicas of a run will cost, told before they are trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulator.results.formatting import duration, megabytes, significant
from simulator.runs.run import Run


@dataclass(frozen=True)
class Cost:
    """An estimate of what replicas take.

    Attributes:
        node_steps: local steps of all nodes of all replicas.
        speed: node-steps a second, as the run had on the machine where it ran; None where that is not known.
        disk: bytes of the checkpoint that stays; twice that while a new one is written.
        memory: bytes of the nodes' state while it is copied for a checkpoint, and of their messages; the data set and
            one batch of activations a worker come on top.
    """

    node_steps: int
    speed: float | None
    disk: int
    memory: int

    def __str__(self) -> str:
        size = f"about {megabytes(self.memory)} of memory and {megabytes(self.disk)} on disk"
        return f"{self.node_steps:,} node-steps{self._pace()}; {size}"

    def _pace(self) -> str:
        if not self.speed:
            return ""
        return f", about {duration(self.node_steps / self.speed)} at the run's {significant(self.speed, 3)} a second"


def cost(run: Run, replicas: int) -> Cost:
    """What so many ``replicas`` of ``run`` will cost, by its own speed and its own last checkpoint."""
    experiment, nodes = run.experiment, range(run.directory.topology.num_nodes)
    steps = experiment.rounds * sum(experiment.training.of(node).local_steps for node in nodes)
    saved = _size(max((run.path / "checkpoints").glob("round-*")))
    vectors = sum(node.parameters.nbytes for node in run.nodes)
    return Cost(replicas * steps, _speed(run), replicas * saved, replicas * (2 * saved + 2 * vectors))


def _speed(run: Run) -> float | None:
    lines = run.directory.timing()
    seconds = sum(line["seconds"] for line in lines if line["node_steps"])
    return sum(line["node_steps"] for line in lines) / seconds if seconds else None


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
