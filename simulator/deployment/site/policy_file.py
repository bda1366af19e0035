"""Where a site's policy stands, and the reasons for which a file is none; without one, nothing starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from simulator.core.errors import InputError, Problem, did_you_mean, wrong
from simulator.core.plain_yaml import read_yaml
from simulator.deployment.files import EXPERIMENT
from simulator.deployment.site.policy import SitePolicy

VARIABLE, DEFAULT = "RUMORMILL_SITE", Path("/etc/rumormill/site.yaml")
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
ADVICE = 'Write one as the documentation says, under "A site\'s policy".'


def policy_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the policy is expected: what ``RUMORMILL_SITE`` says, or else ``/etc/rumormill/site.yaml``."""
    return Path(environment.get(VARIABLE) or DEFAULT)


def read_policy(path: Path, folder: Path | None = None) -> SitePolicy:
    """The policy at ``path``.

    Args:
        path: of the file.
        folder: of a deployment or of a node, in which neither policy nor ledger may stand: others have made it.

    Raises:
        InputError: it is missing, cannot be read, says what a policy does not say, or others can write it.
    """
    _check_place(path, folder, "a policy")
    try:
        text = path.read_text(encoding="utf-8")
        _check_owner(path)
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(str(path), f"there is no site's policy that can be read: {_reason(error)}.", ADVICE) from error
    content = read_yaml(text, path.name).content
    if not isinstance(content, Mapping):
        raise wrong(str(path), "is no site's policy: it holds no settings.", ADVICE)
    try:
        policy = SitePolicy.model_validate(content)
    except ValidationError as error:
        raise InputError(*_problems(path, error)) from error
    _check_place(Path(policy.ledger), folder, "a ledger")
    return policy


def _check_owner(path: Path) -> None:
    """Neither the file, nor the way to it, nor to a link to it, may be others' to write: who can replace it has it.

    Raises:
        InputError: it is.
    """
    if path.resolve().stat().st_mode & OTHERS_WRITE:
        advice = f"Let its owner alone write it: chmod go-w {path}"
        raise wrong(str(path), "a policy that the group or everybody can write is nobody's word.", advice)
    for place in _places(path):
        for distance, folder in enumerate(place.parents):
            mode = folder.stat().st_mode
            if mode & (stat.S_IWOTH if distance else OTHERS_WRITE) and not mode & stat.S_ISVTX:
                what = f"a policy in a folder that others can write can be replaced by them: {folder}."
                raise wrong(str(path), what, f"Let its owner alone write it: chmod go-w {folder}")


def _places(path: Path) -> Iterator[Path]:
    """Where the file is, and where each link on the way to it."""
    place = path.absolute()
    while place.is_symlink():
        yield place
        place = place.parent / place.readlink()
    yield place
    yield path.resolve()


def _check_place(path: Path, folder: Path | None, what: str) -> None:
    if folder is not None and any(each.is_relative_to(_deployment(folder)) for each in (path, path.resolve())):
        said = f"{what} in the deployment's own folder is the word of whoever made that folder."
        raise wrong(str(path), said, f"Put it elsewhere, such as {DEFAULT.parent}.")


def _deployment(folder: Path) -> Path:
    """The folder that `deploy init` wrote, of which ``folder`` may be a node's part."""
    own = folder.resolve()
    whole = own.parents[1] if len(own.parents) > 1 and own.parent.name == "nodes" else own
    return whole if (whole / EXPERIMENT).exists() else own


def _reason(error: Exception) -> str:
    return (error.strerror or "it cannot be opened") if isinstance(error, OSError) else "it is no UTF-8 text"


def _problems(path: Path, error: ValidationError) -> list[Problem]:
    """One a place: of a setting of several kinds, pydantic says of each why it is not."""
    found: dict[str, Problem] = {}
    for detail in error.errors():
        keys = [str(key) for key in detail["loc"] if isinstance(key, int) or str(key).isidentifier()]
        where = f"{path.name}: {'.'.join(key for key in keys if key not in ('list', 'float', 'int', 'str'))}"
        if detail["type"] == "extra_forbidden":
            advice = did_you_mean(keys[-1], _known(keys[:-1]), "settings")
            found[where] = Problem(where, "a policy has no such setting.", advice)
        else:
            what = detail["msg"].removeprefix("Value error, ")
            found.setdefault(where, Problem(where, f"{what[0].lower()}{what[1:]}.", "Correct it."))
    return list(found.values())


def _known(keys: list[str]) -> list[str]:
    block = SitePolicy.model_fields.get(keys[0]) if keys else None
    fields = getattr(block.annotation, "model_fields", {}) if block else SitePolicy.model_fields
    return list(fields)
