"""The figures of a comparison as files of their own, for papers and slides."""

from __future__ import annotations

from pathlib import Path

from simulator.core import atomic
from simulator.core.errors import wrong
from simulator.results.comparison.figures import pictures
from simulator.results.comparison.table import Comparison


def write_figures(comparison: Comparison, folder: Path, kind: str) -> list[Path]:
    """Write each figure of ``comparison`` into ``folder``, which is made where there is none.

    Args:
        comparison: its figures are those of the page.
        folder: where they go.
        kind: "pdf", "svg" or "png".

    Returns:
        The files.

    Raises:
        InputError: no run is finished, so that there is nothing to draw, or the folder cannot be written into.
    """
    drawn = pictures(comparison.groups, comparison.metrics)
    if not drawn:
        raise wrong("--figures", "no run is finished: there is nothing to draw.", "Wait, or give other runs.")
    files = [folder / f"{picture.name}.{kind}" for picture in drawn]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, picture in zip(files, drawn, strict=True):
            atomic.write(file, picture.file(kind))
    except OSError as error:
        what = f"cannot be written into: {error.strerror}."
        raise wrong(str(folder), what, "Choose another folder with --figures.") from error
    return files
