"""Where each site's data lie, and how they are read: by the schema, one site at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simulator.core.errors import InputError, Problem, wrong
from simulator.core.paths import located, place
from simulator.core.samples import Samples
from simulator.data.common import samples_of
from simulator.data.dataset import DATASETS, ArrayData
from simulator.data.settings import DataSettings
from simulator.data.sites.settings import SitesSettings
from simulator.data.targets import shortened


def paths_of(settings: DataSettings) -> dict[int, Path]:
    """Where the data of all sites lie in a simulation, by node; none is opened, and where there are no sites, none is.

    Raises:
        InputError: naming every site that has no file or folder there, or several.
    """
    if settings.sites is None:
        return {}
    folder = simulated_folder(settings)
    suffixes = DATASETS.load(settings.dataset.name).site_suffixes or ()
    found = {name: list(_candidates(folder, name, suffixes)) for name in settings.sites.names}
    problems = [
        Problem("data.dataset.path", f"{folder} has {_how_many(paths)} the site {name}.", _advice(name, suffixes))
        for name, paths in found.items()
        if len(paths) != 1
    ]
    if problems:
        raise InputError(*problems)
    return {node: found[name][0] for node, name in enumerate(settings.sites.names)}


def unnamed(settings: DataSettings) -> Iterator[str]:
    """Which files and folders beside those of the sites, and what all are tested on, are not read in a simulation."""
    if settings.sites is None:
        return
    tested = settings.sites.test and located(settings.sites.test, located(settings.root, where="data.root")).resolve()
    folder, suffixes = simulated_folder(settings), DATASETS.load(settings.dataset.name).site_suffixes or ()
    known = {path.name for name in settings.sites.names for path in _candidates(folder, name, suffixes)}
    others = [
        path.name
        for path in sorted(folder.iterdir())
        if path.name not in known
        and not path.name.startswith(".")
        and (path.is_dir() or path.suffix in suffixes)
        and not (tested and tested.is_relative_to(path.resolve()))
    ]
    if others:
        yield f"{shortened(others)} in {folder} belong to none of data.sites.names, and are not read"


def simulated_folder(settings: DataSettings) -> Path:
    """The folder ``data.dataset.path``, in which a simulation finds all sites.

    Raises:
        InputError: it is none.
    """
    path = getattr(settings.dataset, "path", None)
    if not isinstance(path, Path):
        what = "names several files, and the sites' data lie in one folder, each under its name."
        raise wrong("data.dataset.path", what, "Name that folder.")
    folder = place(path, located(settings.root, where="data.root"), "data.dataset.path")
    if not folder.is_dir():
        what = f"{folder} is no folder, and holds no files of sites."
        raise wrong("data.dataset.path", what, "Give each site a file of its name in a folder, and name that.")
    return folder


def read(settings: DataSettings, sites: SitesSettings, path: Path) -> ArrayData:
    """The data of one site, which lie at ``path``.

    Raises:
        InputError: there are none, or they are not what the schema says.
    """
    if not path.exists():
        raise wrong("", f"there is no file or folder {path}.", "Correct its path.")
    data = DATASETS.build(settings.dataset).of_site(path, sites.data_schema)
    data.validate()
    return data


def open_common_test(settings: DataSettings, sites: SitesSettings) -> tuple[Samples | None, list[str]]:
    """What all nodes are tested on, if they are, with notes on how it was read.

    Raises:
        InputError: there is no such file, or it is not what the schema says.
    """
    if sites.test is None:
        return None, []
    try:
        data = read(settings, sites, place(sites.test, located(settings.root, where="data.root"), ""))
    except InputError as error:
        raise error.under("data.sites.test") from error
    return samples_of(data.x_train, data.y_train), [f"common test set: {note}" for note in data.notes]


def _candidates(folder: Path, name: str, suffixes: tuple[str, ...]) -> Iterator[Path]:
    if (folder / name).is_dir():
        yield folder / name
    yield from (file for suffix in suffixes if (file := folder / f"{name}{suffix}").is_file())


def _how_many(paths: list[Path]) -> str:
    return f"{' and '.join(path.name for path in paths)} for" if paths else "neither file nor folder for"


def _advice(name: str, suffixes: tuple[str, ...]) -> str:
    files = "".join(f" or {name}{suffix}" for suffix in suffixes)
    return f"Give it one: the folder {name}/{files}."
