"""What may go of a folder of runs: shown first, and never what others refer to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from simulator.core import atomic
from simulator.core.errors import wrong
from simulator.results.lock import holder, locked
from simulator.results.runs_folder.disk import sizes
from simulator.results.runs_folder.folder import RunsFolder
from simulator.results.runs_folder.references import coreset_sources, lends_rounds
from simulator.results.runs_folder.summary import RunSummary, summarize

What = Literal["run", "checkpoints", "recordings", "draft"]
DRAFT_AGE = 3600.0  # seconds without a change, after which nobody is making a run of it any more


@dataclass(frozen=True)
class Wish:
    """What shall go.

    Attributes:
        failed: runs that failed, or were stopped without a checkpoint to go on from, and what such left hidden.
        keep: all runs but the latest so many; None: no such wish.
        checkpoints: those of finished runs, which can then be neither audited nor gone back in.
        recordings: those of finished runs, which audits of messages read.
        audited: also of runs that have been audited.
    """

    failed: bool = False
    keep: int | None = None
    checkpoints: bool = False
    recordings: bool = False
    audited: bool = False


@dataclass(frozen=True)
class Removal:
    """Something that goes: a run, a folder of it, or a hidden draft that never became a run."""

    run: Path
    what: What
    bytes: int
    why: str
    state: str = ""  # of the run, when that was planned

    @property
    def path(self) -> Path:
        """What is deleted."""
        return self.run if self.what in ("run", "draft") else self.run / self.what


@dataclass(frozen=True)
class Plan:
    """What goes, and by name what stays although the wish was for it, and why."""

    removals: tuple[Removal, ...]
    kept: tuple[tuple[str, str], ...]

    @property
    def bytes(self) -> int:
        """The room that it makes."""
        return sum(removal.bytes for removal in self.removals)


def plan(folder: RunsFolder, wish: Wish) -> Plan:
    """What of ``folder`` goes by that ``wish``; nothing is touched."""
    runs = folder.runs()
    whole = _failed(runs) if wish.failed else {}
    whole |= {run: reason for run, reason in _old(runs, wish.keep).items() if run not in whole}
    removals, kept = list[Removal](), list[tuple[str, str]]()
    objection = partial(_objection, coresets=coreset_sources(folder.path) if whole else {}, audited=wish.audited)
    for run in runs:
        wanted: dict[What, str] = {"run": whole[run.directory]} if run.directory in whole else _parts(run, wish)
        for what, reason in wanted.items():
            if stays := objection(run, what):
                kept.append((run.directory if what == "run" else f"{run.directory}/{what}", stays))
            else:
                size = run.size if what == "run" else run.bytes[what]
                removals.append(Removal(run.path, what, size, reason, run.state))
    return Plan((*removals, *(_drafts(folder.path) if wish.failed else ())), tuple(kept))


def remove(removal: Removal, audited: bool = False) -> None:
    """Delete it: out of sight at once, then from the disk. What has come to speak against it since then is heard.

    Args:
        removal: what `plan` has found.
        audited: see `Wish`.

    Raises:
        InputError: a process is writing there, something speaks against it by now, or it cannot be deleted.
    """
    doomed = removal.path
    with locked(removal.run):
        if removal.what != "draft" and (stays := _objection_by_now(removal, audited)):
            raise wrong(str(removal.path), f"stays: {stays}.", "Look again at what may go.")
        try:
            doomed = removal.path.rename(removal.path.with_name(atomic.draft_name()))
            shutil.rmtree(doomed)
        except OSError as error:
            what = f"cannot be deleted: {error.strerror}."
            raise wrong(str(doomed), what, "Delete it with the rights of its owner.") from error


def _objection_by_now(removal: Removal, audited: bool) -> str:
    run = summarize(removal.run, by=None)  # by nobody but us, who have the lock
    if run is None:
        return "it is no run any more"
    if run.state != removal.state:
        return f"its state is {run.state} by now"
    return _objection(run, removal.what, coreset_sources(removal.run.parent) if removal.what == "run" else {}, audited)


def _failed(runs: Sequence[RunSummary]) -> dict[str, str]:
    found = {run.directory: "it failed" for run in runs if run.state == "failed"}
    cut_off = [run for run in runs if run.state == "stopped" and not run.bytes.get("checkpoints")]
    return found | {run.directory: "it was stopped, without a checkpoint to go on from" for run in cut_off}


def _old(runs: Sequence[RunSummary], keep: int | None) -> dict[str, str]:
    if keep is None:
        return {}
    latest = sorted(runs, key=lambda run: run.started, reverse=True)
    return {run.directory: f"it is not of the latest {keep}" for run in latest[keep:]}


def _parts(run: RunSummary, wish: Wish) -> dict[What, str]:
    asked: dict[What, bool] = {"checkpoints": wish.checkpoints, "recordings": wish.recordings}
    wanted = [what for what, is_asked in asked.items() if is_asked and run.bytes.get(what)]
    return dict.fromkeys(wanted, "the run has finished") if run.state == "finished" else {}


def _objection(run: RunSummary, what: What, coresets: Mapping[Path, str], audited: bool) -> str:
    """Why it stays; empty where nothing speaks against it."""
    if run.holder:
        return f"it is being written by {run.holder}"
    if run.state == "damaged":
        return "it is damaged, and what refers to it cannot be told"
    if run.path.is_symlink():
        return "it is a link to another folder"
    if what == "run" and run.sweep:
        return "a sweep counts on it, and would run it again"
    if what == "run" and (by := coresets.get(run.path.resolve())):
        return f"the coreset of {by} is chosen by its scores"
    if what == "checkpoints" and run.sweep and lends_rounds(run.path):
        return "other runs of its sweep start from one of them"
    if run.audits and not audited:
        return f"it has been audited ({', '.join(run.audits)})"
    return ""


def _drafts(folder: Path) -> Iterator[Removal]:
    """Hidden folders that a process which was killed has left, beside runs and, half deleted, in them."""
    for path in sorted([*folder.glob(".*.draft"), *folder.glob("*/.*.draft")]):
        with suppress(FileNotFoundError):  # it became a run, or is gone
            ours = atomic.DRAFT.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
            if ours and time.time() - path.stat().st_mtime > DRAFT_AGE and not (holder(path) or holder(path.parent)):
                yield Removal(path, "draft", sum(sizes(path).values()), "what made it was killed")
