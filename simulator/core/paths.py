"""Paths that a person gives: home folders resolved, and what no file can be called refused."""

from __future__ import annotations

from pathlib import Path

from simulator.core.errors import wrong

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
