import builtins
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simulator.core.errors import InputError
from simulator.core.observer import RunInfo, Speed
from simulator.core.report import Metric
from simulator.results import trackers
from simulator.results.machine_energy import CodeCarbon
from simulator.results.trackers import MLflow, TensorBoard, Tracker, WandB

EVALUATION = [Metric(10, 3, "test/accuracy", 0.5), Metric(10, None, "test/accuracy/mean", 0.75)]
EXPECTED = {"node-03/test/accuracy": 0.5, "test/accuracy/mean": 0.75, "node_steps_per_second": 300.0}


def info(path: Path, start: int = 0) -> RunInfo:
    return RunInfo(path, "demo", 0, 20, 4, 10, start, {"rounds": 20}, ())


def scalars(path: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(path / "tensorboard"))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def track(tracker: Tracker, path: Path, start: int = 0) -> None:
    """A run that logs at rounds 7, 8 and 10."""
    tracker.require()
    tracker.started(info(path, start))
    tracker.logged([Metric(7, 1, "idkd/threshold", 0.25), Metric(8, 1, "idkd/threshold", 0.5)])
    tracker.evaluated(10, EVALUATION, Speed(10, 2.0, 10, 600, 1, 1))
    tracker.finished("finished")


def test_tensorboard_reads_back_what_was_logged(tmp_path: Path) -> None:
    track(TensorBoard(TensorBoard.Config()), tmp_path)
    thresholds = {"node-01/idkd/threshold": [(7, 0.25), (8, 0.5)]}
    assert scalars(tmp_path) == {name: [(10, value)] for name, value in EXPECTED.items()} | thresholds


def test_tensorboard_forgets_what_a_resumed_run_does_again(tmp_path: Path) -> None:
    track(TensorBoard(TensorBoard.Config()), tmp_path)
    resumed = TensorBoard(TensorBoard.Config())
    resumed.started(info(tmp_path, start=7))
    resumed.logged([Metric(8, 1, "idkd/threshold", 0.5)])
    resumed.finished("finished")
    assert scalars(tmp_path)["node-01/idkd/threshold"] == [(7, 0.25), (8, 0.5)]


class FakeWandB(ModuleType):
    """Stands in for the client: remembers how it is called."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.settings: dict[str, Any] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.exit_code: int | None = None

    def init(self, **settings: Any) -> "FakeWandB":
        self.settings = settings
        return self

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, values))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandB:
    fake = FakeWandB()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_wandb_gets_one_run_a_directory(wandb: FakeWandB, tmp_path: Path) -> None:
    track(WandB(WandB.Config(mode="offline")), tmp_path / "a-run")
    assert wandb.settings == {
        "project": "rumormill",
        "mode": "offline",
        "dir": str(tmp_path / "a-run"),
        "id": "a-run",
        "name": "a-run",
        "resume": "allow",
        "config": {"rounds": 20},
    }
    steps = [(7, {"node-01/idkd/threshold": 0.25}), (8, {"node-01/idkd/threshold": 0.5}), (10, EXPECTED)]
    assert wandb.logged == steps
    assert wandb.exit_code == 0


def test_wandb_is_told_of_a_failure(wandb: FakeWandB, tmp_path: Path) -> None:
    tracker = WandB(WandB.Config())
    tracker.started(info(tmp_path))
    tracker.finished("failed")
    assert wandb.exit_code == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what MLflow does
def test_mlflow_reads_back_what_was_logged_and_goes_on_when_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow = pytest.importorskip("mlflow")
    run = tmp_path / "a-run"
    run.mkdir()
    track(MLflow(MLflow.Config()), run)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("rumormill").experiment_id
    (first,) = client.search_runs([experiment])
    assert (first.info.run_name, first.info.status) == ("a-run", "FINISHED")
    assert first.data.params == {"rounds": "20"}
    assert first.data.metrics == EXPECTED | {"node-01/idkd/threshold": 0.5}
    history = client.get_metric_history(first.info.run_id, "node-01/idkd/threshold")
    assert [(each.step, each.value) for each in history] == [(7, 0.25), (8, 0.5)]

    resumed = MLflow(MLflow.Config())
    resumed.started(info(run, start=10))
    resumed.logged([Metric(12, 1, "idkd/threshold", 0.75)])
    resumed.finished("interrupted")
    (same,) = client.search_runs([experiment])
    assert (same.info.run_id, same.info.status) == (first.info.run_id, "KILLED")
    assert same.data.metrics["node-01/idkd/threshold"] == 0.75

    (run / "mlflow-run.txt").write_text("0" * 32)
    with pytest.raises(InputError, match=r"MLflow does not know the run 0+"):
        MLflow(MLflow.Config()).started(info(run, start=10))


def test_mlflow_gets_settings_by_their_paths() -> None:
    settings = {"rounds": 2, "data": {"dataset": {"name": "digits"}, "sites": {}}, "methods": [{"name": "idkd"}]}
    assert dict(trackers._leaves(settings)) == {
        "rounds": "2",
        "data.dataset.name": "digits",
        "data.sites": "{}",
        "methods": "[{'name': 'idkd'}]",
    }


@pytest.mark.parametrize(
    ("kind", "extra"),
    [(TensorBoard, "tensorboard"), (WandB, "wandb"), (MLflow, "mlflow"), (CodeCarbon, "codecarbon")],
)
def test_a_missing_package_is_asked_for(kind: type[Tracker], extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without_trackers(name: str, *rest: Any) -> Any:
        if name in ("wandb", "torch.utils.tensorboard", "mlflow", "codecarbon.input"):
            raise ImportError(f"No module named '{name}'")
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_trackers)
    tracker = kind(kind.Config(name=extra))
    with pytest.raises(InputError, match=rf"--track {extra}: .*\n +pip install 'rumormill\[{extra}\]'"):
        tracker.require()
    tracker.finished("failed")
