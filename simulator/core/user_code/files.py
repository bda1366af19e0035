"""Files of a user's own: read once, known by the hash of their text, and kept with a run.

A file may import others from its folder (``import helper``, ``from helper import ...``, ``from .helper import ...``);
they go where it goes, and their text counts for its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from simulator.core.errors import wrong
from simulator.core.paths import located
from simulator.core.user_code.imports import imported, parsed

CODE = "code"  # the folder of a run, or of a deployment's node, with the user's files


@dataclass(frozen=True, eq=False)
class UserFile:
    """The text of a file, and the files of its folder that it imports.

    Attributes:
        name: without the folder.
        text: as it was read.
        beside: by the name that they are imported under.
    """

    name: str
    text: str
    beside: Mapping[str, UserFile]

    @cached_property
    def hash(self) -> str:
        """Identifies the text and, through it, all that is imported from beside it: 16 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=8)
        for each in (self.name, self.text, *(f"{name} {self.beside[name].hash}" for name in sorted(self.beside))):
            digest.update(len(each.encode()).to_bytes(8, "little") + each.encode())
        return digest.hexdigest()

    @property
    def shown(self) -> str:
        """What names and tracebacks call it."""
        return f"{self.name}@{self.hash}"

    @property
    def module(self) -> str:
        """The name of its module, the same in every process."""
        return f"{self.name.removesuffix('.py')}_{self.hash}"

    def all(self) -> Iterator[UserFile]:
        """The file and all that it needs, those first; one that is needed twice comes twice."""
        for other in self.beside.values():
            yield from other.all()
        yield self


KNOWN: dict[str, UserFile] = {}  # by hash: the files that this process has read or been sent


def read(path: Path, within: tuple[Path, ...] = ()) -> UserFile:
    """The file at ``path`` with all that it imports from its folder; from then on it is `KNOWN`.

    Args:
        path: of a Python file.
        within: files that are being read, each of which imports the next.

    Raises:
        InputError: it, or a file that it imports, is not there, is no Python, or cannot be carried along.
    """
    if path in within:
        names = " -> ".join(each.name for each in (*within[within.index(path) :], path))
        raise wrong(path.name, f"files import each other in a circle: {names}.", "Put them into one file.")
    text = _text(path)
    beside = imported(parsed(text, path.name), path)
    file = UserFile(path.name, text, {name: read(path.parent / f"{name}.py", (*within, path)) for name in beside})
    return KNOWN.setdefault(file.hash, file)


def found(folder: Path, name: str, wanted: str | None) -> UserFile:
    """The file ``name`` as seen from ``folder``; where ``wanted`` is a hash, the one that has it.

    Raises:
        InputError: it is not there, cannot be read, or is another one by now.
    """
    if wanted and wanted in KNOWN:
        return KNOWN[wanted]
    path = located(Path(name), folder, where=name)
    kept = folder / CODE / path.name
    file = read(kept if wanted and kept.is_file() else path)
    if wanted and file.hash != wanted:
        what = f"has been changed: its text, or that of a file that it imports, is not the {wanted} that is named here."
        advice = f"Put the text back; or leave @{wanted} out, and what is run is another experiment."
        raise wrong(name, what, advice)
    return file


def texts(files: Iterable[UserFile]) -> dict[str, str]:
    """By name, the text of ``files`` and of all that they import.

    Raises:
        InputError: two of them share a name.
    """
    found = dict[str, str]()
    for file in (each for top in files for each in top.all()):
        if found.setdefault(file.name, file.text) != file.text:
            raise _same_name(file.name)
    return found


def keep(files: Iterable[UserFile], folder: Path) -> None:
    """Write ``files``, and all that they import, into the folder ``code`` of ``folder``.

    Raises:
        InputError: there they would not be what they were, since two of them share a name.
        OSError: they cannot be written.
    """
    tops = list(files)
    for name, text in texts(tops).items():
        (folder / CODE).mkdir(parents=True, exist_ok=True)
        (folder / CODE / name).write_text(text, encoding="utf-8", newline="")
    check_kept(tops, folder)


def check_kept(files: Iterable[UserFile], folder: Path) -> None:
    """Check that ``files`` in the folder ``code`` of ``folder`` are what they were elsewhere.

    Raises:
        InputError: beside one of them lies another now that bears the name of what it imports.
    """
    for file in files:
        now = read(folder / CODE / file.name)
        if now.hash != file.hash:
            raise _same_name(next((f"{name}.py" for name in now.beside if name not in file.beside), file.name))


def _same_name(name: str) -> Exception:
    what = "is the name of two different things, and a run keeps the files of all its parts in one folder."
    return wrong(name, what, "Rename one of them.")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise wrong(path.name, "is not Python: this is no UTF-8 text.", "Save the file as UTF-8.") from error
    except OSError as error:
        others = sorted(file.name for file in path.parent.glob("*.py")) if path.parent.is_dir() else []
        there = f"Python files there: {', '.join(others[:20])}." if others else "There is no Python file there."
        what = f"cannot be read in {path.parent.absolute()}: {error.strerror}."
        raise wrong(path.name, what, f"Correct the path. {there}") from error
