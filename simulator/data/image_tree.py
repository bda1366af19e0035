"""Which files of a folder are pictures of which class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from simulator.core.errors import wrong
from simulator.data.pictures import SUFFIXES

_TEST_SETS = ("test", "val")
_SPLITS = frozenset({"train", "training", *_TEST_SETS, "testing", "valid", "validation"})


def pictures(paths: Iterable[Path], below: Path) -> list[Path]:
    """The pictures among ``paths``, sorted, without those that are hidden or in a hidden folder ``below``."""
    return sorted(path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file() and _shown(path, below))


def by_class(folder: Path) -> dict[str, list[Path]]:
    """The pictures below each subfolder that holds any, by its name."""
    found = {path.name: pictures(path.rglob("*"), folder) for path in sorted(folder.iterdir()) if path.is_dir()}
    return {name: images for name, images in found.items() if images}


def training_classes(folder: Path) -> dict[str, list[Path]]:
    """The classes in ``train``, or in the folder itself, where a test set may lie beside them.

    Raises:
        InputError: a folder beside the classes is called like a split, and is no test set.
    """
    if (folder / "train").is_dir():
        return by_class(folder / "train")
    found = by_class(folder)
    classes = {name: images for name, images in found.items() if name.lower() not in _SPLITS}
    test_sets = [name for name in _TEST_SETS if name in found and _is_test_set(folder / name, classes)]
    if strange := sorted(found.keys() - classes.keys() - set(test_sets)):
        what = f"{folder / strange[0]} is called like a split, and lies beside folders that may be classes."
        raise wrong("path", what, "Put the classes into train, and test images into test/<class>, or rename it.")
    return classes


def test_classes(folder: Path, classes: Iterable[str]) -> dict[str, list[Path]]:
    """Those of ``test`` or ``val``, the first one that holds nothing but ``classes``; empty if none does."""
    known = set(classes)
    return next((by_class(folder / name) for name in _TEST_SETS if _is_test_set(folder / name, known)), {})


def left_out(folder: Path, used: Iterable[Path]) -> Iterator[str]:
    """What to tell of the files below ``folder`` that are not ``used``."""
    rest = {path for path in folder.rglob("*") if path.is_file()} - set(used)
    if rest:
        kinds = Counter(path.suffix.lower() if _shown(path, folder) else "hidden" for path in rest)
        counts = ", ".join(f"{count:,} {kind or 'without a suffix'}" for kind, count in sorted(kinds.items()))
        yield f"{folder.name}: {len(rest):,} files are no pictures of a class and ignored: {counts}"


def passed_over(folder: Path, classes: Iterable[str]) -> Iterator[str]:
    """What to tell of folders that are neither ``classes`` nor a test set, and may have been meant as such."""
    known, beside = set(classes), (folder / "train").is_dir()
    if not known:
        return
    for path in _folders(folder / "train" if beside else folder):
        if path.name not in known | _SPLITS and not pictures(path.rglob("*"), folder):
            yield f"{path.relative_to(folder)} holds no pictures, and is no class"
    tests = [path for path in _folders(folder) if beside and path.name != "train" and path.name.lower() in _SPLITS]
    is_read = any(path.name in _TEST_SETS and _is_test_set(path, known) for path in tests)
    for path in tests:
        if strange := sorted(by_class(path).keys() - known):
            yield f"{path.name} is no test set, since train has no class {', '.join(strange[:5])}"
        elif not is_read:
            places = " or ".join(_TEST_SETS)
            yield f"{path.name} is no test set: images to test with lie in {places}, in folders of classes"


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and _shown(path, folder))


def _is_test_set(folder: Path, classes: Iterable[str]) -> bool:
    return folder.is_dir() and bool(found := by_class(folder)) and found.keys() <= set(classes)


def _shown(path: Path, below: Path) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(below).parts)
