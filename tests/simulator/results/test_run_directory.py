"""A run directory is there whole or not at all, has a name of its own, and room for what it will hold."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path

import pytest
from reference.experiments import small
from reference.marks import first

from simulator import run
from simulator.core import atomic
from simulator.core.errors import InputError
from simulator.results import run_directory
from simulator.results.comparison import compare, find_runs
from simulator.results.run_directory import RunDirectory
from simulator.runs.build import Simulation

TESTS = Path(__file__).parents[2]


def test_runs_that_start_in_one_second_have_names_that_sort_by_time(tmp_path, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    monkeypatch.setattr(run_directory, "datetime", Clock)
    named = [RunDirectory.draft(tmp_path).named("a", 0).path.name for _ in range(3)]
    assert named == ["20260102T030405Z-a-s0", "20260102T030405Z.2-a-s0", "20260102T030405Z.3-a-s0"]


@pytest.mark.parametrize(
    "moment",
    first(["experiment.yaml", "topology.json", "partition.npz"]),
)
@pytest.mark.slow
def test_a_kill_in_the_first_moments_leaves_no_run(tmp_path, moment):
    """While the first files are written: the folder can be compared, and holds no part of a run that is seen."""
    whole = run(small(rounds=1), tmp_path)
    script = f"""
import os, sys
sys.path.insert(0, {str(TESTS)!r})
from reference.experiments import small
from reference.marks import first
from simulator import run
replace = os.replace
def dying(source, target):
    if str(target).endswith({moment!r}):
        os._exit(9)
    replace(source, target)
os.replace = dying
run(small(rounds=1), {str(tmp_path)!r})
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9

    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [whole.path.name]
    assert len(compare(find_runs([tmp_path])).groups) == 1


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "file"
    atomic.write(file, "old")

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "sync", full)
    with pytest.raises(OSError, match="No space"):
        atomic.write(file, "new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_damaged_run_is_left_out_of_the_comparison_by_its_files_name(tmp_path):
    paths = [run(small(f"seed={seed}", rounds=1), tmp_path).path for seed in range(3)]
    (paths[0] / "experiment.yaml").write_text("")
    (paths[1] / "metrics.jsonl").write_text('{"round": 0}\n')
    comparison = compare(find_runs([tmp_path]))

    assert [len(group.finished) for group in comparison.groups] == [1]
    assert any("left out" in note and f"{paths[1]}/metrics.jsonl:1" in note for note in comparison.notes)
    assert any("left out" in note and str(paths[0]) in note and "experiment.yaml" in note for note in comparison.notes)


def test_where_every_run_is_damaged_there_is_nothing_to_compare(tmp_path):
    path = run(small(rounds=1), tmp_path).path
    (path / "provenance.json").write_text("[]")
    with pytest.raises(InputError, match=r"provenance\.json"):
        compare(find_runs([tmp_path]))


def test_numbers_that_json_does_not_have_are_read_back(tmp_path):
    path = run(small(rounds=1), tmp_path).path
    with (path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"round": 1, "node": None, "name": "odd", "value": "Infinity"}) + "\n")
    assert RunDirectory(path).metrics()[-1].value == float("inf")


def test_a_run_that_the_disk_has_no_room_for_is_refused_before_it_starts(tmp_path, monkeypatch):
    experiment = small(record={"every": 1}, checkpoint={"every": 2, "keep": "all"})
    room = Simulation.of(experiment).room
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, room.of_recordings + room.of_checkpoints - 1))
    with pytest.raises(InputError, match=r"needs about .* on disk, and .* are free"):
        run(experiment, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_room_is_what_a_run_takes(tmp_path):
    experiment = small("model.hidden=[256]", record={"every": 2}, checkpoint={"every": 2, "keep": 2})
    room = Simulation.of(experiment).room
    path = run(experiment, tmp_path).path
    for folder, expected in (("recordings", room.of_recordings), ("checkpoints", room.of_checkpoints * 2 / 3)):
        size = sum(file.stat().st_size for file in (path / folder).rglob("*") if file.is_file())
        assert size == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("left", ["versions", "views"])
def test_a_run_of_an_earlier_version_is_refused_with_the_version_that_can_read_it(tmp_path, left):
    done = run(small(rounds=1), tmp_path)
    assert RunDirectory.open(done.path)
    if left == "views":
        (done.path / "views").mkdir()
    else:
        origin = json.loads((done.path / "provenance.json").read_text())
        origin["versions"]["rumormill"] = "0.1.0"
        (done.path / "provenance.json").write_text(json.dumps(origin))
    with pytest.raises(InputError, match=r"written by rumormill 0\.1.*\n.*Read it with that version"):
        RunDirectory.open(done.path)
