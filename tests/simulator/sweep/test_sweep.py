"""Sweeps: every combination is valid before the first one runs, and what was finished is never run again."""

import io
import itertools
import json
import shutil
import signal

import pytest
import yaml
from reference.experiments import SMALL, At, results, small
from rich.console import Console

from simulator import run
from simulator.core.errors import InputError, RunError
from simulator.core.observer import Observer
from simulator.runs.launch import branch
from simulator.sweep import load_sweep, run_sweep, runner
from simulator.sweep.time_limit import TimeLimit

QUICK = {
    **SMALL,
    "rounds": 4,
    "data": {"dataset": "digits", "partition": "iid", "train_samples": 200, "test_samples": 40},
}
ARMS = {"plain": {"methods": []}, "qg": {"methods": [{"name": "quasi_global_momentum"}]}}
SWEEP = {"experiment": QUICK, "seeds": [0, 1], "arms": ARMS}
DIVERGING = {"plain": {}, "wild": {"training.optimizer.lr": 1e200}}


class Carried(Observer):
    """Counts the runs that were started, and those that were continued."""

    def __init__(self):
        self.fresh, self.resumed = [], []

    def started(self, info):
        (self.resumed if info.rounds_done else self.fresh).append(info.path)


def sweep(content, out, extra=lambda number: ()):
    """Carry out a sweep; ``extra`` gives further observers of the n-th run that is carried out."""
    carried, text, numbers = Carried(), io.StringIO(), iter(range(1000))
    outcome = run_sweep(
        load_sweep(content), out, lambda: [carried, *extra(next(numbers))], Console(file=text, width=200)
    )
    return outcome, carried, text.getvalue()


def interrupting(number, round=1):
    """Ctrl-C in the given run."""
    ctrl_c = At(round, lambda: signal.raise_signal(signal.SIGINT))
    return lambda current: [ctrl_c] if current == number else []


def stamps(path):
    return {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file() and file.name != ".lock"}


def read(path, name):
    return json.loads((path / name).read_text())


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All four runs of `SWEEP`."""
    out = tmp_path_factory.mktemp("done")
    return out, *sweep(SWEEP, out)


def problems(content):
    with pytest.raises(InputError) as refused:
        load_sweep(content)
    return str(refused.value)


def test_every_combination_has_its_run_directory_which_knows_what_it_is(done):
    out, outcome, carried, _ = done
    assert outcome.paths == carried.fresh
    assert set(outcome.paths) == set(out.glob("[!.]*"))
    assert (outcome.failures, outcome.interrupted) == ([], False)
    recorded = [read(path, "sweep.json") for path in outcome.paths]
    assert [(run["arm"], run["grid"], run["seed"]) for run in recorded] == [
        (arm, {}, seed) for seed in (0, 1) for arm in ("plain", "qg")
    ]
    assert len({run["identity"] for run in recorded}) == 4
    assert all(read(path, "provenance.json")["status"] == "finished" for path in outcome.paths)
    assert outcome.paths[1].name.endswith("-small-qg-s0")


def test_progress_counts_the_runs_and_guesses_the_time_left(done):
    lines = done[-1].splitlines()
    assert lines[0] == "run 1 of 4: plain, seed 0"
    assert lines[3].startswith("run 4 of 4, about ")
    assert lines[3].endswith(" left: qg, seed 1")
    assert lines[4] == "4 of 4 runs finished"


def test_a_finished_sweep_is_left_as_it_is(done):
    out, first, _, _ = done
    before = stamps(out)
    outcome, carried, said = sweep(SWEEP, out)
    assert (carried.fresh, carried.resumed) == ([], [])
    assert outcome.paths == first.paths
    assert stamps(out) == before
    assert f"4 of 4 runs are in {out} already" in said


def test_a_run_equals_the_one_that_overrides_give(done, tmp_path):
    _, outcome, _, _ = done
    alone = run(small("seed=1", **{**QUICK, "methods": ARMS["qg"]["methods"]}), tmp_path)
    assert (alone.path / "metrics.jsonl").read_bytes() == (outcome.paths[3] / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_interrupted_and_started_again_redoes_nothing_that_was_finished(done, tmp_path):
    first, carried, said = sweep(SWEEP, tmp_path, interrupting(2))
    assert first.interrupted
    assert len(carried.fresh) == 3
    assert len(first.paths) == 2
    assert "Interrupted. The same command continues the sweep." in said
    before = stamps(first.paths[0]) | stamps(first.paths[1])

    second, carried, said = sweep(SWEEP, tmp_path)
    assert not second.interrupted
    assert carried.resumed == [path for path in sorted(tmp_path.iterdir()) if "-plain-s1" in path.name]
    assert len(carried.fresh) == 1
    assert stamps(first.paths[0]) | stamps(first.paths[1]) == before
    assert "run 3 of 4: plain, seed 1" in said
    assert len(list(tmp_path.glob("[!.]*"))) == 4
    for mine, straight in zip(second.paths, done[1].paths, strict=True):
        assert (mine / "metrics.jsonl").read_bytes() == (straight / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_in_pieces_of_limited_time_it_comes_to_the_same(done, tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(runner, "TimeLimit", lambda minutes: TimeLimit(minutes, lambda: next(ticks)))
    pieces = [run_sweep(load_sweep(SWEEP), tmp_path, terminal=Console(file=io.StringIO()), minutes=5 / 60)]
    while pieces[-1].interrupted:
        assert len(pieces) < 30
        pieces.append(run_sweep(load_sweep(SWEEP), tmp_path, terminal=Console(file=io.StringIO()), minutes=5 / 60))
    assert len(pieces) > 3
    assert len(list(tmp_path.glob("[!.]*"))) == 4
    for mine, straight in zip(pieces[-1].paths, done[1].paths, strict=True):
        assert (mine / "metrics.jsonl").read_bytes() == (straight / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_no_time_is_told(minutes, tmp_path):
    with pytest.raises(InputError, match="--minutes"):
        run_sweep(load_sweep(SWEEP), tmp_path, minutes=minutes)


def test_a_run_without_a_checkpoint_starts_anew_and_what_it_left_stays(tmp_path):
    def stop_at_once(number):
        return [At(1, lambda: (_ for _ in ()).throw(KeyboardInterrupt))]

    outcome, carried, _ = sweep({**SWEEP, "seeds": [0]}, tmp_path, stop_at_once)
    assert outcome.interrupted
    stopped = carried.fresh[0].rename(tmp_path / "20250101T000000Z-stopped")
    before = stamps(stopped)

    outcome, carried, _ = sweep({**SWEEP, "seeds": [0]}, tmp_path)
    assert (len(carried.fresh), len(carried.resumed)) == (2, 0)
    assert stamps(stopped) == before
    assert stopped not in outcome.paths


def test_ctrl_c_while_a_run_is_prepared_stops_the_sweep(tmp_path, monkeypatch):
    def pressed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("simulator.sweep.task.run", pressed)
    outcome, _, said = sweep(SWEEP, tmp_path)
    assert outcome.interrupted
    assert said.count("run ") == 1


def test_other_settings_are_not_taken_for_finished(done, tmp_path):
    out = shutil.copytree(done[0], tmp_path / "copy")
    _, carried, _ = sweep({**SWEEP, "overrides": ["training.optimizer.lr=0.2"], "seeds": [0]}, out)
    assert len(carried.fresh) == 2


def test_finished_runs_are_found_under_whatever_name_and_get_their_new_label(done, tmp_path):
    out = shutil.copytree(done[0], tmp_path / "copy")
    renamed = {"other": ARMS["qg"], "baseline": ARMS["plain"]}
    outcome, carried, _ = sweep({**SWEEP, "arms": renamed}, out)
    assert carried.fresh == []
    assert [read(path, "sweep.json")["arm"] for path in outcome.paths] == ["other", "baseline"] * 2


def test_runs_of_other_programs_and_damaged_ones_do_not_disturb(tmp_path):
    for name, text in {"a": "{", "b": "rounds: 3", "c": "- 1"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "experiment.yaml").write_text(text)
    outcome, _, said = sweep({"experiment": QUICK, "overrides": ["rounds=1"]}, tmp_path)
    assert len(outcome.paths) == 1
    assert [f"{tmp_path / name} is left out: " in said for name in "abc"] == [True] * 3


def test_a_failed_run_is_recorded_once_and_the_others_go_on(tmp_path):
    content = {"experiment": QUICK, "arms": dict(reversed(DIVERGING.items()))}
    for fresh in (2, 0):
        outcome, carried, said = sweep(content, tmp_path)
        assert len(carried.fresh) == fresh
        assert len(outcome.paths) == 1
        (failure,) = outcome.failures
        assert failure.label == "wild"
        assert failure.message.startswith("training diverged")
        recorded = read(failure.path, "sweep.json")
        assert (recorded["arm"], recorded["failure"]) == ("wild", failure.message)
        assert read(failure.path, "provenance.json")["status"] == "failed"
        assert f"failed: wild ({failure.path}): training diverged" in said
        assert said.endswith("1 of 2 runs finished, 1 failed\n")


def test_a_failed_run_whose_directory_is_removed_is_tried_again(tmp_path):
    content = {"experiment": QUICK, "arms": DIVERGING}
    outcome, _, _ = sweep(content, tmp_path)
    shutil.rmtree(outcome.failures[0].path)
    assert len(sweep(content, tmp_path)[1].fresh) == 1


def test_a_run_that_cannot_start_is_reported_and_the_others_go_on(tmp_path):
    content = {"experiment": QUICK, "grid": {"data.train_samples": [3, 200]}}
    outcome, _, said = sweep(content, tmp_path)
    (failure,) = outcome.failures
    assert failure.label == "data.train_samples 3"
    assert failure.path is None
    assert len(outcome.paths) == 1
    assert "failed: data.train_samples 3: " in said


def test_a_full_disk_stops_the_sweep_and_the_run_is_continued(tmp_path):
    def full():
        raise OSError(28, "No space left on device")

    content = {**SWEEP, "overrides": ["checkpoint.every=1"], "seeds": [0]}
    with pytest.raises(RunError, match="No space left"):
        sweep(content, tmp_path, lambda number: [At(2, full)])
    outcome, carried, _ = sweep(content, tmp_path)
    assert (len(carried.resumed), len(carried.fresh)) == (1, 1)
    assert outcome.failures == []


@pytest.mark.parametrize("place", ["run", "file"])
def test_a_folder_that_cannot_hold_runs_is_refused(tmp_path, place):
    (tmp_path / "experiment.yaml").touch()
    out = tmp_path if place == "run" else tmp_path / "experiment.yaml"
    with pytest.raises(InputError, match="--out"):
        run_sweep(load_sweep(SWEEP), out)


def test_a_run_that_chose_its_trainer_is_not_run_again(tmp_path):
    content = {"experiment": QUICK, "overrides": {"training.trainer": "auto"}}

    assert [len(sweep(content, tmp_path)[1].fresh) for _ in range(2)] == [1, 0]


def test_grid_and_arms_and_seeds_are_all_combined():
    grid = {"rounds": [2, 3], "mixer": ["gossip", {"name": "gossip"}][:1]}
    runs = load_sweep({**SWEEP, "grid": grid, "overrides": {"training.batch_size": 8}}).runs
    assert len(runs) == 2 * 2 * 2
    assert {run.experiment.training.batch_size for run in runs} == {8}
    assert [run.experiment.seed for run in runs] == [0] * 4 + [1] * 4
    assert runs[1].label == "plain, rounds 3, mixer gossip, seed 0"
    assert runs[1].experiment.name == "small-plain-rounds-3-mixer-gossip"
    recorded = {"arm": "plain", "grid": {"rounds": 3, "mixer": "gossip"}, "seed": 0, "identity": runs[1].identity()}
    assert runs[1].to_json() == recorded


def test_an_arm_comes_before_the_grid():
    grid = {"methods.0.beta": [0.5, 0.7]}
    runs = load_sweep({"experiment": QUICK, "arms": {"qg": ARMS["qg"]}, "grid": grid}).runs
    assert [run.experiment.methods[0].beta for run in runs] == [0.5, 0.7]


@pytest.mark.parametrize("value", [1e-5, 1e200, "1e-3", True, None, [16, 8], {"name": "mlp", "hidden": [4]}, "a: b"])
def test_values_arrive_as_they_are_written(value):
    from simulator.sweep.settings import override

    path, _, text = override("a.b", value).partition("=")
    assert path == "a.b"
    assert yaml.safe_load(text) == value
    assert type(yaml.safe_load(text)) is type(value)


def test_a_file_names_its_experiment_beside_it_or_a_recipe(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(QUICK))
    for name, expected in {"base.yaml": "small-x", "quickstart": "quickstart-x"}.items():
        file = tmp_path / "sweep.yaml"
        file.write_text(f"experiment: {name}\narms:\n  x: [rounds=150]\n")
        (only,) = load_sweep(file).runs
        assert only.experiment.name == expected
        assert only.experiment.rounds == 150


def test_mistakes_in_the_sweep_are_told_together_with_their_lines(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text("seeds: [0, 0]\ngird: {}\ngrid:\n  data.partition.alpha: 0.1\narms: {a: {rounds: 3}, b: [[1]]}\n")
    text = problems(file)
    assert "sweep.yaml:1: seeds: names a seed twice." in text
    assert "sweep.yaml:2: gird: a sweep has no setting 'gird'.\n    Did you mean 'grid'?" in text
    assert "sweep.yaml:4: grid.data.partition.alpha: input should be a valid list." in text
    assert "sweep.yaml:5: arms.b.0: input should be a valid string." in text
    assert "experiment: is missing." in text


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"experiment": 3}, "must be a recipe, a file, or an experiment"),
        ({"experiment": "quickstar"}, "Did you mean 'quickstart'?"),
        ({"seeds": []}, "seeds: "),
        ({"seeds": [-1]}, "seeds.0: "),
        ({"grid": {"rounds": []}}, "grid.rounds: "),
        ({"grid": {"seed": [1]}}, "what 'seeds' is for"),
        ({"grid": {"methods": [[]]}}, "arm 'plain' sets methods, and the grid sets it again"),
        ({"arms": {"": {}}}, "arms"),
        ({"overrides": ["rounds"]}, "rounds: is not an override"),
    ],
)
def test_sweeps_that_make_no_sense_are_refused(change, shown):
    assert shown in problems({**SWEEP, **change})


def test_a_missing_sweep_file_is_refused(tmp_path):
    assert "is not a file." in problems(tmp_path / "missing.yaml")


def test_all_experiments_are_checked_before_anything_runs(tmp_path):
    arms = {**ARMS, "typo": {"methods": [{"name": "quasi_global_momentun"}]}}
    text = problems({**SWEEP, "arms": arms, "grid": {"topology.nodes": [4, 0]}})
    assert "Did you mean 'quasi_global_momentum'?" in text
    assert "typo, topology.nodes 4, seed 0 (and 3 more): methods[0].name: unknown name" in text
    assert "plain, topology.nodes 0, seed 0 (and 5 more): topology.nodes: " in text


def test_what_is_wrong_in_all_experiments_is_told_once():
    text = problems({**SWEEP, "overrides": ["rounds=0"]})
    assert text.startswith("rounds: ")
    assert text.count("rounds: ") == 1


def test_the_same_experiment_twice_is_refused():
    text = problems({**SWEEP, "seeds": [0], "arms": {**ARMS, "again": {"methods": []}}})
    assert text.startswith("again, seed 0: is the same experiment as plain, seed 0.")


def test_times_are_told_roughly():
    from simulator.sweep.runner import _rough

    assert [_rough(seconds) for seconds in (3.4, 89, 725, 9000)] == ["3 s", "89 s", "12 min", "2.5 h"]


LATE = {"name": "idkd", "first_round": 3, "threshold": 0.1}
SHARED = {
    "experiment": {**SMALL, "rounds": 4},
    "overrides": {"checkpoint.every": 1},
    "shared_rounds": 2,
    "seeds": [0, 1],
    "arms": {
        "late": {"methods": [LATE]},
        "vanilla": {"methods": [{**LATE, "threshold": "none"}]},
        "never": {"methods": [{**LATE, "threshold": 1.0}]},
        "slow": {"methods": [LATE], "training.optimizer.lr": 0.1},
    },
}


class TestSharedRounds:
    def by_arm(self, outcome):
        """Run directories by arm and seed."""
        return {(sweep["arm"], sweep["seed"]): path for path in outcome.paths for sweep in [read(path, "sweep.json")]}

    @pytest.mark.slow
    def test_give_what_whole_runs_give_bit_for_bit(self, tmp_path):
        shared, carried, _ = sweep(SHARED, tmp_path / "shared")
        whole, _, _ = sweep({**SHARED, "shared_rounds": None}, tmp_path / "whole")

        assert len(carried.resumed) == 4  # vanilla and never, of two seeds; another learning rate shares nothing
        whole_runs = self.by_arm(whole)
        for key, path in self.by_arm(shared).items():
            other = whole_runs[key]
            for name in ("metrics.jsonl", "messages.arrow", "partition.npz"):
                assert (path / name).read_bytes() == (other / name).read_bytes(), (key, name)
            assert {file.name for file in path.glob("artifacts/*")} == {file.name for file in other.glob("artifacts/*")}
            last = "checkpoints/round-000004/node-0002.safetensors"
            assert (path / last).read_bytes() == (other / last).read_bytes()
        accuracies = {(path / "metrics.jsonl").read_bytes() for path in shared.paths}
        assert len(accuracies) == 8  # the arms do differ in the end

    def test_are_taken_from_a_run_of_an_earlier_call_too(self, tmp_path):
        arms = SHARED["arms"]
        sweep({**SHARED, "arms": {"late": arms["late"]}}, tmp_path)

        _, carried, _ = sweep({**SHARED, "arms": {"late": arms["late"], "never": arms["never"]}}, tmp_path)

        assert (len(carried.fresh), len(carried.resumed)) == (0, 2)

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"shared_rounds": 4}, "shared_rounds: 4 rounds are shared, which is the whole run"),
            ({"shared_rounds": 0}, "shared_rounds: input should be greater than 0"),
            ({"overrides": {"checkpoint.every": 3}}, "keep no checkpoint after 2 rounds"),
            ({"overrides": {}}, "keep no checkpoint after 2 rounds"),
        ],
    )
    def test_need_a_checkpoint_within_the_run(self, changes, what):
        with pytest.raises(InputError, match=what):
            load_sweep({**SHARED, **changes})


def test_a_run_branches_only_from_one_that_differs_in_its_methods(tmp_path):
    trunk = run(small(checkpoint={"every": 2, "keep": "all"}), tmp_path)

    with pytest.raises(InputError, match=r"differs from .* in training, so that it cannot share"):
        branch(trunk.path, 2, small("training.optimizer.lr=0.1"), tmp_path / "branches")
    with pytest.raises(InputError, match="there is no checkpoint of round 3, only of 2, 4, 6"):
        branch(trunk.path, 3, small(methods=[]), tmp_path / "branches")
    assert not (tmp_path / "branches").exists()


def test_a_branch_has_the_views_of_a_whole_run(tmp_path):
    changes = {"checkpoint": {"every": 2, "keep": "all"}, "record": {"rounds": [1, 2, 5]}}
    trunk = run(small(methods=[LATE], **changes), tmp_path)
    other = small(methods=[{**LATE, "threshold": "none"}], **changes)
    found = results(branch(trunk.path, 2, other, tmp_path / "branches").path)

    assert found == results(run(other, tmp_path / "whole").path)
    assert sum(name.startswith("recordings/") for name in found) == 12
