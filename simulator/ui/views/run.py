"""One run: how far it is, its curves while they grow, its audits, its report, and what is on the disk."""

from __future__ import annotations

from math import isfinite

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from simulator.results.places import EXPERIMENT
from simulator.results.runs_folder.summary import RunSummary
from simulator.ui.desk import GONE, desk_of, page
from simulator.ui.guard import OF_A_RUN, WITH_CHARTS

EVERY = 2  # seconds, while it is running
LONGEST = 200_000  # characters of an experiment that are shown
POINTS = 2_000  # of a curve, that are shown
REPORT = "report.html"


def show(request: Request) -> Response:
    """Everything about the run, with its score or the ``metric`` that is asked for over rounds."""
    run = desk_of(request).run(request.path_params["directory"])
    chosen = request.query_params.get("metric", "")
    return page(
        request,
        "run.html",
        refresh=EVERY if run.holder else 0,
        headers=WITH_CHARTS,
        run=run,
        metric=chosen if chosen in run.figures else "",
        metrics=sorted(name for name in run.figures if not name.startswith("audit/")),
        place=str(run.path.absolute()).encode(errors="replace").decode(),
        experiment=_text(run),
        report=(run.path / REPORT).is_file(),
    )


def report(request: Request) -> Response:
    """Its report, as a page that has no rights here."""
    run = desk_of(request).run(request.path_params["directory"])
    file = run.path / REPORT
    if not file.is_file() or not file.resolve().is_relative_to(run.path.resolve()):
        raise HTTPException(404, "This run has no report. Write one: rumormill report RUN.")
    return FileResponse(file, headers=OF_A_RUN, media_type="text/html", stat_result=file.stat())


def curve(request: Request) -> Response:
    """Its score, of the mean node, the worst, the best and of the consensus model, or a ``metric``: a line chart."""
    desk = desk_of(request)
    run = desk.run(request.path_params["directory"])
    try:
        found = desk.curves(run).read()
    except FileNotFoundError as error:
        raise HTTPException(404, GONE) from error
    headline = run.headline
    of_score = {"mean node": headline.mean, "worst node": headline.worst, "best node": headline.best}
    of_score["consensus model"] = headline.consensus
    metric = request.query_params.get("metric", "")
    shown = {metric: metric} if metric else of_score
    scale, label = (1, metric) if metric else (headline.scale, headline.label)
    series = [{"name": name, **_thinned(found[of], scale)} for name, of in shown.items() if len(found.get(of, {})) > 0]
    title = f"{metric or f'Test {headline.words}'} over rounds"
    fixed = {"kind": "lines", "title": title, "x": "round", "y": label, "log": "", "points": False, "bands": []}
    return JSONResponse({**fixed, "series": series})


def _thinned(curve: dict[int, float], scale: float) -> dict[str, list[float | int | None]]:
    """Not more points than can be told apart, the last one always among them."""
    rounds = sorted(curve)
    step = -(-len(rounds) // POINTS)
    kept = rounds[::-1][::step][::-1]
    return {"x": list(kept), "y": [scale * curve[r] if isfinite(curve[r]) else None for r in kept]}


def _text(run: RunSummary) -> str:
    with (run.path / EXPERIMENT).open(encoding="utf-8", errors="replace") as file:
        return file.read(LONGEST)
