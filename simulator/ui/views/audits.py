"""Audits, started from the page and followed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from simulator.listing import LISTED
from simulator.ui.desk import Desk, desk_of, page
from simulator.ui.guard import read_form
from simulator.ui.jobs import Job

EVERY = 2  # seconds, while one is waiting or running
SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*=.*", re.DOTALL)
MOST = 10_000  # replicas


async def show(request: Request) -> Response:
    """The queue, and a form that puts an audit of the ``run`` that is named into it."""
    desk = desk_of(request)
    runs = await run_in_threadpool(desk.folder.runs)
    return page(
        request,
        "audits.html",
        refresh=EVERY if any(not job.over for job in desk.jobs.all) else 0,
        jobs=desk.jobs.all[::-1],
        runs=[run for run in reversed(runs) if run.state in ("finished", "stopped")],
        chosen=request.query_params.get("run", ""),
        kinds=await run_in_threadpool(_kinds),
    )


async def start(request: Request) -> Response:
    """Put an audit into the queue, and go on to its page."""
    desk = desk_of(request)
    fields = dict(await read_form(request, desk.form_token))
    run = await run_in_threadpool(desk.run, fields.get("run", ""))
    name, replicas = fields.get("audit", ""), fields.get("replicas", "") or "0"
    if name not in await run_in_threadpool(_kinds):
        raise HTTPException(422, f"There is no audit '{name}'.")
    if not replicas.isdecimal() or int(replicas) > MOST:
        raise HTTPException(422, f"'{replicas}' is no number of replicas.")
    settings = _settings(fields.get("settings", ""))
    options = ["--audit", name, *(["--replicas", replicas] if int(replicas) else [])]
    title = " ".join([name, *([f"replicas={replicas}"] if int(replicas) else []), *settings])
    job = desk.jobs.add(run.directory, title, ["audit", *options, "--", str(run.path.absolute()), *settings])
    return RedirectResponse(f"/audits/{job.number}", 303)


async def follow(request: Request) -> Response:
    """One audit: its state, and what it says."""
    job = _job(desk_of(request), request)
    return page(request, "audit.html", refresh=0 if job.over else EVERY, job=job)


async def cancel(request: Request) -> Response:
    """End an audit, and show what it came to."""
    desk = desk_of(request)
    await read_form(request, desk.form_token)
    job = _job(desk, request)
    await desk.jobs.cancel(job)
    return RedirectResponse(f"/audits/{job.number}", 303)


def _job(desk: Desk, request: Request) -> Job:
    if found := desk.jobs.job(request.path_params["number"]):
        return found
    raise HTTPException(404, "There is no such audit. Those that were started before this page was are in their runs.")


def _settings(text: str) -> list[str]:
    """What is typed as further settings, each as "name=value".

    Raises:
        HTTPException: it is something else.
    """
    try:
        settings = shlex.split(text)
    except ValueError as error:
        raise HTTPException(422, f"The settings cannot be read: {error}.") from error
    for setting in settings:
        if not SETTING.fullmatch(setting):
            raise HTTPException(422, f"'{setting}' is no setting: write it as samples=200.")
    return settings


@cache
def _kinds() -> Mapping[str, str]:
    """The audits that are installed, and what each asks."""
    return LISTED["audits"]()
