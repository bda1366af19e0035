"""Audits: what an onlooker learns from a run, worked out from its directory after the run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from simulator.config.experiment import Experiment
from simulator.config.parsing import load_part
from simulator.core.blame import blaming_parts
from simulator.core.damage import understanding
from simulator.core.errors import InputError, Problem, RunError, did_you_mean, wrong
from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.report import Section
from simulator.core.traits import NEEDS
from simulator.core.user_code.files import keep
from simulator.core.user_code.names import file_named, pinned
from simulator.results.audit_folder import AuditFolder
from simulator.results.formatting import duration
from simulator.results.lock import locked
from simulator.results.terminal import Terminal
from simulator.runs.run import Run, check_complete
from simulator.runs.trained_elsewhere import TrainedElsewhere

OPTIONS = {"attacks": "--attack", "signals": "--signal", "views": "--view", "replicas": "--replicas"}
# In every ``result.json``, with nothing in them where an audit has no such setting.
RECORDED: Mapping[str, Any] = {"attacks": [], "signals": [], "replicas": 0}
OWN = ("audit", "figures", "report.html", ".lock")  # what is written about a run, and no audit reads


class Audit(Part, ABC):
    """Audits runs: override `conduct` and `sections`, and where they apply `objections` and `metrics`.

    `audit` opens the run, asks for objections, calls `conduct` and writes what it returns. An audit reads what the run
    has left; networks like it are trained by `simulator.runs.launch` alone.

    Attributes:
        names: what the names in a setting may be, by setting: parts of a registry, or one of a few.
        needs: what samples and task must offer, by names in `simulator.core.traits.NEEDS`.
        node_by_node: whether each model meets its own node's samples only. Others refuse runs whose nodes hold one
            modality each.
    """

    names: ClassVar[Mapping[str, Registry[Any] | Collection[str]]] = {}
    needs: ClassVar[frozenset[str]] = frozenset()
    node_by_node: ClassVar[bool] = False

    def objections(self, run: Run) -> Iterable[Problem]:
        """All that keeps ``run`` from being audited with these settings; asked for before any long work."""
        return ()

    @abstractmethod
    def conduct(self, run: Run, folder: AuditFolder) -> Mapping[str, Any]:
        """Audit ``run``, to which there are no objections; the same run gives the same bytes.

        Args:
            run: what is audited.
            folder: writes arrays, if there are any.

        Returns:
            The content of ``result.json`` but for the settings: numbers, text, lists and mappings with text keys.

        Raises:
            InputError: this run, or what is asked, cannot be audited after all.
        """

    @classmethod
    def of_models(cls, given: TrainedElsewhere, options: Mapping[str, Any]) -> Path:
        """Audit models that were trained elsewhere, without a run; returns the folder of the results.

        Args:
            given: the models, and what belongs to them.
            options: values of the command line's `OPTIONS` that were given, by setting.

        Raises:
            InputError: what is given does not fit together, or this audit needs a run.
        """
        raise wrong("--audit", "this audit needs a run.", "Leave out --audit: membership can be audited without one.")

    def plan_objections(self, experiment: Experiment) -> Iterable[Problem]:
        """All that keeps ``experiment`` from being audited before it is run; by default, every audit needs a run."""
        what = f"{self.config.name} needs a run, and this is an experiment."
        yield Problem("--audit", what, "Run it, and audit the run directory that `rumormill run` prints last.")

    def plan(self, experiment: Experiment) -> Mapping[str, Any]:
        """Audit an ``experiment`` that need not have been run, to which there are no `plan_objections`.

        Returns:
            As `conduct`.
        """
        raise NotImplementedError

    @classmethod
    def metrics(cls, result: Mapping[str, Any]) -> Mapping[str, float]:
        """Figures that runs can be compared by, by name: `rumormill compare --metric audit/<audit>/<name>`.

        Args:
            result: the content of ``result.json``.
        """
        return {}

    @classmethod
    @abstractmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """What the report of the run has to say on the audit whose results lie in ``folder``."""


AUDITS: Registry[Audit] = Registry("audits")


def audit_settings(name: str, options: Mapping[str, Any], overrides: Sequence[str] = ()) -> PartSettings:
    """The settings of the audit called ``name``.

    Args:
        name: the audit's.
        options: values of the command line's `OPTIONS` that were given, by setting.
        overrides: further settings, such as ``"samples=200"``.

    Raises:
        InputError: there is no such audit, it has no use for an option, or a value is wrong.
    """
    try:
        name = pinned(name, Path())
        known = AUDITS.load(name).Config.model_fields
    except InputError as error:
        raise error.under("--audit") from error
    if useless := [OPTIONS[setting] for setting in options if setting not in known]:
        usable = [option for setting, option in OPTIONS.items() if setting in known]
        advice = f"Leave the option out; it has {', '.join(usable)}." if usable else "Leave the option out."
        raise InputError(*(Problem(option, f"{name} has no use for it.", advice) for option in useless))
    settings: PartSettings = load_part(AUDITS, {"name": name, **options}, overrides)
    return settings


@blaming_parts()
def audit(path: str | Path, settings: PartSettings) -> Path:
    """Audit the run at ``path``, in place of an earlier audit of that name; returns the folder of the results.

    Raises:
        InputError: there is no run, it or what is asked cannot be audited, a file of it is damaged, or the results
            cannot be written.
    """
    began, run, auditor = time.perf_counter(), Run.open(Path(path)), AUDITS.build(settings)
    folder, terminal = AuditFolder(run.path / "audit" / settings.name), Terminal(stderr=True)
    if unknown := list(_unknown_names(auditor)):
        raise InputError(*unknown)
    with locked(run.path), _told(run, folder):
        if problems := list(_unfit(auditor, run)) or list(dict.fromkeys(auditor.objections(run))):
            raise InputError(*problems)
        if note := _unfinished(run):
            terminal.print(note, soft_wrap=True)
        if file := file_named(settings.name):
            keep([file], run.path)  # reports will ask for it
        recorded = {"name": settings.name, **RECORDED, **settings.model_dump(mode="json")}
        result = folder.plain({"settings": recorded, **auditor.conduct(run, folder)})
        folder.save_metrics(auditor.metrics(result))
        folder.save_result(result)
        verdicts = [section.verdict for section in auditor.sections(folder)]
    terminal.print(f"{settings.name}: audited in {duration(time.perf_counter() - began)}", soft_wrap=True)
    _tell(verdicts, terminal)
    return folder.path


@blaming_parts()
def audit_plan(experiment: Experiment, settings: PartSettings, out: Path) -> Path:
    """Audit what ``experiment`` would give away if it were run; returns ``out``, where the results and a page are.

    Raises:
        InputError: it, or what is asked, cannot be audited before it is run, or the results cannot be written.
    """
    from simulator.results.report.sections import write_sections  # matplotlib takes half a second

    auditor, folder = AUDITS.build(settings), AuditFolder(out)
    if problems := list(_unknown_names(auditor)) or list(dict.fromkeys(auditor.plan_objections(experiment))):
        raise InputError(*problems)
    recorded = {"name": settings.name, **RECORDED, **settings.model_dump(mode="json")}
    result = folder.plain({"settings": recorded, **auditor.plan(experiment)})
    try:
        folder.save_metrics(auditor.metrics(result))
        folder.save_result(result)
        about = f"{experiment.name}: {experiment.rounds} rounds, nothing has been trained"
        sections = auditor.sections(folder)
        write_sections(out / "report.html", f"Plan: {settings.name}", about, sections)
    except OSError as error:
        raise wrong(str(out), f"cannot be written: {error.strerror}.", "Choose another folder: --out.") from error
    terminal = Terminal(stderr=True)
    _tell([section.verdict for section in sections], terminal)
    terminal.print(f"Report: {out / 'report.html'}", markup=False, soft_wrap=True)
    return folder.path


def _tell(verdicts: Sequence[str], terminal: Terminal) -> None:
    for verdict in filter(None, verdicts):
        terminal.print(verdict, markup=False, highlight=False, soft_wrap=True)


def audited(run: Run | str | Path, name: str = "membership", **settings: Any) -> AuditFolder:
    """Audit a run from Python: ``audit(done, "membership", signals=["loss"]).result()``.

    Args:
        run: which, or where it lies.
        name: of the audit.
        settings: the audit's own.

    Returns:
        The folder of what was found: its `result`, its `metrics` by name, and its `arrays`.

    Raises:
        InputError: as `audit`, or there is no such audit or setting.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    return AuditFolder(audit(path, audit_settings(name, {}) if not settings else _configured(name, settings)))


def _configured(name: str, settings: Mapping[str, Any]) -> PartSettings:
    try:
        pin = pinned(name, Path())
        return load_part(AUDITS, {"name": pin, **settings}, ())  # type: ignore[no-any-return]
    except InputError as error:
        raise error.under("audit") from error


def _unknown_names(auditor: Audit) -> Iterator[Problem]:
    """Names in the settings that are none, with the nearest known ones."""
    for setting, known in auditor.names.items():
        for name in getattr(auditor.config, setting):
            if isinstance(known, Registry):
                try:
                    known.load(name)
                except InputError as error:
                    yield from error.under(OPTIONS.get(setting, setting)).problems
            elif name not in known:
                advice = did_you_mean(name, list(known), setting)
                yield Problem(OPTIONS.get(setting, setting), f"unknown name '{name}'.", advice)


def _unfit(auditor: Audit, run: Run) -> Iterator[Problem]:
    """What no audit of this kind can do with, whatever its settings."""
    check_complete(run.directory)
    if not auditor.node_by_node and run.experiment.data.modality_by_node:
        name = auditor.config.name
        what = f"nodes hold one modality each, and {name} shows samples of one node to the models of others."
        yield Problem("data.modality_by_node", what, "Audit a run in which every node holds all modalities.")
    for need in sorted(auditor.needs - run.nodes[0].data.offers) if auditor.needs else ():
        what = f"{auditor.config.name} needs {need.replace('_', ' ')}, and this run has none."
        yield Problem("--audit", what, NEEDS[need])


def _unfinished(run: Run) -> str:
    """What to tell of a run that has not reached its end."""
    if run.status == "finished":
        return ""
    last, rounds = max(run.checkpoints.rounds(), default=0), run.experiment.rounds
    how = {"running": "was cut off", "interrupted": "was interrupted"}.get(run.status, run.status)
    return f"note: this run {how}; its last checkpoint is that after round {last} of {rounds}"


@contextmanager
def _told(run: Run, folder: AuditFolder) -> Iterator[None]:
    """What goes wrong is told as damage of the run's files, by their names, unless it is known to be something else."""
    files = (file for file in run.path.iterdir() if file.name not in OWN)
    with understanding(f"{run.path}, as {folder.path.name} reads it", files), blaming_parts():
        try:
            yield
        except OSError as error:
            advice = "Free some space, or copy the run."
            raise wrong(str(folder.path), f"cannot be written: {error.strerror}.", advice) from error
        except MemoryError as error:
            raise RunError(f"there is not enough memory for the audit {folder.path.name}: {error}") from error
