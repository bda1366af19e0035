"""What is where: the addresses of the views, and how mistakes are answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from simulator.core.errors import RumormillError
from simulator.results.runs_folder.folder import RunsFolder
from simulator.ui.desk import Desk, page
from simulator.ui.guard import Guard, form_token
from simulator.ui.views import audits, cleanup, comparison, listing, run

HERE = Path(__file__).parent


def application(folder: RunsFolder, token: str, port: int) -> Guard:
    """The pages over ``folder`` as an ASGI application, for requests to ``port`` that know the ``token``."""
    desk = Desk(folder, form_token(token))

    @asynccontextmanager
    async def working(app: Starlette) -> AsyncIterator[None]:
        async with desk.jobs.working():
            yield

    routes = [
        Route("/", listing.show),
        Route("/runs/{directory}", run.show),
        Route("/runs/{directory}/report.html", run.report),
        Route("/runs/{directory}/curve.json", run.curve),
        Route("/compare", comparison.show),
        Route("/compare/page.html", comparison.compared),
        Route("/audits", audits.show),
        Route("/audits", audits.start, methods=["POST"]),
        Route("/audits/{number:int}", audits.follow),
        Route("/audits/{number:int}/cancel", audits.cancel, methods=["POST"]),
        Route("/cleanup", cleanup.show),
        Route("/cleanup", cleanup.delete, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        Mount("/assets", StaticFiles(directory=HERE.parent / "results" / "assets")),
    ]
    app = Starlette(
        routes=routes,
        lifespan=working,
        exception_handlers={HTTPException: _refused, RumormillError: _wrong, OSError: _unreadable, 500: _unforeseen},
    )
    app.state.desk = desk
    return Guard(app, token, port)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _told(request, error.status_code, error.detail)


def _wrong(request: Request, error: Exception) -> Response:
    return _told(request, 422, str(error))


def _unreadable(request: Request, error: Exception) -> Response:
    """As of a run that is deleted while it is read."""
    assert isinstance(error, OSError)
    return _told(request, 404, f"{error.strerror}: {error.filename}" if error.filename else str(error))


def _unforeseen(request: Request, error: Exception) -> Response:
    return _told(request, 500, f"{type(error).__name__}: {error}")


def _told(request: Request, status: int, what: str) -> Response:
    return page(request, "problem.html", status, what=what)
