"""The report of a run, with what its methods and audits have to say."""

from __future__ import annotations

from pathlib import Path

from simulator.core.blame import blaming_parts
from simulator.core.damage import understanding
from simulator.core.method import METHODS
from simulator.core.report import Section
from simulator.core.user_code.names import pinned
from simulator.results.audit_folder import AuditFolder
from simulator.results.lock import locked
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import AUDITS
from simulator.runs.run import experiment_of


@blaming_parts()
def write_run_report(directory: RunDirectory) -> Path:
    """Write ``report.html`` of a run, with the sections of its methods and audits; returns its path.

    Raises:
        InputError: a file of the run is damaged, or another process is writing into it.
    """
    from simulator.results.report import write_report  # matplotlib takes half a second, and a run starts without it

    with locked(directory.path):
        sections: list[Section] = []
        for settings in experiment_of(directory).methods:
            with understanding(f"{directory.path}: what {settings.name} saved", directory.path.glob("artifacts/*.npz")):
                sections += METHODS.load(settings.name).sections(settings, directory)
        for result in sorted(directory.path.glob("audit/*/result.json")):
            with understanding(f"{result.parent}", result.parent.glob("*.*")):
                name = pinned(result.parent.name, directory.path)  # a file's class: as the run has kept it
                sections += AUDITS.load(name).sections(AuditFolder(result.parent))
        return write_report(directory, sections)
