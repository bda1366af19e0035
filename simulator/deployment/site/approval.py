"""Which experiment a policy speaks of: the hash of its file and of the code that it names, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.core.errors import wrong
from simulator.core.plain_yaml import read_yaml
from simulator.deployment.files import EXPERIMENT

CODE = "code"  # of a node's folder, as `simulator.core.user_code.files` has it, which is slow to import
ADVICE = "Take the node's folder as `rumormill deploy init` writes it: it puts everything in."


def experiment_hash(folder: Path) -> str:
    """The SHA-256 of ``experiment.yaml`` in a node's ``folder`` and of every file of code beside it, with their names.

    Nothing is left out of it: a blank in a comment makes it another experiment.

    Raises:
        InputError: the experiment is not whole, since it names a file of code or a schema that is elsewhere.
    """
    files = approved(folder)
    _check_whole(folder)
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        for part in (file.name.encode(), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def approved(folder: Path) -> list[Path]:
    """The files in a node's ``folder`` that an approval is of.

    Raises:
        InputError: one of them is a link, or no file: what it leads to is of this host, and not of the experiment.
    """
    code = folder / CODE
    for path in (folder / EXPERIMENT, code, *(files := sorted(code.glob("*.py")))):
        if path.is_symlink() or (path != code and path.exists() and not path.is_file()):
            what = "is no file of its own, and what it leads to is no part of the experiment."
            raise wrong(str(path), what, ADVICE)
    return [folder / EXPERIMENT, *files]


def _check_whole(folder: Path) -> None:
    """What is approved must be all that there is: files that are elsewhere can become others afterwards.

    Raises:
        InputError: it is not.
    """
    content = read_yaml((folder / EXPERIMENT).read_text(encoding="utf-8-sig"), EXPERIMENT).content
    if isinstance(_at(content, "data", "sites", "data_schema"), str):
        what = "names a file, which is no part of what is approved."
        raise wrong(f"{EXPERIMENT}: data.sites.data_schema", what, ADVICE)
    for name in _texts(content):
        if ".py" in name and _is_elsewhere(name, folder):
            what = f"'{name[:200]}' is code that is not in {CODE}/, and so no part of what is approved."
            raise wrong(str(folder / EXPERIMENT), what, ADVICE)


def _is_elsewhere(name: str, folder: Path) -> bool:
    """Whether ``name`` is that of a part in a file of code that would not be read from the folder ``code``."""
    from simulator.core.user_code.names import IN_A_FILE

    match = IN_A_FILE.fullmatch(name)
    return match is not None and not (match["hash"] and (folder / CODE / Path(match["file"]).name).is_file())


def _at(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _texts(content: Any) -> Iterator[str]:
    """All texts in ``content``, however deep."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for each in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(each)
