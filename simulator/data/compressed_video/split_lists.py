"""The published training and test lists of UCF-101 and HMDB-51."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.core.errors import wrong

_HMDB_TRAIN, _HMDB_TEST = "1", "2"
_LAYOUTS = (
    "Expected trainlist01.txt and testlist01.txt (UCF-101), or a file <class>_test_split1.txt for each class (HMDB-51)."
)


@dataclass(frozen=True)
class Split:
    """Clips by path below the data set's folder; the folder that a clip lies in is its class."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]


def read_split(lists: Path, number: int) -> Split:
    """Split ``number`` of whichever of the two data sets has its lists in the folder.

    UCF-101: ``trainlist01.txt`` and ``testlist01.txt`` hold ``<class>/<clip>`` at the beginning of a line. HMDB-51:
    ``<class>_test_split1.txt`` holds ``<clip> 1`` for training, ``2`` for testing, ``0`` for neither.

    Raises:
        InputError: the folder holds neither, or a line cannot be read.
    """
    train, test = (lists / f"{kind}list{number:02}.txt" for kind in ("train", "test"))
    if train.is_file() and test.is_file():
        return Split(tuple(map(Path, _ucf(train))), tuple(map(Path, _ucf(test))))
    ending = f"_test_split{number}.txt"
    files = sorted(lists.glob(f"*{ending}"))
    if not files:
        raise wrong("lists", f"{lists} holds no lists of split {number}.", _LAYOUTS.replace("1.txt", f"{number}.txt"))
    clips = [(Path(file.name.removesuffix(ending), clip), use) for file in files for clip, use in _hmdb(file)]
    return Split(*(tuple(clip for clip, use in clips if use == wanted) for wanted in (_HMDB_TRAIN, _HMDB_TEST)))


def _ucf(file: Path) -> Iterator[str]:
    for number, words in _lines(file):
        if words[0].count("/") != 1:
            raise wrong("lists", f"{file}:{number}: no clip of the form <class>/<clip>.", "Fetch the lists again.")
        yield words[0]


def _hmdb(file: Path) -> Iterator[tuple[str, str]]:
    for number, words in _lines(file):
        if len(words) != 2 or words[1] not in ("0", _HMDB_TRAIN, _HMDB_TEST):
            raise wrong("lists", f"{file}:{number}: not a clip and 0, 1 or 2.", "Fetch the lists again.")
        yield words[0], words[1]


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The words of every line that has any, with the line's number."""
    lines = enumerate(file.read_text(errors="replace").splitlines(), start=1)
    return ((number, line.split()) for number, line in lines if line.strip())
