"""One process at a time in a run directory, or in the folder of a sweep."""

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from reference.experiments import SMALL, At, small

from auditing.early_exit.audit import EarlyExitAudit
from simulator import resume, run
from simulator.core.errors import InputError
from simulator.results.lock import FILE, locked
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report
from simulator.sweep import load_sweep, run_sweep


@contextmanager
def holder(folder):
    """Another process that has the lock."""
    script = f"""
import sys
from pathlib import Path
from simulator.results.lock import locked
with locked(Path({str(folder)!r})):
    print("locked", flush=True)
    sys.stdin.readline()
"""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(small(rounds=1), tmp_path_factory.mktemp("runs")).path


def test_while_another_process_writes_a_run_it_is_neither_resumed_nor_audited_nor_reported(finished):
    before = {file: file.read_bytes() for file in finished.rglob("*") if file.is_file() and file.name != FILE}
    with holder(finished) as process:
        for action in (
            lambda: resume(finished),
            lambda: audit(finished, EarlyExitAudit.Config(name="early_exit")),
            lambda: write_run_report(RunDirectory.open(finished)),
        ):
            with pytest.raises(InputError, match=rf"is being written by process {process.pid} on .*\n.*Wait"):
                action()
    assert {file: file.read_bytes() for file in finished.rglob("*") if file.is_file() and file.name != FILE} == before


def test_a_run_that_is_still_going_is_not_resumed_beside(tmp_path):
    refused = []

    def second():
        (path,) = tmp_path.iterdir()
        with pytest.raises(InputError, match="is being written by process") as caught:
            resume(path)
        refused.append(caught)

    assert run(small(rounds=2), tmp_path, [At(1, second)]).status == "finished"
    assert len(refused) == 1


def test_the_lock_of_a_process_that_was_killed_is_gone(finished):
    with holder(finished) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (finished / FILE).read_text()
        assert resume(finished).status == "finished"


def test_two_sweeps_do_not_work_in_one_folder(tmp_path):
    sweep = load_sweep({"experiment": {**SMALL, "rounds": 1}, "seeds": [0]})
    with locked(tmp_path), pytest.raises(InputError, match="is being written"):
        run_sweep(sweep, tmp_path)
