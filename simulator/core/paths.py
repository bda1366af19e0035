"""Paths that a person gives: home folders resolved, and what no file can be called refused."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from simulator.core.errors import wrong

PACKAGE = "package:"
_ADVICE = "Correct the path."


def located(path: Path, root: Path | None = None, where: str = "path") -> Path:
    """``path``, below ``root`` unless absolute, with a leading ~ resolved; there need not be anything.

    Raises:
        InputError: there is no such user, a name is too long or no text, or a folder on the way may not be read; placed
            under ``where``.
    """
    try:
        full = (root.expanduser() if root else Path()) / path.expanduser()
        str(full).encode()
        full.exists()
    except UnicodeEncodeError as error:
        raise wrong(where, f"{str(path)!r} is not valid UTF-8.", "Rename it.") from error
    except (RuntimeError, ValueError) as error:
        raise wrong(where, f"{str(path)!r} is no path: {str(error).rstrip('.')}.", _ADVICE) from error
    except OSError as error:
        shown = str(path) if len(str(path)) <= 80 else f"{str(path)[:77]}..."
        raise wrong(where, f"{shown} cannot be used: {error.strerror}.", _ADVICE) from error
    return full


def place(path: Path, root: Path | None = None, where: str = "path", below: str = "data.root") -> Path:
    """``path``, absolute or below ``root``, or below a package that is installed: ``package:NAME/FOLDER/FILE``.

    Raises:
        InputError: there is nothing, or no such package; placed under ``where``. The advice calls the root ``below``.
    """
    if str(path).startswith(PACKAGE):
        name, *inside = str(path).removeprefix(PACKAGE).split("/")
        spec = find_spec(name) if name.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise wrong(where, f"there is no package '{name}'.", f"Install it: pip install {name.replace('_', '-')}")
        full = Path(spec.submodule_search_locations[0]).joinpath(*inside)
    else:
        full = located(path, root, where)
    if not full.exists():
        what = f"there is no file or folder {full.absolute()}."
        advice = f"Give an absolute path, one relative to {below}, or package:NAME/FILE."
        if (here := path.absolute()).exists():
            advice = f"Such a path is relative to {below}; what the current folder has of that name is {here}."
        raise wrong(where, what, advice)
    return full


def folder_at(path: Path, root: Path | None = None, where: str = "path") -> Path:
    """The folder that `place` finds.

    Raises:
        InputError: there is none; placed under ``where``.
    """
    found = place(path, root, where)
    if not found.is_dir():
        raise wrong(where, f"{found.absolute()} is a file, and a folder is asked for.", "Name the folder.")
    return found
