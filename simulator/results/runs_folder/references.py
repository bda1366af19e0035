"""Which runs others need: those that coresets are chosen by, and those whose first rounds a sweep's runs share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from simulator.core.errors import InputError
from simulator.results.places import EXPERIMENT, runs_in
from simulator.results.runs_folder.experiment_head import blocks

NO_CORESET = re.compile(r"^  subset: null$", re.MULTILINE)


def coreset_sources(folder: Path) -> Mapping[Path, str]:
    """By resolved path, the runs whose scores choose a coreset (``data.subset.run``), and a run that trains on it.

    Asked are the runs in ``folder``, beside it, and in the folders beside it: such a setting names a folder of runs as
    often as a run, mostly relative to where the command was typed.
    """
    above = folder.resolve().parent
    sources: dict[Path, str] = {}
    for path in [*runs_in(above), *(run for sibling in _folders(above) for run in runs_in(sibling))]:
        named = _coreset_of(path)
        for place in _places(named, folder.resolve()) if named else ():
            for source in [place] if (place / EXPERIMENT).exists() else runs_in(place):
                sources.setdefault(source.resolve(), path.name)
    return sources


def lends_rounds(run: Path) -> bool:
    """Whether ``run`` keeps a checkpoint that other runs of its sweep can start from."""
    with suppress(OSError, ValueError, InputError, TypeError):
        checkpoint = _block(run, "checkpoint")
        return bool(isinstance(checkpoint, Mapping) and checkpoint.get("rounds"))
    return True  # it cannot be told


def _coreset_of(run: Path) -> str | None:
    with suppress(OSError, ValueError, InputError, TypeError):
        if NO_CORESET.search((run / EXPERIMENT).read_text(encoding="utf-8")):
            return None
        data = _block(run, "data")
        subset = data.get("subset") if isinstance(data, Mapping) else None
        return str(subset["run"]) if isinstance(subset, Mapping) and "run" in subset else None
    return None


def _block(run: Path, name: str) -> Any:
    file = run / EXPERIMENT
    return blocks(file.read_text(encoding="utf-8"), (name,), str(file)).get(name)


def _places(named: str, folder: Path) -> Iterator[Path]:
    """Where the path ``named`` may lead: from here, and from ``folder`` and the folders it lies in."""
    with suppress(OSError, RuntimeError, ValueError):
        path = Path(named).expanduser()
        yield from (root / path for root in (Path(), folder, *folder.parents) if (root / path).is_dir())


def _folders(above: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in above.iterdir() if path.is_dir() and not path.name.startswith("."))
    return []
