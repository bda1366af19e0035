import csv
import logging
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from simulator.core.errors import InputError
from simulator.core.observer import RunInfo, Speed
from simulator.results.machine_energy import COUNTRY, LOGGER, CodeCarbon


def begun(path: Path, rounds_done: int = 0) -> CodeCarbon:
    tracker = CodeCarbon()
    tracker.require()
    tracker.started(RunInfo(path, "demo", 0, 20, 4, 10, rounds_done, {"rounds": 20}, ()))
    return tracker


def evaluate(tracker: CodeCarbon) -> None:
    tracker.evaluated(10, [], Speed(10, 2.0, 10, 600, 1, 1))


@pytest.fixture(autouse=True)
def quiet_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is when nobody tracks: one test's failure is not the next one's."""
    monkeypatch.setattr(LOGGER, "filters", [])
    monkeypatch.setattr(LOGGER, "propagate", True)  # which CodeCarbon turns off


class FakeCodeCarbon:
    """Stands in for the package: remembers how its tracker is made, and fails as the real one does, with None."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.flushed, self.works = 0, True

    def get_global_energy_mix_data(self) -> dict[str, Any]:
        return {"FRA": {}}

    def tracker(self, **settings: Any) -> "FakeCodeCarbon":
        self.settings = settings
        LOGGER.warning("a constructor warns")
        return self

    def start(self) -> None:
        LOGGER.warning("no counters, so estimated")

    def flush(self) -> float | None:
        self.flushed += 1
        return 0.0 if self.works else None

    def stop(self) -> float | None:
        return 0.0 if self.works else None


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCodeCarbon:
    monkeypatch.setenv(COUNTRY, "FRA")
    package = FakeCodeCarbon()
    modules = {
        "codecarbon": {"OfflineEmissionsTracker": package.tracker, "OutputMethod": OutputMethods},
        "codecarbon.input": {"DataSource": lambda: package},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return package


class OutputMethods:
    CSV = "csv"


def test_a_row_is_written_into_the_run_directory_and_nothing_anywhere_else(
    fake: FakeCodeCarbon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = begun(tmp_path)
    assert fake.settings == {
        "country_iso_code": "FRA",
        "project_name": tmp_path.name,
        "output_methods": ["csv"],
        "output_dir": str(tmp_path),
        "output_file": "emissions.csv",
        "on_csv_write": "update",
        "log_level": "info",
        "emissions_endpoint": "",
        "electricitymaps_api_token": "",
        "allow_multiple_runs": True,
    }
    evaluate(tracker)
    evaluate(tracker)
    assert fake.flushed == 3  # as it began, too
    tracker.finished("finished")
    assert capsys.readouterr() == ("", "")


def test_what_codecarbon_says_goes_into_its_log_and_not_between_rows_of_the_live_table(
    fake: FakeCodeCarbon, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = begun(tmp_path)
    assert LOGGER.level == logging.WARNING
    tracker.finished("finished")
    assert not caplog.records
    first, second = (tmp_path / "codecarbon.log").read_text().splitlines()
    assert first.endswith("WARNING a constructor warns")
    assert second.endswith("WARNING no counters, so estimated")
    LOGGER.warning("another's")
    assert [record.message for record in caplog.records] == ["another's"]


@pytest.mark.parametrize(
    ("country", "told"), [("", "no country is declared"), ("FR", "CodeCarbon knows no country 'FR'")]
)
def test_without_a_country_that_is_known_nothing_begins(
    country: str, told: str, fake: FakeCodeCarbon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COUNTRY, country)
    tracker = CodeCarbon()
    for begin in (tracker.require, lambda: tracker.started(RunInfo(tmp_path, "demo", 0, 20, 4, 10, 0, {}, ()))):
        with pytest.raises(InputError, match=rf"--track codecarbon: {told}.*\n +Set {COUNTRY} to .* FRA\."):
            begin()
    tracker.finished("failed")
    assert not fake.settings


def test_that_it_cannot_begin_is_told_before_anything_is_computed(
    fake: FakeCodeCarbon, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.works = False
    with pytest.raises(InputError, match=r"CodeCarbon cannot begin\.\n +Mend what .*codecarbon\.log says"):
        begun(tmp_path)
    LOGGER.warning("another's")
    assert [record.message for record in caplog.records] == ["another's"]


def test_that_it_cannot_end_is_told_and_the_run_goes_on(
    fake: FakeCodeCarbon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = begun(tmp_path)
    fake.works = False
    evaluate(tracker)
    tracker.finished("finished")
    assert "--track codecarbon: CodeCarbon could not write" in capsys.readouterr().err


@pytest.mark.slow
def test_rows_of_a_resumed_run_add_up_and_nothing_is_sent_or_said_or_written_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("codecarbon")
    called = list[Any]()
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: called.append(address))
    run, elsewhere = tmp_path / "a-run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    asked_for = {
        COUNTRY: "FRA",
        "CODECARBON_FORCE_CARBON_INTENSITY_G_CO2E_KWH": "500",
        # What would go elsewhere, and what would be said:
        "CODECARBON_OUTPUT_DIR": str(elsewhere),
        "CODECARBON_OUTPUT_FILE": str(elsewhere / "mine.csv"),
        "CODECARBON_SAVE_TO_API": "true",
        "CODECARBON_OUTPUT_METHODS": "csv,api,prometheus",
        "CODECARBON_EMISSIONS_ENDPOINT": "http://127.0.0.1:9/",
        "CODECARBON_CO2_SIGNAL_API_TOKEN": "a-token",
        "CODECARBON_ALLOW_MULTIPLE_RUNS": "false",
        "CODECARBON_LOG_LEVEL": "debug",
    }
    for name, value in asked_for.items():
        monkeypatch.setenv(name, value)
    for rounds_done in (0, 10):
        tracker = begun(run, rounds_done)
        sum(range(10_000_000))
        evaluate(tracker)
        (*_, row) = rows(run)  # as it would be left if the process were killed now
        assert float(row["energy_consumed"]) > 0
        tracker.finished("finished")
    assert called == []
    assert capfd.readouterr() == ("", "")
    assert list(elsewhere.iterdir()) == []
    assert sorted(each.name for each in run.iterdir()) == ["codecarbon.log", "emissions.csv"]
    first, second = rows(run)
    assert first["run_id"] != second["run_id"]
    for each in (first, second):
        assert (each["project_name"], each["country_name"], each["tracking_mode"]) == ("a-run", "France", "machine")
        assert float(each["emissions"]) == pytest.approx(0.5 * float(each["energy_consumed"]))  # kg
    assert "Delta energy consumed for CPU with" in (run / "codecarbon.log").read_text()


@pytest.mark.slow
def test_what_codecarbon_cannot_begin_with_is_in_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("codecarbon")
    monkeypatch.setenv(COUNTRY, "FRA")
    monkeypatch.setenv("CODECARBON_TRACKING_MODE", "planet")
    with pytest.raises(InputError, match="CodeCarbon cannot begin"):
        begun(tmp_path)
    assert "AssertionError" in (tmp_path / "codecarbon.log").read_text()


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "emissions.csv").open(newline="") as file:
        return list(csv.DictReader(file))
