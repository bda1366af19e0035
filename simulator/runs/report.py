"""The report of a run, with what its methods and audits have to say."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.config.slots import parts_of
from simulator.core.blame import blaming_parts
from simulator.core.damage import understanding
from simulator.core.method import METHODS
from simulator.core.registry import Registry
from simulator.core.report import Link, Section, Source
from simulator.core.user_code.names import pinned
from simulator.results.audit_folder import AuditFolder
from simulator.results.lock import locked
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import AUDITS
from simulator.runs.run import experiment_of

PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
ATTACKS: Registry[Any] = Registry("attacks")  # which the package auditing brings


@blaming_parts()
def write_run_report(directory: RunDirectory) -> Path:
    """Write ``report.html`` of a run, with the sections of its methods and audits; returns its path.

    Raises:
        InputError: a file of the run is damaged, or another process is writing into it.
    """
    from simulator.results.report import write_report  # matplotlib takes half a second, and a run starts without it

    with locked(directory.path):
        sections: list[Section] = []
        experiment = experiment_of(directory)
        for settings in experiment.methods:
            with understanding(f"{directory.path}: what {settings.name} saved", directory.path.glob("artifacts/*.npz")):
                sections += METHODS.load(settings.name).sections(settings, directory)
        for result in sorted(directory.path.glob("audit/*/result.json")):
            with understanding(f"{result.parent}", result.parent.glob("*.*")):
                sections += _of_audit(AuditFolder(result.parent), directory)
        used = [(registry.load(settings.name), settings.name) for registry, settings in parts_of(experiment)]
        return write_report(directory, sections, tuple(_sources(used)))


def _of_audit(folder: AuditFolder, directory: RunDirectory) -> Iterator[Section]:
    """The sections of an audit; the first tells which papers its attacks are from."""
    name = pinned(folder.path.name, directory.path)  # a file's class: as the run has kept it
    audit = AUDITS.load(name)
    sources = tuple(_sources([(audit, name), *_attacks(folder.result())]))
    for number, section in enumerate(audit.sections(folder)):
        yield replace(section, sources=(*section.sources, *sources)) if not number else section


def _attacks(result: Mapping[str, Any]) -> Iterator[tuple[type, str]]:
    """Class and name of each attack that ``result`` tells of, as "signal, attack"."""
    named = dict.fromkeys(part for name in result.get("attacks", ()) for part in str(name).split(", "))
    known = set(ATTACKS.names())
    yield from ((ATTACKS.load(name), name) for name in named if name in known)


def _sources(parts: Iterable[tuple[type, str]]) -> Iterator[Source]:
    """Of parts, by class and name: what each is, where it or its module names the papers that it is from."""
    seen = set[str]()
    for part, name in parts:
        texts = part.__doc__ or "", getattr(sys.modules.get(part.__module__), "__doc__", None) or ""
        papers = dict.fromkeys(found for text in texts for found in PAPER.findall(text))
        if papers and name not in seen:
            seen.add(name)
            first, *_ = texts[0].strip().splitlines() or [""]
            links = [Link(f"arXiv:{paper}", f"https://arxiv.org/abs/{paper}") for paper in papers]
            yield Source(f"{name}: {first}", links)
