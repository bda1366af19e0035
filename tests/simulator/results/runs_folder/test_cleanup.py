"""Cleaning up: shown first, and nothing goes that a run, a sweep, a coreset or an audit needs."""

import os
import shutil
import time

import pytest
from reference.run_folders import add_folder, audit_by_hand, write_run

from simulator.core.errors import InputError
from simulator.results.lock import locked
from simulator.results.runs_folder.cleanup import Wish, plan, remove
from simulator.results.runs_folder.folder import RunsFolder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "project" / "runs").mkdir(parents=True)
    return tmp_path / "project" / "runs"


def planned(folder, **wish):
    found = plan(RunsFolder(folder), Wish(**wish))
    return sorted(str(removal.path.relative_to(folder)) for removal in found.removals), dict(found.kept)


def test_what_failed_or_can_never_go_on_goes_and_nothing_else(folder):
    write_run(folder / "done")
    write_run(folder / "failed", status="failed")
    write_run(folder / "cut-off", status="running", done=0)
    add_folder(write_run(folder / "resumable", status="interrupted", done=10) / "checkpoints", 10)
    assert planned(folder, failed=True) == (["cut-off", "failed"], {})
    assert planned(folder) == ([], {})


def test_all_but_the_latest(folder):
    for day in (3, 1, 2):
        write_run(folder / f"r{day}", started=f"2026-01-0{day}T00:00:00+00:00")
    assert planned(folder, keep=1) == (["r1", "r2"], {})
    assert planned(folder, keep=3) == ([], {})


def test_parts_of_finished_runs_only(folder):
    for name, status in {"done": "finished", "stopped": "interrupted"}.items():
        path = write_run(folder / name, status=status)
        add_folder(path / "checkpoints", 5)
        add_folder(path / "recordings", 7)
    assert planned(folder, checkpoints=True) == (["done/checkpoints"], {})
    assert planned(folder, recordings=True) == (["done/recordings"], {})
    (removal,) = plan(RunsFolder(folder), Wish(checkpoints=True)).removals
    assert removal.bytes == 5


def test_a_sweep_keeps_its_runs_but_not_their_checkpoints_unless_others_start_from_them(folder):
    label = {"arm": "plain", "grid": {}, "seed": 0, "identity": "x"}
    for name, rounds in {"alone": [], "trunk": [50]}.items():
        path = write_run(folder / name, sweep=label, checkpoint={"every": 50, "rounds": rounds})
        add_folder(path / "checkpoints", 5)
    write_run(folder / "failed", status="failed", sweep={**label, "failure": "diverged"})
    gone, kept = planned(folder, failed=True, keep=0)
    assert gone == []
    assert kept == dict.fromkeys(("alone", "trunk", "failed"), "a sweep counts on it, and would run it again")
    gone, kept = planned(folder, checkpoints=True)
    assert gone == ["alone/checkpoints"]
    assert kept == {"trunk/checkpoints": "other runs of its sweep start from one of them"}


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("runs/coreset", "runs/scores"),
        ("runs/coreset", "{absolute}/scores"),
        ("runs/coreset", "scores"),
        ("coresets/by-seed", "runs"),
        ("beside", "../project/runs/scores"),
    ],
)
def test_what_a_coreset_is_chosen_by_stays(folder, where, named, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_run(folder / "scores")
    write_run(folder / "other")
    subset = {"run": named.format(absolute=folder), "score": "ltc"}
    user = write_run(folder.parent / where, data={"dataset": {"name": "digits"}, "subset": subset})
    stays = f"the coreset of {user.name} is chosen by its scores"
    gone, kept = planned(folder, keep=0)
    assert kept["scores"] == stays
    assert ("other" in kept) == (named == "runs")
    shutil.rmtree(user)
    gone, kept = planned(folder, keep=0)
    assert (gone, kept) == (["other", "scores"], {})


def test_what_has_been_audited_stays_unless_that_is_meant(folder):
    path = write_run(folder / "a")
    audit_by_hand(path, auc=0.5)
    add_folder(path / "recordings", 5)
    assert planned(folder, keep=0) == ([], {"a": "it has been audited (membership)"})
    assert planned(folder, recordings=True)[0] == []
    assert planned(folder, recordings=True, audited=True) == (["a/recordings"], {})


def test_what_is_being_written_or_damaged_or_elsewhere_stays(folder, tmp_path):
    running, damaged = write_run(folder / "running", status="failed"), write_run(folder / "damaged")
    (damaged / "provenance.json").write_text("{")
    (folder / "link").symlink_to(write_run(tmp_path / "elsewhere"))
    with locked(running):
        gone, kept = planned(folder, keep=0, failed=True)
    assert gone == []
    assert f"process {os.getpid()}" in kept["running"]
    assert "damaged" in kept["damaged"]
    assert "link" in kept["link"]


OLD, NEW = ".0123456789ab.draft", ".ba9876543210.draft"


def test_what_was_left_half_deleted_in_a_run_goes(folder):
    half = write_run(folder / "a") / OLD
    half.mkdir()
    (half / "file").write_bytes(b"123")
    os.utime(half, (0, 0))
    assert [each.path for each in plan(RunsFolder(folder), Wish(failed=True)).removals] == [half]
    with locked(folder / "a"):
        assert not plan(RunsFolder(folder), Wish(failed=True)).removals


def test_what_speaks_against_it_since_it_was_planned_is_heard(folder):
    audited, finished = write_run(folder / "a"), write_run(folder / "b", status="failed")
    planned = {each.run: each for each in plan(RunsFolder(folder), Wish(keep=0, failed=True)).removals}
    audit_by_hand(audited)
    (finished / "provenance.json").write_text('{"status": "finished"}')
    for path, why in ((audited, "it has been audited"), (finished, "its state is finished by now")):
        with pytest.raises(InputError, match=why):
            remove(planned[path])
        assert (path / "metrics.jsonl").exists()
    remove(planned[audited], audited=True)
    assert not audited.exists()


def test_old_drafts_of_killed_processes_go_and_new_ones_stay(folder):
    for name in (OLD, NEW, ".mine", ".thesis.draft"):
        (folder / name).mkdir()
        (folder / name / "file").write_bytes(b"123")
    long_ago = time.time() - 7200
    for name in (OLD, ".mine", ".thesis.draft"):
        os.utime(folder / name, (long_ago, long_ago))
    (removal,) = plan(RunsFolder(folder), Wish(failed=True)).removals
    assert (removal.path.name, removal.bytes) == (OLD, 3)
    remove(removal)
    assert sorted(os.listdir(folder)) == sorted([".mine", ".thesis.draft", NEW])


def test_nothing_is_removed_from_a_run_that_somebody_has_taken_since(folder):
    path = write_run(folder / "a", status="failed")
    (removal,) = plan(RunsFolder(folder), Wish(failed=True)).removals
    with locked(path), pytest.raises(InputError, match="is being written"):
        remove(removal)
    assert (path / "metrics.jsonl").exists()


def test_the_command_shows_and_deletes_only_when_told_so(rumormill, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    write_run(folder / "failed", status="failed")
    add_folder(write_run(folder / "done") / "checkpoints", 2_000_000)
    audit_by_hand(write_run(folder / "audited"), auc=0.5)
    code, out, err = rumormill("clean", folder)
    assert code == 0
    assert f"{folder / 'failed'}" in out
    assert "would be deleted" in err
    assert sorted(os.listdir(folder)) == ["audited", "done", "failed"]
    code, out, err = rumormill("clean", folder, "--checkpoints", "--yes")
    assert "2.00 MB deleted" in err
    assert sorted(os.listdir(folder)) == ["audited", "done", "failed"]
    assert not (folder / "done" / "checkpoints").exists()
    code, out, err = rumormill("clean", folder, "--keep", "0", "--yes")
    assert "stays: audited: it has been audited (membership)" in err
    assert os.listdir(folder) == ["audited"]
    assert "Nothing to delete." in rumormill("clean", folder)[2]


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(rumormill, folder, monkeypatch):
    for name in ("a", "b"):
        write_run(folder / name, status="failed")
    original = shutil.rmtree

    def refusing(path, *arguments, **options):
        if (path / "sticky").exists():
            raise PermissionError(1, "Operation not permitted")
        original(path, *arguments, **options)

    (folder / "a" / "sticky").touch()
    monkeypatch.setattr(shutil, "rmtree", refusing)
    code, _, err = rumormill("clean", folder, "--yes")
    assert code == 1
    assert ".draft: cannot be deleted: Operation not permitted" in err
    assert not (folder / "b").exists()
