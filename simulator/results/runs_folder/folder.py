"""The runs of a folder, read again only where something has changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from math import isnan
from pathlib import Path
from threading import Lock

from simulator.core.errors import did_you_mean, wrong
from simulator.results.lock import holder
from simulator.results.places import AUDIT_RESULT, EXPERIMENT, MESSAGES, runs_in
from simulator.results.runs_folder.summary import COLUMNS, RunSummary, summarize

# What a summary is made of, and the folders whose files it counts; those of audits come on top.
LOOKED_AT = (
    *("", EXPERIMENT, "provenance.json", "sweep.json", "metrics.jsonl", "timing.jsonl", MESSAGES),
    *("report.html", "checkpoints", "recordings", "artifacts", "figures", "audit"),
)
Signature = tuple[object, ...]  # equal as long as nothing has changed that a summary is made of


class RunsFolder:
    """The runs in ``path``; several threads may ask for them.

    Raises:
        InputError: there is no such folder, or it is itself a run.
    """

    def __init__(self, path: Path) -> None:
        if (path / EXPERIMENT).exists():
            raise wrong(str(path), "is itself a run directory.", f"Give the folder that holds it: {path.parent}")
        if not path.is_dir():
            raise wrong(str(path), "is no folder.", "Give the folder that runs were written into, such as runs/.")
        self.path = path
        self._known = dict[Path, tuple[Signature, RunSummary]]()
        self._lock = Lock()

    def runs(self) -> list[RunSummary]:
        """All of them as they are now, sorted by the names of their directories."""
        with self._lock:
            found = [run for path in runs_in(self.path) if (run := self._read(path))]
            self._known = {run.path: self._known[run.path] for run in found}
            return found

    def run(self, directory: str) -> RunSummary | None:
        """The one whose `RunSummary.directory` is ``directory``; None where there is none, whatever is asked."""
        return next((run for run in self.runs() if run.directory == directory), None)

    def _read(self, path: Path) -> RunSummary | None:
        by = holder(path)
        signature = (by, *map(_stamp, _looked_at(path)))
        if path in self._known and self._known[path][0] == signature:
            return self._known[path][1]
        found = summarize(path, by)
        if found:
            self._known[path] = signature, found
        return found


def metric_names(runs: Iterable[RunSummary]) -> list[str]:
    """What `ordered` can sort by: `COLUMNS`, and all figures that ``runs`` have."""
    return [*COLUMNS, *sorted({name for run in runs for name in run.figures})]


def ordered(runs: Sequence[RunSummary], by: str, ascending: bool = False) -> list[RunSummary]:
    """``runs`` by one of their `metric_names`, the largest first unless ``ascending``; those without it at the end.

    Raises:
        InputError: no run has such a figure.
    """
    known = metric_names(runs)
    if by not in known:
        raise wrong("--sort", f"no run has a metric '{by}'.", did_you_mean(by, known, "metrics"))
    has = [run for run in runs if not isnan(run.figure(by))]
    without = [run for run in runs if isnan(run.figure(by))]
    return [*sorted(has, key=lambda run: run.figure(by), reverse=not ascending), *without]


def matching(runs: Iterable[RunSummary], words: str) -> list[RunSummary]:
    """Those of ``runs`` in whose name, directory, state, audits or sweep each of ``words`` stands."""
    wanted = words.casefold().split()
    return [run for run in runs if all(word in _text(run) for word in wanted)]


def _text(run: RunSummary) -> str:
    sweep = [str(run.sweep.get(key) or "") for key in ("arm", "grid")]
    return " ".join([run.name, run.directory, run.state, *run.audits, *sweep]).casefold()


def _looked_at(path: Path) -> Iterator[str]:
    run = str(path)
    yield from (f"{run}/{name}" for name in LOOKED_AT)
    with suppress(OSError):
        for audit in sorted(os.listdir(f"{run}/audit")):
            yield from (f"{run}/audit/{audit}", f"{run}/audit/{audit}/{AUDIT_RESULT}")


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
