"""What the command does where its output goes nowhere."""

import subprocess
import sys

import pytest

COMMAND = f"{sys.executable} -m simulator"


def shell(line, cwd):
    return subprocess.run(["bash", "-c", line], cwd=cwd, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
def test_a_full_standard_output_is_an_error_in_words(tmp_path):
    done = shell(f"{COMMAND} list recipes >/dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("standard output cannot be written: No space left on device.")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("end", "status"), [("| head -0; exit ${PIPESTATUS[0]}", 1), ("2>/dev/full >&-", 0)])
def test_a_closed_output_needs_no_words(tmp_path, end, status):
    done = shell(f"{COMMAND} list recipes {end}", tmp_path)
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.slow
def test_a_run_that_nobody_sees_is_finished(tmp_path):
    changes = "methods=[] rounds=1 data.train_samples=200 data.test_samples=20 topology.nodes=2"
    done = shell(f"{COMMAND} run quickstart {changes} --out '[/red]:smile:' 2>/dev/full", tmp_path)
    assert done.returncode == 0
    assert "[/red]:smile:/" in done.stdout
    assert (tmp_path / done.stdout.strip() / "report.html").is_file()


@pytest.mark.slow
def test_markup_in_a_name_is_text_and_the_nearest_command_is_named_once(tmp_path):
    done = shell(f"{COMMAND} rnu; {COMMAND} report '[/red]:smile:'", tmp_path)
    assert done.stderr.count("Did you mean") == 1
    assert "[/red]:smile:: is not a run directory" in done.stderr


@pytest.mark.slow
def test_paths_that_cannot_be_are_refused(tmp_path):
    for path in ("'~nouser'", "x" * 300, r"$'\xff'"):
        done = shell(f"{COMMAND} run quickstart --out {path}", tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("--out: ")
