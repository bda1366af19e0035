"""Energy that this machine takes to simulate, as CodeCarbon finds it; that of simulated devices is declared instead."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from simulator.core.errors import Problem, wrong
from simulator.core.observer import RunInfo, Speed
from simulator.core.registry import PartSettings
from simulator.core.report import Metric
from simulator.results.terminal import Terminal
from simulator.results.trackers import Tracker, missing

WHERE = "--track codecarbon"
COUNTRY = "CODECARBON_COUNTRY_ISO_CODE"  # CodeCarbon's own name for it
EMISSIONS, LOG = "emissions.csv", "codecarbon.log"  # of a run directory
LOGGER = logging.getLogger("codecarbon")
LINE = logging.Formatter("%(asctime)s %(levelname)s %(message)s")


class CodeCarbon(Tracker):
    """Has CodeCarbon find what this machine takes while it simulates, in kWh and kg of CO2eq: ``emissions.csv``.

    What simulated devices would take is another thing, which an experiment's ``energy`` declares. A row is a process
    that worked at the run, up to its last evaluation if it was killed: the rows of a resumed run add up.
    ``codecarbon.log`` says what is measured, and what is estimated and how.

    CODECARBON_COUNTRY_ISO_CODE has to be set. CodeCarbon's other settings hold, of its files and of variables such as
    CODECARBON_TRACKING_MODE; but nothing is sent, and nothing is written outside the run directory.
    """

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "codecarbon"

    _tracker: Any = None

    def require(self) -> None:
        """Find CodeCarbon, and what it knows of the country.

        Raises:
            InputError: it is not installed, or no country is declared that it knows.
        """
        _declared_country()

    def started(self, info: RunInfo) -> None:
        """Begin a row.

        Raises:
            InputError: as `require`, or CodeCarbon cannot begin.
        """
        country = _declared_country()
        from codecarbon import OfflineEmissionsTracker, OutputMethod

        self._log = info.path / LOG
        LOGGER.addFilter(self._kept)
        self._tracker = OfflineEmissionsTracker(
            country_iso_code=country,
            project_name=info.path.name,
            output_methods=[OutputMethod.CSV],
            output_dir=str(info.path),
            output_file=EMISSIONS,
            on_csv_write="update",
            log_level="info",
            # Its own settings may say otherwise: these would send something, and the last write a lock elsewhere.
            emissions_endpoint="",
            electricitymaps_api_token="",
            allow_multiple_runs=True,
        )
        self._tracker.start()
        if self._tracker.flush() is None:  # CodeCarbon logs what goes wrong, and raises nothing
            LOGGER.removeFilter(self._kept)
            raise wrong(WHERE, "CodeCarbon cannot begin.", f"Mend what {self._log} says, or leave {WHERE} out.")
        LOGGER.setLevel(logging.WARNING)  # the log has how it measures; from here on it would have each measurement

    def evaluated(self, round: int, metrics: Sequence[Metric], speed: Speed) -> None:
        """Bring the row up to date."""
        self._tracker.flush()

    def finished(self, status: str) -> None:
        """End the row; where that fails the run is not lost, and it is told."""
        if self._tracker is None:
            return
        ended = self._tracker.stop() is not None
        LOGGER.removeFilter(self._kept)
        if not ended:
            what = f"CodeCarbon could not write to the end what this machine took: {EMISSIONS} is not complete."
            Terminal(stderr=True).print(str(Problem(WHERE, what, f"{self._log} says why.")), soft_wrap=True)

    def _kept(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` goes on to the terminal, which has a live table: never, it goes into the log."""
        with suppress(OSError), self._log.open("a", encoding="utf-8") as log:
            log.write(f"{LINE.format(record)}\n")
        return False


def _declared_country() -> str:
    """Its three letters. Without one, or with one that it does not know, CodeCarbon would take the world's mean.

    Raises:
        InputError: CodeCarbon is not installed, or it is no country that it knows.
    """
    try:
        from codecarbon.input import DataSource
    except ImportError as error:
        raise missing("codecarbon") from error
    country = os.environ.get(COUNTRY)
    advice = f"Set {COUNTRY} to the country's three letters, for example FRA."
    if not country:
        raise wrong(WHERE, "no country is declared, whose electricity decides how much CO2eq a kWh is.", advice)
    if country not in DataSource().get_global_energy_mix_data():
        raise wrong(WHERE, f"CodeCarbon knows no country '{country}'.", advice)
    return country
