"""Trackers: observers that hand a run's metrics to a dashboard. The run directory stays the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Literal

from simulator.core.errors import InputError, wrong
from simulator.core.observer import Observer, RunInfo, Speed
from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.report import Metric


class Tracker(Part, Observer):
    """Metrics of the network keep their names; those of a node become, for example, ``node-03/test/accuracy``."""

    def require(self) -> None:
        """Check, before anything is computed, that the tracker can work.

        Raises:
            InputError: its package is not installed.
        """

    def log(self, round: int, values: dict[str, float]) -> None:
        """Take ``values``, measured when ``round`` rounds were finished."""

    def evaluated(self, round: int, metrics: Sequence[Metric], speed: Speed) -> None:
        """Log the metrics and the speed."""
        rate = {"node_steps_per_second": speed.node_steps / speed.seconds} if speed.node_steps else {}
        self.log(round, dict(_named(metrics)) | rate)

    def logged(self, metrics: Sequence[Metric]) -> None:
        """Log the metrics of methods."""
        for round, group in groupby(metrics, key=lambda metric: metric.round):
            self.log(round, dict(_named(group)))


class TensorBoard(Tracker):
    """Writes event files into ``tensorboard/`` in the run directory."""

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "tensorboard"

    _writer: Any = None

    def require(self) -> None:
        """Find TensorBoard."""
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError as error:
            raise _missing("tensorboard") from error

    def started(self, info: RunInfo) -> None:
        """Begin an event file; in a resumed run it hides what was logged after the checkpoint."""
        from torch.utils.tensorboard import SummaryWriter

        purge = info.rounds_done + 1 if info.rounds_done else None
        self._writer = SummaryWriter(str(info.path / "tensorboard"), purge_step=purge)

    def log(self, round: int, values: dict[str, float]) -> None:
        """One scalar a metric."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, round)

    def finished(self, status: str) -> None:
        """Flush and close the file."""
        if self._writer is not None:
            self._writer.close()


class WandB(Tracker):
    """Logs to Weights & Biases, one W&B run a run directory; a resumed run goes on where it stopped."""

    class Config(PartSettings):
        """The project that runs appear under, and whether they are sent at once."""

        name: str = "wandb"
        project: str = "rumormill"
        mode: Literal["online", "offline"] = "online"

    config: Config
    _run: Any = None

    def require(self) -> None:
        """Find the client."""
        try:
            import wandb  # noqa: F401
        except ImportError as error:
            raise _missing("wandb") from error

    def started(self, info: RunInfo) -> None:
        """Start the W&B run, with the experiment as its configuration."""
        import wandb

        name, mode = info.path.name, self.config.mode
        settings = {"id": name, "name": name, "dir": str(info.path), "mode": mode, "resume": "allow"}
        self._run = wandb.init(project=self.config.project, config=dict(info.settings), **settings)

    def log(self, round: int, values: dict[str, float]) -> None:
        """One step a round."""
        self._run.log(values, step=round)

    def finished(self, status: str) -> None:
        """Upload what is left; a run that did not finish counts as failed."""
        if self._run is not None:
            self._run.finish(exit_code=0 if status == "finished" else 1)


TRACKERS: Registry[Tracker] = Registry("trackers")


def _named(metrics: Iterable[Metric]) -> Iterator[tuple[str, float]]:
    for metric in metrics:
        yield metric.name if metric.node is None else f"node-{metric.node:02}/{metric.name}", metric.value


def _missing(package: str) -> InputError:
    return wrong(
        f"--track {package}", f"the package {package} is not installed.", f"pip install 'rumormill[{package}]'"
    )
