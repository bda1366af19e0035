"""Approving an experiment: one more entry in the policy's file, in which all else stays as its owner wrote it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from simulator.core import atomic
from simulator.core.errors import InputError, wrong
from simulator.deployment.site.policy import Approval, SitePolicy
from simulator.deployment.site.policy_file import read_policy

HEADER = re.compile(r"^experiments:[ \t]*(\[\])?[ \t]*(#.*)?$", re.MULTILINE)


def approve(path: Path, approval: Approval) -> None:
    """Add ``approval`` to the policy at ``path``.

    Raises:
        InputError: there is no policy, or its list of experiments is written in a way that is not added to.
    """
    before, text = read_policy(path), path.read_text(encoding="utf-8")
    entry = (
        f"{{{', '.join(f'{name}: {json.dumps(value)}' for name, value in approval.model_dump(mode='json').items())}}}"
    )
    changed = _with_entry(text, entry)
    with atomic.drafted(path) as draft:
        draft.write_text(changed, encoding="utf-8")
        shutil.copymode(path, draft)
        if not _adds(draft, before, approval):
            advice = f"Write it there yourself: - {entry}"
            raise wrong(f"{path}: experiments", "is written in a way that nothing can be added to.", advice)


def _adds(draft: Path, before: SitePolicy, approval: Approval) -> bool:
    """Whether ``draft`` is the policy that there was before, and ``approval``."""
    try:
        after = read_policy(draft)
    except InputError:
        return False
    same = after.model_copy(update={"experiments": before.experiments}) == before
    return same and after.experiments == [approval, *before.experiments]


def _with_entry(text: str, entry: str) -> str:
    """As the first of the list, indented as the others are, or in a new list at the end."""
    if not (header := HEADER.search(text)):
        return f"{text.rstrip()}\nexperiments:\n  - {entry}\n"
    rest = text[header.end() :]
    item = re.match(r"(?:[ \t]*(?:#.*)?\n)*([ \t]*)- ", rest)
    indent = item[1] if item and not header[1] else "  "
    return f"{text[: header.start()]}experiments:\n{indent}- {entry}{rest}"
