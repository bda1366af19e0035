"""Trackers: observers that hand a run's metrics to a dashboard. The run directory stays the truth."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, TypeVar

from simulator.core.errors import InputError, wrong
from simulator.core.observer import Observer, RunInfo, Speed
from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.report import Metric

T = TypeVar("T")

RUN_ID = "mlflow-run.txt"  # of a run directory: which MLflow run is of it
# What MLflow takes.
VALUES_AT_ONCE, PARAMETERS_AT_ONCE, LONGEST_PARAMETER = 1000, 100, 6000


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
            raise missing("tensorboard") from error

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
            raise missing("wandb") from error

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


class MLflow(Tracker):
    """Logs to MLflow, one MLflow run a run directory; a resumed run goes on in the same one.

    Where to, the environment says: MLFLOW_TRACKING_URI, by default a database in the working directory.
    """

    class Config(PartSettings):
        """The experiment that runs appear under."""

        name: str = "mlflow"
        experiment: str = "rumormill"

    config: Config
    _client: Any = None
    _run: str = ""

    def require(self) -> None:
        """Find the client."""
        try:
            import mlflow  # noqa: F401
        except ImportError as error:
            raise missing("mlflow") from error

    def started(self, info: RunInfo) -> None:
        """Start the MLflow run, with each setting of the experiment as a parameter, or go on in the one of before.

        Raises:
            InputError: MLflow does not know the one of before.
        """
        from mlflow import MlflowClient
        from mlflow.entities import Param
        from mlflow.exceptions import MlflowException

        client, kept = MlflowClient(), info.path / RUN_ID
        if info.rounds_done and kept.exists():
            run = kept.read_text().strip()
            try:
                client.update_run(run, status="RUNNING")
            except MlflowException as error:
                advice = f"Set MLFLOW_TRACKING_URI as it was, or remove {kept} to begin a new one."
                raise wrong("--track mlflow", f"MLflow does not know the run {run}: {error}.", advice) from error
        else:
            known = client.get_experiment_by_name(self.config.experiment)
            experiment = known.experiment_id if known else client.create_experiment(self.config.experiment)
            run = client.create_run(experiment, run_name=info.path.name).info.run_id
            params = [Param(name, value[:LONGEST_PARAMETER]) for name, value in _leaves(info.settings)]
            for some in _in_batches(params, PARAMETERS_AT_ONCE):
                client.log_batch(run, params=some)
            kept.write_text(f"{run}\n")
        self._client, self._run = client, run

    def log(self, round: int, values: dict[str, float]) -> None:
        """One step a round."""
        from mlflow.entities import Metric as Value

        now = int(time.time() * 1000)
        for some in _in_batches([Value(name, value, now, round) for name, value in values.items()], VALUES_AT_ONCE):
            self._client.log_batch(self._run, metrics=some)

    def finished(self, status: str) -> None:
        """Say how it ended: an interrupted run as killed, which it may go on from."""
        if self._run:
            ends = {"finished": "FINISHED", "interrupted": "KILLED"}
            self._client.set_terminated(self._run, ends.get(status, "FAILED"))


TRACKERS: Registry[Tracker] = Registry("trackers")


def missing(package: str) -> InputError:
    """That ``package``, which the tracker of that name needs, is not installed."""
    return wrong(
        f"--track {package}", f"the package {package} is not installed.", f"pip install 'rumormill[{package}]'"
    )


def _named(metrics: Iterable[Metric]) -> Iterator[tuple[str, float]]:
    for metric in metrics:
        yield metric.name if metric.node is None else f"node-{metric.node:02}/{metric.name}", metric.value


def _leaves(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every setting below ``settings`` by its dotted path, lists as text."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", str(value)


def _in_batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
