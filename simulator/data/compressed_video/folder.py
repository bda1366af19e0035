"""Action clips in folders, one a class, such as UCF-101 and HMDB-51."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.acting import GIVEN, Acts, If
from simulator.core.errors import wrong
from simulator.core.paths import folder_at, located
from simulator.core.registry import PartSettings
from simulator.data.compressed_video.cache import Cache
from simulator.data.compressed_video.clips import ClipReader
from simulator.data.compressed_video.split_lists import Split, read_split
from simulator.data.compressed_video.views import VideoViews
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.kinds.images import Images

_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}
_LAYOUTS = "Expected train/<class>/*.avi and test/<class>/*.avi (or .mp4, ...), or <class>/*.avi and split lists."


class VideoFolder(Dataset):
    """Clips on disk, seen as motion vectors, residuals and I-frames.

    Clips lie in ``<class>/`` and published lists say which are for training; without lists they lie in
    ``train/<class>/`` and ``test/<class>/``. Clips of UCF-101 can be read as they are, those of HMDB-51 have B-frames
    and need ``reencode``.
    """

    class Config(PartSettings):
        """Where the clips and their split lists are, and how clips are sampled.

        Attributes:
            path: the folder, absolute or relative to the data root.
            lists: the folder of the split lists of UCF-101 or HMDB-51, likewise; null for ``train`` and ``test``.
            split: which of the lists' three splits.
            views: how a clip becomes a sample.
            reencode: whether clips whose motion cannot be followed are encoded anew, in memory; otherwise they are
                refused.
            broken: what to do about clips that are missing or cannot be decoded: "refuse" the data set, or "skip" them
                and tell.
            cache: the folder that samples are kept in, absolute or relative to the data root; null for none.
        """

        acts: ClassVar[Acts] = {"split": If(lists=GIVEN)}

        name: str = "video_folder"
        path: Path
        lists: Path | None = None
        split: Literal[1, 2, 3] = 1
        views: VideoViews = VideoViews()
        reencode: bool = False
        broken: Literal["refuse", "skip"] = "refuse"
        cache: Path | None = Path("compressed_video_cache")

    config: Config

    def load(self, root: Path) -> ArrayData:
        """One sample a clip, in the order of the lists or of the files' names; classes are sorted by name.

        Raises:
            InputError: a folder, a list or a class has no clips, or a clip cannot be used.
        """
        config = self.config
        folder = folder_at(config.path, root)
        split = (
            _by_folders(folder)
            if config.lists is None
            else read_split(located(config.lists, root, "lists"), config.split)
        )
        classes = tuple(sorted({clip.parent.name for clip in split.train}))
        cache = Cache(None if config.cache is None else located(config.cache, root, "cache"))
        reader = ClipReader(config.views, cache, reencodes=config.reencode, skips=config.broken == "skip")
        x_train, train_rows = reader.samples([folder / clip for clip in split.train])
        x_test, test_rows = reader.samples([folder / clip for clip in split.test])
        y_train = _labels(split.train, classes)[train_rows]
        _require_every_class(classes, y_train)
        return ArrayData(
            x_train=x_train,
            y_train=y_train,
            x_test=x_test if split.test else None,
            y_test=_labels(split.test, classes)[test_rows] if split.test else None,
            class_names=classes,
            kind=Images(config.views.channels),
            notes=tuple(reader.notes()),
        )


def _by_folders(folder: Path) -> Split:
    """The clips of ``train`` and ``test``; there need not be a test set."""
    train, test = (tuple(_clips(folder, part)) for part in ("train", "test"))
    if not train:
        raise wrong("path", f"{folder} holds no clips to train on.", _LAYOUTS)
    strange = {clip.parent.name for clip in test} - {clip.parent.name for clip in train}
    if strange:
        what = f"{folder / 'test'} holds classes that have no training clips: {', '.join(sorted(strange))}."
        raise wrong("path", what, _LAYOUTS)
    return Split(train, test)


def _clips(folder: Path, part: str) -> Iterator[Path]:
    whole = folder / part
    for group in sorted(path for path in whole.iterdir() if path.is_dir()) if whole.is_dir() else ():
        clips = sorted(path for path in group.iterdir() if path.suffix.lower() in _SUFFIXES)
        if not clips:
            raise wrong("path", f"the class folder {group} holds no clips.", "Put clips into it or remove it.")
        yield from (clip.relative_to(folder) for clip in clips)


def _labels(clips: tuple[Path, ...], classes: tuple[str, ...]) -> NDArray[np.int64]:
    number = {name: label for label, name in enumerate(classes)}
    return np.array([number[clip.parent.name] for clip in clips], dtype=np.int64)


def _require_every_class(classes: tuple[str, ...], labels: NDArray[np.int64]) -> None:
    empty = sorted(set(classes) - {classes[label] for label in labels})
    if empty:
        what = f"no clip to train on is left of {len(empty)} classes: {', '.join(empty[:5])}."
        raise wrong("path", what, "Mend their clips, or remove these classes.")
