"""Which files a data set is made of: one, several, or those in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.core.errors import wrong
from simulator.core.paths import place


def files(paths: Path | Sequence[Path], root: Path, suffixes: Sequence[str], where: str = "path") -> list[Path]:
    """The files that ``paths`` speak of; of a folder, those directly inside with one of ``suffixes``, by name.

    Raises:
        InputError: something is not there, a folder holds no such file, or two files share a name without suffix.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, Path) else paths:
        full = place(path, root, where)
        inside = sorted(each for each in full.iterdir() if _fits(each, suffixes)) if full.is_dir() else [full]
        if not inside:
            raise wrong(where, f"{full} holds no file {', '.join(suffixes)}.", "Give a file, or a folder with some.")
        found += inside
    if len({file.stem for file in found}) < len(found):
        again = next(file.stem for number, file in enumerate(found) if file.stem in {f.stem for f in found[:number]})
        raise wrong(where, f"two files are called {again}.", "Each file is a site: give them different names.")
    return found


def _fits(path: Path, suffixes: Sequence[str]) -> bool:
    return path.is_file() and path.suffix.lower() in suffixes and not path.name.startswith(".")
