"""Several runs of a sweep at once: processes of their own, with the results of one after the other."""

import io
import json
import os
import signal
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import pytest
import yaml
from reference.experiments import SMALL, results, small
from rich.console import Console

from simulator.core.errors import InputError, RunError
from simulator.core.observer import RunInfo, Speed
from simulator.core.report import Metric
from simulator.results.checkpoint import Checkpoints
from simulator.results.message_log import BEGINNING
from simulator.runs.build import Simulation
from simulator.sweep import jobs, load_sweep, memory, run_sweep
from simulator.sweep.bookkeeping import Bookkeeping
from simulator.sweep.jobs import check_jobs, number_at_once, read_jobs
from simulator.sweep.outcome import Ended
from simulator.sweep.parallel import Parallel, shares
from simulator.sweep.reporter import Progress, Reporter
from simulator.sweep.time_limit import TimeLimit
from simulator.sweep.worker import Worker

QUICK = {
    **SMALL,
    "rounds": 4,
    "data": {"dataset": "digits", "partition": "iid", "train_samples": 200, "test_samples": 40},
}
ENDLESS = {**QUICK, "rounds": 10**6, "evaluate": {"every": 10**6}}
WILD = {"plain": {}, "wild": {"training.optimizer.lr": 1e200}, "slow": {"training.optimizer.lr": 0.01}}
SHARED = {
    "experiment": {**QUICK, "data": SMALL["data"]},
    "overrides": {"checkpoint.every": 1},
    "shared_rounds": 2,
    "seeds": [0, 1],
    "arms": {
        name: {"methods": [{"name": "idkd", "first_round": 3, "threshold": threshold}]}
        for name, threshold in {"late": 0.1, "never": 1.0}.items()
    },
}
PATIENCE = 120  # seconds


def sweep(content, out, at_once):
    text = io.StringIO()
    outcome = run_sweep(load_sweep(content), out, terminal=Console(file=text, width=200), jobs=at_once)
    return outcome, text.getvalue()


def status(path):
    return json.loads((path / "provenance.json").read_text())["status"]


def last_checkpoint(path):
    return max(Checkpoints(path / "checkpoints", "").rounds(), default=0)


def until(done):
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def books(content, out):
    out.mkdir(exist_ok=True)
    return Bookkeeping(load_sweep(content), out, Console(file=io.StringIO()))


def test_a_limit_that_passes_when_all_is_done_interrupts_nothing(tmp_path):
    nothing_left = books({"experiment": QUICK}, tmp_path)
    nothing_left.tasks.clear()
    limit = TimeLimit(1, iter([0.0, 60.0]).__next__)
    assert Parallel(nothing_left, 2, Console(file=io.StringIO()), limit).carry_out()


@pytest.mark.slow
def test_runs_at_once_have_the_results_of_one_after_the_other_and_a_failed_one_stops_nobody(tmp_path):
    content = {"experiment": QUICK, "arms": WILD}
    one, _ = sweep(content, tmp_path / "one", 1)
    two, said = sweep(content, tmp_path / "two", 2)

    assert [path.name.partition("-")[2] for path in two.paths] == ["small-plain-s0", "small-slow-s0"]
    for path, other in zip(two.paths, one.paths, strict=True):
        assert results(path) == results(other)
        assert json.loads((path / "sweep.json").read_text()) == json.loads((other / "sweep.json").read_text())
    (failed,), (expected,) = two.failures, one.failures
    assert (failed.label, failed.message) == (expected.label, expected.message)
    assert json.loads((failed.path / "sweep.json").read_text())["failure"] == failed.message
    assert "failed: wild: training diverged" in said
    assert "of 3 runs, time left 0:00:" in said
    assert ": slow: accuracy " in said
    assert said.endswith("2 of 3 runs finished, 1 failed\n")

    assert sweep(content, tmp_path / "two", 2)[0] == two  # nothing is left to do


@pytest.mark.slow
def test_at_the_end_of_its_time_and_at_ctrl_c_all_runs_are_checkpointed_and_the_next_sweep_continues_them(tmp_path):
    content = {"experiment": ENDLESS, "seeds": [0, 1, 2]}

    def runs():
        return sorted(path for path in tmp_path.glob("[!.]*") if (path / "provenance.json").exists())

    def both_at_work():
        return sum(file.stat().st_size > len(BEGINNING) for file in tmp_path.glob("*/messages.arrow")) == 2

    limit = TimeLimit(1, lambda: 60.0 * both_at_work())
    assert not Parallel(books(content, tmp_path), 2, Console(file=io.StringIO()), limit).carry_out()
    assert [status(path) for path in runs()] == ["interrupted"] * 2
    reached, continued = [last_checkpoint(path) for path in runs()], []
    assert all(reached)

    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN, "run in a shell that lets Ctrl-C through"

    def press():
        try:
            until(lambda: [status(path) for path in runs()] == ["running"] * 2)
            continued.extend(last_checkpoint(path) for path in runs())
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    outcome, said = sweep(content, tmp_path, 2)
    pressing.join()
    assert continued == reached  # they have not begun anew
    assert outcome.interrupted
    assert outcome.failures == []
    assert [status(path) for path in runs()] == ["interrupted"] * 2
    assert all(last_checkpoint(path) > before for path, before in zip(runs(), reached, strict=True))
    assert "Interrupted. The same command continues the sweep." in said


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_and_one_that_is_left_alone_checkpoints(tmp_path):
    (task,) = books({"experiment": ENDLESS}, tmp_path).tasks
    worker = Worker([0], print)

    def begin():
        worker.give(task)
        while worker.progress is None or worker.progress.round == 0:
            assert worker.connection.poll(PATIENCE)
            assert worker.hear() is None

    begin()
    worker._process.kill()
    while (ended := worker.hear()) is None:
        pass
    assert ended.status == "lost"
    assert ended.message.startswith("its process was ended by SIGKILL.\n    The same command tries it again")

    begin()  # in a new process
    assert os.sched_getaffinity(worker._process.pid) == {0}
    worker.dismiss()
    worker.wait()
    assert [status(path) for path in sorted(tmp_path.glob("[!.]*"))] == ["running", "interrupted"]
    assert last_checkpoint(max(tmp_path.glob("[!.]*"))) > 0


@pytest.mark.slow
def test_runs_that_share_rounds_wait_for_the_one_that_computes_them(tmp_path):
    one, _ = sweep(SHARED, tmp_path / "one", 1)
    two, said = sweep(SHARED, tmp_path / "two", 2)
    assert [results(path) for path in two.paths] == [results(path) for path in one.paths]
    assert "starts from its first round" not in said


class TestNext:
    def test_a_run_waits_for_whoever_computes_its_first_rounds(self, tmp_path):
        parallel = Parallel(books(SHARED, tmp_path), 2, Console(file=io.StringIO()))
        busy, idle = parallel._workers
        busy.task = parallel._next()
        assert [busy.task.run.label, parallel._next().run.label] == ["late, seed 0", "late, seed 1"]
        busy.task = None
        assert parallel._next().run.label == "never, seed 0"
        assert idle.task is None

    def test_in_order_where_nothing_is_shared(self, tmp_path):
        parallel = Parallel(books({**SHARED, "shared_rounds": None}, tmp_path), 2, Console(file=io.StringIO()))
        parallel._workers[0].task = parallel._next()
        assert parallel._next().run.label == "never, seed 0"


def test_a_full_disk_ends_the_sweep(tmp_path):
    account = books({"experiment": QUICK}, tmp_path)
    with pytest.raises(RunError, match="no space"):
        account.enter(account.tasks[0], Ended("failed", tmp_path, "no space", disk=True))


@pytest.mark.parametrize(
    ("at_once", "cores", "expected"),
    [
        (2, [0, 1], [[0], [1]]),
        (3, list(range(8)), [[0, 1], [2, 3, 4], [5, 6, 7]]),
        (4, [3, 5], [[3], [5], [3], [5]]),
    ],
)
def test_runs_divide_the_cores(at_once, cores, expected):
    assert shares(at_once, cores) == expected


class TestJobs:
    def number(self, experiments, monkeypatch, cores=8, free=10**12):
        monkeypatch.setattr(jobs, "cores", lambda: cores)
        monkeypatch.setattr(memory, "free_memory", lambda: free)
        said = []
        return number_at_once("auto", experiments, said.append), said

    @pytest.mark.parametrize("given", ["0", "-1", "1.5", "many", ""])
    def test_what_is_no_number_of_runs_is_refused(self, given):
        with pytest.raises(InputError, match=f"--jobs: '{given}' is no number of runs at once"):
            read_jobs(given)

    def test_the_command_refuses_it_before_anything_runs(self, rumormill, tmp_path):
        file = tmp_path / "sweep.yaml"
        file.write_text(yaml.safe_dump({"experiment": QUICK}))
        code, _, said = rumormill("sweep", file, "--jobs", "0", "--out", tmp_path / "runs")
        assert code == 2
        assert "--jobs: '0' is no number" in said
        assert not (tmp_path / "runs").exists()
        with pytest.raises(InputError, match="--jobs: '0'"):
            run_sweep(load_sweep({"experiment": QUICK}), tmp_path / "runs", jobs=0)

    def test_ray_carries_out_one_run_at_a_time(self, tmp_path, monkeypatch):
        on_ray = small(backend={"name": "ray"})
        with pytest.raises(InputError, match="--jobs: 2 runs at once cannot be had: the backend ray spreads one run"):
            check_jobs(2, [small(), on_ray])
        check_jobs(1, [on_ray])
        check_jobs("auto", [on_ray])
        assert self.number([small(), on_ray], monkeypatch)[0] == 1

    def test_a_class_of_this_process_alone_stays_in_it(self, monkeypatch):
        from torch import nn

        class Mine(nn.Linear):
            def __init__(self):
                super().__init__(64, 10)

            def forward(self, x):
                return super().forward(x.flatten(1))

        own = small(model=Mine)
        with pytest.raises(InputError, match="Mine is a class that this process alone has"):
            check_jobs(2, [own])
        assert self.number([own, small()], monkeypatch)[0] == 1

    def test_as_many_as_there_are_cores_for_their_workers_and_runs_left(self, monkeypatch):
        runs = [small(seed=seed) for seed in range(20)]
        assert self.number(runs, monkeypatch) == (8, [])
        assert self.number(runs[:3], monkeypatch) == (3, [])
        assert self.number([small("backend.workers=auto")] * 9, monkeypatch) == (8, [])
        assert self.number([*runs, small("backend.workers=4")], monkeypatch) == (2, [])
        assert self.number(runs, monkeypatch, cores=1) == (1, [])

    def test_no_more_than_fit_into_free_memory(self, monkeypatch):
        runs = [small(), small(topology={"graph": "ring", "nodes": 8})]
        needed = memory.memory_of(Simulation.of(runs[1]))
        assert needed > memory.memory_of(Simulation.of(runs[0]))
        number, (said,) = self.number(runs * 4, monkeypatch, free=3 * needed + 5)
        assert number == 3
        assert said == "3 of 8 runs at once: more do not fit into the memory that is free"
        assert self.number(runs * 4, monkeypatch, free=5)[0] == 1

    def test_one_at_a_time_on_a_gpu(self, monkeypatch):
        runs = [small(), small("training.device=auto")]
        assert self.number(runs, monkeypatch)[0] == 2
        monkeypatch.setattr(jobs.torch.cuda, "is_available", lambda: True)
        assert self.number(runs, monkeypatch) == (1, ["one run at a time: it keeps the GPU busy"])


def test_free_memory_is_less_than_all():
    assert 0 < memory.free_memory() < memory.physical_memory()


def test_the_table_shows_each_run_and_what_is_left_of_all(tmp_path):
    parallel = Parallel(books({"experiment": QUICK, "seeds": [0, 1, 2, 3]}, tmp_path), 2, Console(file=io.StringIO()))
    table, (first, second) = parallel._table, parallel._workers
    first.task, second.task = parallel._next(), parallel._next()
    first.progress = Progress(rounds=40, first=20, round=30, score="accuracy 81.0%", seconds_left=61)
    table._began, table._clock = 0, lambda: 30
    shown = io.StringIO()
    Console(file=shown, width=100).print(table.view())
    lines = [line.split() for line in shown.getvalue().splitlines()]
    assert lines[0] == ["run", "round", "score", "time", "left"]
    assert lines[1] == ["seed", "0", "30/40", "accuracy", "81.0%", "0:01:01"]
    assert lines[2] == ["seed", "1", "begins"]
    assert " ".join(lines[3]).endswith("0 of 4 runs, time left 0:03:30")  # half a run in 30 s, and 3.5 are left
    table.one_less()
    first.task = None
    assert table.done == "1 of 4 runs, time left 0:01:30"


def test_a_reporter_guesses_the_time_left_by_rounds_without_the_first_evaluation():
    told, now = [], [0.0]
    reporter = Reporter(told.append, lambda: now[0])
    reporter.started(RunInfo(Path(), "small", 0, 10, 4, 100, 0, {}, ("mind this",)))
    now[0] = 50.0
    reporter.evaluated(0, [Metric(0, None, "test/accuracy/mean", 0.5)], Speed(0, 0, 0, 0, 1, 1))
    now[0] = 50.1
    reporter.sent(1, [])  # told a moment ago
    now[0] = 54.0
    reporter.sent(2, [])
    assert [each.round for each in told] == [0, 0, 2]
    assert told[0].notes == ("mind this",)
    assert (told[-1].score, told[-1].seconds_left) == ("accuracy 50.0%", 16.0)


def test_a_limit_that_passes_in_the_last_round_of_the_last_run_interrupts_nothing(tmp_path):
    """It is told to stop, and has finished."""
    left = books({"experiment": QUICK, "seeds": [0]}, tmp_path)
    clock = iter([0.0, 0.0, *[60.0] * 9])  # begun in time, and over when the first thing is heard
    parallel = Parallel(left, 1, Console(file=io.StringIO()), TimeLimit(1, clock.__next__))
    (worker,) = parallel._workers
    ours, theirs = Pipe()
    worker.stop, worker.dismiss, worker.wait = lambda: None, ours.close, lambda: None
    worker.give = lambda task: vars(worker).update(task=task, _connection=ours)
    theirs.send(Ended("finished", tmp_path))
    assert parallel.carry_out()
    assert len(left.outcome(interrupted=False).paths) == 1
