"""The list of runs: searched, sorted, and ticked for a comparison."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from simulator.core.errors import InputError
from simulator.results.runs_folder.folder import matching, metric_names, ordered
from simulator.results.runs_folder.summary import COLUMNS
from simulator.ui.desk import desk_of, page

EVERY, SELDOM = 3, 15  # seconds, while a run is running and while none is: others may start


def show(request: Request) -> Response:
    """All runs, or those that have the words ``q``, by the figure ``sort``, the largest first unless ``order=asc``."""
    found = desk_of(request).folder.runs()
    words, sort = request.query_params.get("q", ""), request.query_params.get("sort", "")
    ascending = request.query_params.get("order") == "asc"
    runs, problem = matching(found, words), ""
    try:
        runs = ordered(runs, sort, ascending) if sort and runs else runs[::-1]  # the latest first
    except InputError as error:
        problem, sort = error.problems[0].what, ""
    return page(
        request,
        "listing.html",
        refresh=EVERY if any(run.holder for run in found) else SELDOM,
        runs=runs,
        total=len(found),
        size=sum(run.size for run in found),
        q=words,
        sort=sort,
        ascending=ascending,
        problem=problem,
        metrics=metric_names(found),
        columns=[*COLUMNS, *([sort] if sort and sort not in COLUMNS else [])],
    )
