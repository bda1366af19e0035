"""What all views work with, and how they answer: pages from templates, in which whatever users wrote stays text."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from simulator.results.formatting import megabytes
from simulator.results.runs_folder import words
from simulator.results.runs_folder.folder import RunsFolder
from simulator.results.runs_folder.summary import RunSummary
from simulator.ui.curves import Curves
from simulator.ui.jobs import Jobs

GONE = "There is no such run here. It may have been deleted or renamed since the page was loaded."
ENVIRONMENT = Environment(
    loader=PackageLoader("simulator.ui", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals["words"] = words
ENVIRONMENT.filters["megabytes"] = megabytes
ENVIRONMENT.filters["part"] = lambda text: quote(text, safe="")  # of a path
ENVIRONMENT.filters["query"] = urlencode


@dataclass
class Desk:
    """The folder that is looked at, the audits that were started, and what each form carries."""

    folder: RunsFolder
    form_token: str
    jobs: Jobs = field(default_factory=Jobs)
    drawing: threading.Lock = field(default_factory=threading.Lock)  # pages are compared one at a time
    _curves: dict[str, Curves] = field(default_factory=dict)

    def run(self, directory: str) -> RunSummary:
        """The run of that name.

        Raises:
            HTTPException: there is none.
        """
        if found := self.folder.run(directory):
            return found
        raise HTTPException(404, GONE)

    def curves(self, run: RunSummary) -> Curves:
        """Those of ``run``, as far as they have been read before."""
        return self._curves.setdefault(run.directory, Curves(run.path))


def desk_of(request: Request) -> Desk:
    """The one that belongs to the application."""
    desk: Desk = request.app.state.desk
    return desk


def page(
    request: Request,
    template: str,
    status: int = 200,
    refresh: int = 0,
    headers: Mapping[str, str] | None = None,
    **content: Any,
) -> HTMLResponse:
    """A page of ours.

    Args:
        request: what is answered.
        template: a file in ``templates/``.
        status: of HTTP.
        refresh: seconds after which its live parts are to be asked for again; 0: they stay as they are.
        headers: instead of the guard's.
        content: what the template shows.
    """
    desk = desk_of(request)
    text = ENVIRONMENT.get_template(template).render(
        folder=str(desk.folder.path).encode(errors="replace").decode(),
        here=request.url.path,
        form_token=desk.form_token,
        waiting=sum(not job.over for job in desk.jobs.all),
        refresh=refresh,
        **content,
    )
    return HTMLResponse(text, status, headers)
