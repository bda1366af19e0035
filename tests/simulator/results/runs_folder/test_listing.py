"""Listings: read from the ends of files, with whatever state a run is in told beside it."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from reference.run_folders import add_folder, audit_by_hand, evaluate, write_run

from simulator.core.errors import InputError
from simulator.core.message import Envelope
from simulator.results.lock import holder, locked
from simulator.results.message_log import BEGINNING, as_batch
from simulator.results.places import MESSAGES
from simulator.results.runs_folder import ends, words
from simulator.results.runs_folder.folder import RunsFolder, matching, metric_names, ordered


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


def only(folder):
    (run,) = RunsFolder(folder).runs()
    return run


def test_a_finished_run_on_one_line(folder):
    path = write_run(folder / "20260102T030405Z-a-s3", 0.75, seed=3, name="a")
    audit_by_hand(path, auc=0.6)
    add_folder(path / "checkpoints", 1000)
    run = only(folder)
    assert (run.state, run.name, run.seed, run.done, run.rounds) == ("finished", "a", 3, 20, 20)
    assert run.figures["test/accuracy/mean"] == run.score == 0.75
    assert run.figures["audit/membership/auc"] == 0.6
    assert (run.audits, run.bytes["checkpoints"]) == (("membership",), 1000)
    assert run.size == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert run.started.isoformat() == "2026-01-02T03:04:05+00:00"
    assert words.score(run) == "accuracy 75.0%"


@pytest.mark.parametrize(
    ("status", "state"), [("interrupted", "stopped"), ("running", "stopped"), ("failed", "failed")]
)
def test_what_became_of_a_run(folder, status, state):
    write_run(folder / "a", status=status, done=10, sweep={"failure": "training diverged"})
    run = only(folder)
    assert (run.state, run.done, run.why) == (state, 10, "training diverged")


def test_a_running_run_tells_how_far_it_is(folder):
    path = write_run(folder / "a", status="running", rounds=100, done=30)
    sent = [as_batch([Envelope(0, 1, round, {}, 1)]) for round in range(1, 43)]
    (path / MESSAGES).write_bytes(BEGINNING + b"".join(sent)[:-9])  # the last is being written
    with locked(path):
        run = only(folder)
    assert (run.state, run.done) == ("running", 40)
    assert run.seconds_left == 30.0  # 60 rounds, half a second each
    assert words.state(run) == "running, 0:00:30 left"
    assert f"process {os.getpid()}" in run.holder
    assert only(folder).state == "stopped"


def test_who_holds_a_lock_is_told_without_asking_for_it_once_that_process_is_gone(tmp_path, monkeypatch):
    code = (
        f"from simulator.results.lock import locked\nfrom pathlib import Path\nwith locked(Path({str(tmp_path)!r})): 0"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    monkeypatch.setattr("fcntl.flock", None)
    assert holder(tmp_path) is None


def test_the_last_evaluation_is_found_however_many_nodes_there_are(folder):
    write_run(folder / "a", 0.5, nodes=2)
    many = write_run(folder / "b", 0.25, nodes=400)  # more than the first step reaches
    with (many / "metrics.jsonl").open("a") as metrics:  # what a method logs in a round without evaluation
        metrics.writelines(json.dumps({"round": 20, "node": n, "name": "x", "value": 1.0}) + "\n" for n in range(400))
    few, many = RunsFolder(folder).runs()
    assert many.figures == {"test/accuracy/mean": 0.25, "consensus/distance": 0.75, "bytes/sent": 8_000_000}
    assert few.score == 0.5


def test_little_of_long_files_is_read(folder, monkeypatch):
    path = write_run(folder / "a", nodes=2, rounds=40_000)
    assert (path / "metrics.jsonl").stat().st_size > 1_000_000
    read = []
    opened = Path.open

    def counted(file, *arguments, **options):
        stream = opened(file, *arguments, **options)
        if file.suffix == ".jsonl":
            whole = stream.read
            stream.read = lambda size=-1: read.append(data := whole(size)) or data
        return stream

    monkeypatch.setattr(Path, "open", counted)
    assert only(folder).done == 40_000
    assert 0 < sum(map(len, read)) <= 3 * ends.STEPS[0]


def test_five_hundred_runs_are_not_read_again_where_nothing_has_changed(folder, monkeypatch):
    for number in range(3):
        write_run(folder / f"r{number}", 0.1 * number)
    listing = RunsFolder(folder)
    before = listing.runs()
    read = []
    summarize = "simulator.results.runs_folder.folder.summarize"
    original = sys.modules["simulator.results.runs_folder.folder"].summarize
    monkeypatch.setattr(summarize, lambda path, by: read.append(path.name) or original(path, by))
    assert listing.runs() == before
    assert read == []
    evaluate(folder / "r1", 30, 0.9)
    audit_by_hand(folder / "r2", auc=0.5)
    _, first, second = listing.runs()
    assert read == ["r1", "r2"]
    assert (first.score, second.audits) == (0.9, ("membership",))


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("experiment.yaml", "", "experiment.yaml: cannot be read"),
        ("experiment.yaml", "name: [", "experiment.yaml: is not YAML"),
        ("experiment.yaml", b"name: \xff\xfe", "experiment.yaml: cannot be read"),
        ("experiment.yaml", "name: a\nseed: x\nrounds: 3\n", "seed"),
        ("provenance.json", '{"status"', "provenance.json: cannot be read"),
        ("provenance.json", '{"status": "finished", "started": "yesterday"}', "provenance.json"),
        ("sweep.json", "[]", "sweep.json"),
        ("metrics.jsonl", "nonsense\n", "metrics.jsonl, near its end"),
        ("metrics.jsonl", '{"round": 1, "node": null, "name": 3, "value": 0}\n', "metrics.jsonl, near its end"),
        ("timing.jsonl", '{"round": -1}\n', "timing.jsonl, near its end"),
        ("audit/membership/metrics.json", "{", "metrics.json: cannot be read"),
    ],
)
def test_a_damaged_run_is_told_as_such_and_ends_no_listing(folder, file, content, told):
    path = write_run(folder / "a")
    audit_by_hand(path, auc=0.5)
    write_run(folder / "b")
    (path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    damaged, whole = RunsFolder(folder).runs()
    assert (damaged.state, whole.state) == ("damaged", "finished")
    assert damaged.why.startswith(told) or told in damaged.why
    assert str(path) not in damaged.why
    assert damaged.size > 0


def test_half_a_line_is_one_that_is_being_written(folder):
    path = write_run(folder / "a", 0.5)
    with (path / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"round": 30, "node": nu')
    assert (only(folder).state, only(folder).score) == ("finished", 0.5)


def test_experiments_may_be_written_in_any_way(folder):
    path = write_run(folder / "a")
    (path / "experiment.yaml").write_text('{seed: 4, "rounds": 7, name: "a: b"}')
    assert (only(folder).name, only(folder).seed, only(folder).rounds) == ("a: b", 4, 7)
    (path / "experiment.yaml").write_text("name: '12'\ndescription: |\n  seed: 9\nseed: 4\nrounds: 7\n")
    assert (only(folder).name, only(folder).seed) == ("12", 4)


def test_runs_that_are_deleted_meanwhile_are_left_out(folder, monkeypatch):
    write_run(folder / "a")
    doomed = write_run(folder / "b")
    listing = RunsFolder(folder)
    original = sys.modules["simulator.results.runs_folder.folder"].runs_in

    def found(path):
        paths = original(path)
        shutil.rmtree(doomed, ignore_errors=True)
        return paths

    monkeypatch.setattr("simulator.results.runs_folder.folder.runs_in", found)
    assert [run.directory for run in listing.runs()] == ["a"]


def test_a_run_that_nobody_may_write_into_is_read(folder):
    path = write_run(folder / "a")
    (path / ".lock").write_text("process 1 on another")
    for each in (*path.iterdir(), path):
        each.chmod(0o555)
    try:
        assert only(folder).state == "finished"
    finally:
        path.chmod(0o755)


def test_sorted_by_any_metric(folder):
    for name, score in {"a": 0.3, "b": 0.9, "c": 0.6}.items():
        write_run(folder / name, score)
    audit_by_hand(folder / "c", auc=0.7)
    audit_by_hand(folder / "a", auc=math.nan)
    runs = RunsFolder(folder).runs()

    def by(*arguments):
        return [run.directory for run in ordered(runs, *arguments)]

    assert by("test/accuracy/mean") == by("score") == ["b", "c", "a"]
    assert by("consensus/distance", True) == ["b", "c", "a"]
    assert by("audit/membership/auc") == ["c", "a", "b"]  # NaN is none
    assert {"score", "size", "started", "audit/membership/auc", "bytes/sent"} <= set(metric_names(runs))
    with pytest.raises(InputError, match=r"(?s)no run has a metric 'test/acuracy/mean'.*Did you mean 'test/accuracy"):
        by("test/acuracy/mean")


def test_search_wants_all_words(folder):
    write_run(folder / "a-s0", name="ring-plain", sweep={"arm": "Plain", "grid": {"data.alpha": 0.1}})
    write_run(folder / "b-s0", name="torus", status="failed")
    runs = RunsFolder(folder).runs()

    def found(words):
        return [run.directory for run in matching(runs, words)]

    assert found("") == ["a-s0", "b-s0"]
    assert found("RING alpha") == ["a-s0"]
    assert found("failed") == ["b-s0"]
    assert found("ring failed") == []


def test_the_folder_must_be_one_of_runs(folder):
    with pytest.raises(InputError, match="is no folder"):
        RunsFolder(folder)
    path = write_run(folder / "a")
    with pytest.raises(InputError, match="is itself a run"):
        RunsFolder(path)


def test_the_command_lists_sorts_and_searches(rumormill, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    write_run(folder / "low-s0", 0.2)
    write_run(folder / "high-s0", 0.8)
    write_run(folder / "bad-s0")
    (folder / "bad-s0" / "provenance.json").write_text("{")
    code, out, err = rumormill("runs", folder, "--sort", "score")
    names = [line.split()[0] for line in out.splitlines()]
    assert (code, names) == (0, ["run", "high-s0", "low-s0", "bad-s0"])
    assert "bad-s0: damaged: provenance.json: cannot be read" in err
    assert rumormill("runs", folder, "--search", "low")[1].count("accuracy") == 1
    code, _, err = rumormill("runs", folder, "--sort", "scroe")
    assert code == 2
    assert "Did you mean 'score'?" in err


def test_the_command_prints_json_for_programs(rumormill, folder):
    write_run(folder / "a", 0.5)
    (record,) = json.loads(rumormill("runs", folder, "--json")[1])
    assert (record["state"], record["figures"]["test/accuracy/mean"], record["seconds_left"]) == ("finished", 0.5, None)


def test_an_empty_folder_is_no_mistake(rumormill, tmp_path):
    code, out, err = rumormill("runs", tmp_path)
    assert (code, out) == (0, "")
    assert "no runs in" in err


def test_what_is_logged_between_evaluations_hides_no_score(folder):
    path = write_run(folder / "a", status="running", rounds=100, done=30)
    with (path / "metrics.jsonl").open("a") as metrics:  # failures of links are told in every round
        metrics.writelines(
            json.dumps({"round": round, "node": None, "name": "network/links_lost", "value": round}) + "\n"
            for round in range(31, 1000)
        )
    run = only(folder)
    assert run.figures["network/links_lost"] == 999
    assert run.score == run.figures["test/accuracy/mean"] > 0
