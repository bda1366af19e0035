"""Clean-up: what `rumormill clean` would delete is shown, ticked and then deleted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from simulator.core.errors import InputError
from simulator.results.runs_folder.cleanup import Plan, Removal, Wish, plan, remove
from simulator.ui.desk import Desk, desk_of, page
from simulator.ui.guard import read_form

FLAGS = ("failed", "checkpoints", "recordings", "audited")


def show(request: Request) -> Response:
    """What would go by the wish in the address; nothing is touched."""
    return _page(request, _wish(request.query_params))


async def delete(request: Request) -> Response:
    """Delete what was ticked, as far as it may go still, and show what is left."""
    desk = desk_of(request)
    fields = await read_form(request, desk.form_token)
    ticked = {value for name, value in fields if name == "path"}
    if dict(fields).get("sure") != "yes":
        raise HTTPException(422, "Nothing was deleted: tick the box beside the button first.")
    return await run_in_threadpool(_deleted, request, desk, _wish(dict(fields)), ticked)


def _deleted(request: Request, desk: Desk, wish: Wish, ticked: set[str]) -> Response:
    gone, errors = list[Removal](), list[str]()
    for removal in plan(desk.folder, wish).removals:
        if _key(removal) in ticked:
            try:
                remove(removal, wish.audited)
                gone.append(removal)
            except InputError as error:
                errors.append(str(error))
    return _page(request, wish, gone, errors)


def _page(request: Request, wish: Wish, gone: list[Removal] | None = None, errors: list[str] | None = None) -> Response:
    asked = wish != Wish(audited=wish.audited)
    found = plan(desk_of(request).folder, wish) if asked else Plan((), ())
    rows = [(_key(removal), removal) for removal in found.removals]
    return page(
        request, "cleanup.html", wish=wish, asked=asked, plan=found, rows=rows, gone=gone or [], errors=errors or []
    )


def _wish(given: Mapping[str, str]) -> Wish:
    """Without any, nothing is wished for."""
    keep = given.get("keep", "").strip()
    if keep and (not keep.isdecimal() or len(keep) > 9):
        raise HTTPException(422, f"'{keep}' is no number of runs.")
    return Wish(keep=int(keep) if keep else None, **{flag: given.get(flag) == "on" for flag in FLAGS})


def _key(removal: Removal) -> str:
    """What a box is called: the path in the folder, as text that no other has and that can be written anywhere."""
    name = quote(os.fsencode(removal.run.name))
    return name if removal.path == removal.run else f"{name}/{removal.path.name}"
