"""The page: chapters in their order, rendered into one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.core import atomic
from simulator.core.report import Section, Source
from simulator.results.records import PROVENANCE
from simulator.results.report import agreement, attackers, chapters
from simulator.results.report.chapter import Chapter
from simulator.results.report.chart_data import MOST_NODES
from simulator.results.report.history import History
from simulator.results.report.ledger import TrafficCount
from simulator.results.report.participation import Participation
from simulator.results.report.rendering import render
from simulator.results.report.summary import Summary
from simulator.results.run_directory import RunDirectory


def write_report(run: RunDirectory, sections: Sequence[Section], sources: Sequence[Source] = ()) -> Path:
    """Write ``report.html`` and ``figures/*.svg`` into the directory of ``run``; the same run gives the same bytes.

    Args:
        run: a run that has ended, in whatever way.
        sections: what the run's methods and audits have to say of it.
        sources: of the parts that it is made of.

    Returns:
        The path of ``report.html``, which needs no other file.

    Raises:
        InputError: the run directory is damaged.
    """
    provenance = run.read_json("provenance.json", PROVENANCE)
    history = History.of(run, sections) if run.topology.num_nodes <= MOST_NODES else None
    if history:
        history.count(run.messages())
    ledger = TrafficCount.of(run.traffic())
    summary = Summary.of(run, ledger, provenance)
    verdict = [*Participation.of(run).sentences(), *attackers.sentences(run), *summary.sentences()]
    content = [
        *_chapters(run, sections, ledger, history, summary, provenance),
        *_papers(sources),
        chapters.origin(provenance),
    ]
    _save_figures(run.path / "figures", content)
    page = render(
        "report.html",
        content,
        experiment=run.experiment,
        status=summary.status,
        started=provenance.get("started"),
        verdict=verdict,
        tiles=summary.tiles(),
    )
    path = run.path / "report.html"
    atomic.write(path, page)
    return path


def _chapters(
    run: RunDirectory,
    sections: Sequence[Section],
    ledger: TrafficCount,
    history: History | None,
    summary: Summary,
    provenance: Mapping[str, Any],
) -> list[Chapter]:
    scores = chapters.final(run, run.headline.of_node)
    return [
        chapters.training(run),
        chapters.network(run, scores, history),
        *chapters.failures(run, ledger),
        *Participation.of(run).chapters(),
        *chapters.refusals(run),
        *attackers.chapters(run),
        *(chapters.contributed(number, section) for number, section in enumerate(sections, 1)),
        chapters.nodes(run, scores, ledger),
        chapters.data(run),
        *agreement.statistics(run),
        chapters.traffic(ledger, provenance.get("carried", {}), agreement.exchanged(run)),
        chapters.setting(run),
        chapters.timing(run, summary.node_steps_a_second),
    ]


def _papers(sources: Sequence[Source]) -> Iterator[Chapter]:
    if sources:
        yield Chapter("Papers", ("What this run is made of, and where it is from.",), sources=sources)


def _save_figures(folder: Path, content: Sequence[Chapter]) -> None:
    folder.mkdir(exist_ok=True)
    for chapter in content:
        for picture in chapter.pictures:
            atomic.write(folder / f"{picture.name}.svg", picture.svg)
