"""The comparison of ticked runs: the page that ``rumormill compare --html`` writes, made when it is asked for."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from simulator.ui.desk import desk_of, page
from simulator.ui.guard import OF_A_RUN


def show(request: Request) -> Response:
    """The runs that are named, as often as there is ``run`` in the address, with further figures ``metric``."""
    found = {run.directory: run for run in desk_of(request).folder.runs()}
    named = list(dict.fromkeys(request.query_params.getlist("run")))
    runs = [found[name] for name in named if name in found]
    chosen = [name for name in request.query_params.getlist("metric") if name]
    asked = [*(("run", run.directory) for run in runs), *(("metric", name) for name in chosen)]
    return page(
        request,
        "comparison.html",
        runs=runs,
        gone=[name for name in named if name not in found],
        chosen=chosen,
        address=f"/compare/page.html?{urlencode(asked)}",
        metrics=sorted({name for run in runs for name in run.figures}),
    )


def compared(request: Request) -> Response:
    """The comparison itself, as a page that has no rights here."""
    from simulator.results.comparison import compare, write_html  # matplotlib takes half a second
    from simulator.results.run_directory import RunDirectory

    desk = desk_of(request)
    runs = [RunDirectory(desk.run(name).path) for name in dict.fromkeys(request.query_params.getlist("run"))]
    metrics = [name for name in request.query_params.getlist("metric") if name]
    with desk.drawing, TemporaryDirectory() as folder:
        file = write_html(compare(runs, metrics), Path(folder) / "comparison.html")
        return HTMLResponse(file.read_text(encoding="utf-8"), headers=OF_A_RUN)
