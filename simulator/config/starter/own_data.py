"""What somebody's own data are: images in folders, a table, or texts; of one place or by site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from simulator.config.parsing import load_part
from simulator.core.errors import InputError, did_you_mean, wrong
from simulator.data.alike import pairs, told_alike
from simulator.data.dataset import DATASETS, ArrayData
from simulator.data.image_tree import pictures, test_classes, training_classes
from simulator.data.tabular.frames import read_columns
from simulator.data.tabular.reading import SUFFIXES

Kind = Literal["images", "table", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
FOLDER = "folder"  # what tells sites apart: each folder of images is one


@dataclass(frozen=True)
class OwnData:
    """What is to be known of the data to write an experiment for them.

    Attributes:
        kind: of the samples.
        dataset: the block ``data.dataset``.
        samples: how many there are to train on.
        classes: their names; empty where something else is predicted.
        sites: the names of the sites that the data name; empty for none.
        has_test: whether samples to test with, the same for all nodes, are among them or held back.
        fractional: whether targets are quantities.
        notes: what is doubtful about them, as far as they were looked at.
    """

    kind: Kind
    dataset: dict[str, Any]
    samples: int
    classes: tuple[str, ...]
    sites: tuple[str, ...]
    has_test: bool
    fractional: bool = False
    notes: tuple[str, ...] = ()


def kind_of(path: Path) -> Kind:
    """What the file or folder at ``path`` holds, by the names of the files.

    Raises:
        InputError: there is no such file or folder, or names do not tell.
    """
    if not path.exists():
        raise wrong("--data", f"there is no {path}.", "Give a file or a folder.")
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return "table"
    if path.is_dir():
        names = {each.suffix.lower() for each in path.iterdir() if each.is_file()}
        if names & set(SUFFIXES):
            return "table"
        if pictures(path.rglob("*"), path):
            return "images"
        if any(path.rglob("*.txt")):
            return "text"
    what = f"{path} holds neither images in folders, nor {', '.join(SUFFIXES)} or .txt files."
    raise wrong("--data", what, f"Give another one; or say what it is: --kind, one of {', '.join(KINDS)}.")


def columns_of(path: Path, settings: Mapping[str, Any] = NO_SETTINGS) -> list[str]:
    """The names of the columns of a table, or of the first of several, read under ``settings`` of the data set.

    Raises:
        InputError: it cannot be read.
    """
    files = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    ways = {name: settings[name] for name in ("separator", "decimal") if name in settings}
    return list(read_columns(files[:1], missing=(), **ways)[0])


def look(
    kind: Kind,
    path: Path,
    target: str | None,
    text: str | None,
    site: str | None,
    settings: Mapping[str, Any] = NO_SETTINGS,
) -> OwnData:
    """Look at the data.

    Args:
        kind: what they are.
        path: where they are, absolute.
        target: the column that is predicted; of texts, None for the next token; of images, folders are classes.
        text: the column with the text, where texts are not files of their own.
        site: the column that says where a sample comes from, "file" or "folder"; of a table in several files, each file
            is a site anyway.
        settings: others of the data set, by name.

    Raises:
        InputError: they cannot be read as what they are said to be; placed under the options of the command line.
    """
    if kind == "images":
        return _images(path, site, settings)
    if kind == "table" and target is None:
        known = columns_of(path, settings)
        raise wrong("--target", "is missing: which column is to be predicted?", f"Columns: {', '.join(known)}.")
    given = {"path": str(path), "target": target, "text": text, "site": site}
    block: dict[str, Any] = {
        "name": kind,
        **{name: value for name, value in given.items() if value is not None},
        **settings,
    }
    found = _read(block)
    if found.sites is not None:
        block |= {"site": site or "file", "test": None}
    assert found.y_train is not None  # both kinds have targets
    return OwnData(
        kind=kind,
        dataset=block,
        samples=len(found.y_train),
        classes=found.class_names if found.y_train.dtype.kind == "i" else (),
        sites=found.site_names if found.sites is not None else (),
        has_test=found.sites is None,
        fractional=found.y_train.dtype.kind == "f",
        notes=(*found.notes, *told_alike(found)),
    )


def _read(block: dict[str, Any]) -> ArrayData:
    try:
        return DATASETS.build(load_part(DATASETS, block)).load(Path())
    except InputError as error:
        raise error.under(f"--data ({block['name']})") from error


def _images(path: Path, site: str | None, settings: Mapping[str, Any]) -> OwnData:
    """Without a look at their pixels, which takes long."""
    if not path.is_dir():
        raise wrong("--data", f"{path} is no folder.", "Give a folder with images in folders, one a class.")
    if site not in (None, FOLDER):
        raise wrong("--site", f"of images, '{site}' does not tell sites apart.", did_you_mean(site, [FOLDER], "values"))
    trees = sorted(each for each in path.iterdir() if each.is_dir()) if site else [path]
    found = [training_classes(tree) for tree in trees]
    classes = tuple(sorted({name for by_class in found for name in by_class}))
    if not classes:
        raise wrong("--data", f"{path} has no folders with images in them.", "Put images into folders, one a class.")
    sites = tuple(tree.name for tree in trees) if site else ()
    return OwnData(
        kind="images",
        dataset={
            "name": "image_folder",
            "path": str(path),
            "size": 32,
            **({"sites": True} if site else {}),
            **settings,
        },
        samples=sum(len(images) for by_class in found for images in by_class.values()),
        classes=classes,
        sites=sites,
        has_test=not site and bool(test_classes(path, classes)),
        notes=(*pairs("classes", classes), *pairs("sites", sites)),
    )
