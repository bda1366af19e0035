"""The data set ``huggingface``: what Hugging Face's ``datasets`` has written to disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from simulator.core.acting import Acts, If
from simulator.core.errors import did_you_mean, wrong
from simulator.core.paths import place
from simulator.core.registry import PartSettings
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.gathered import Gathered, Share
from simulator.data.kinds.kind import StoredArrays
from simulator.data.kinds.plain import refuse_objects
from simulator.data.kinds.recognition import Wanted, recognised
from simulator.data.targets import Meaning, Targets, read_targets

_DATASET, _SPLITS = "dataset_info.json", "dataset_dict.json"  # in the folder of one, and of several


class HuggingFace(Dataset):
    """Columns of a folder that ``save_to_disk`` has written, or of a Parquet file (``rumormill[huggingface]``).

    A folder of such folders, as ``flwr-datasets create`` writes, has one site in each. Columns are numbers, or rows of
    numbers of one length, or pictures; text and tables with gaps are read by `text` and `table`, from Parquet.
    """

    class Config(PartSettings):
        """Where the data are, and what the columns mean.

        Attributes:
            path: the folder or file, absolute or relative to the data root.
            inputs: the column that is predicted from; or several, which a network is given by name.
            target: the column that is predicted.
            meaning: of the target: "classes", "quantity", or as it looks.
            split: of several splits, the one to train on.
            test_split: the one to test with; None: a share of the training split.
            test: that share, of each site, drawn by whole groups.
            seed: of drawing it.
            site: the column that says where a sample comes from.
            group: the column that says which samples belong together.
            size: height and width in pixels that pictures are brought to; by default they must have one size.
            kind: "images" and "arrays", as for `npz`.
        """

        acts: ClassVar[Acts] = {"test": If(test_split=None), "seed": If(test_split=None)}

        name: str = "huggingface"
        path: Path
        inputs: str | tuple[str, ...]
        target: str
        meaning: Meaning = "auto"
        split: str = "train"
        test_split: str | None = None
        test: Share | None = 0.2
        seed: int = Field(default=0, ge=0)
        site: str | None = None
        group: str | None = None
        size: int | None = Field(default=None, ge=1)
        kind: Wanted = "auto"

    config: Config

    def load(self, root: Path) -> ArrayData:
        """Read the columns, of all sites.

        Raises:
            InputError: ``datasets`` is not installed, or there are no such data, splits or columns, or a column holds
                what no network can be given.
        """
        folder = place(self.config.path, root)
        splits = [self.config.split] if self.config.test_split is None else [self.config.split, self.config.test_split]
        found = [(which, *each) for which, split in enumerate(splits) for each in _sites(folder, split)]
        sets = [data for _, _, data in found]
        columns = (self.config.inputs,) if isinstance(self.config.inputs, str) else self.config.inputs
        arrays = {name: self._column(sets, name, "inputs") for name in columns}
        inputs: StoredArrays = arrays[columns[0]] if isinstance(self.config.inputs, str) else arrays
        known = recognised("inputs", inputs, wanted=self.config.kind)
        counts = [len(data) for data in sets]
        are_sites = len({site for _, site, _ in found}) > 1
        sites = np.repeat([site for _, site, _ in found], counts) if are_sites else None
        gathered = Gathered(
            inputs=known.inputs[0],
            kind=known.kind,
            targets=self._targets(sets),
            is_test=np.repeat([which == 1 for which, _, _ in found], counts) if len(splits) > 1 else None,
            groups=self._column(sets, self.config.group, "group") if self.config.group else None,
            sites=self._column(sets, self.config.site, "site") if self.config.site else sites,
            notes=known.notes,
        )
        if self.config.test is not None and self.config.test_split is None:
            gathered = gathered.held_back(self.config.test, self.config.seed)
        return gathered.divided()

    def _targets(self, sets: list[Any]) -> Targets:
        target = self.config.target
        values = self._column(sets, target, "target")
        names = getattr(sets[0].features[target], "names", None)  # of a ClassLabel
        if names and self.config.meaning != "quantity":
            if values.min() < 0:
                what = f"{int((values < 0).sum()):,} samples have no class in '{target}' (-1)."
                raise wrong("target", what, "Leave them out: dataset.filter, before it is saved.")
            return Targets(values.astype(np.int64), tuple(names))
        return read_targets(target, values, self.config.meaning)

    def _column(self, sets: list[Any], name: str, where: str) -> NDArray[Any]:
        parts = []
        for data in sets:
            if name not in data.column_names:
                raise wrong(where, f"there is no column '{name}'.", did_you_mean(name, data.column_names, "columns"))
            parts.append(self._values(data.select_columns(name), name, where))
        if len({part.shape[1:] for part in parts}) > 1:
            raise wrong(where, f"'{name}' has another shape at another site.", "Give all sites one shape.")
        return np.concatenate(parts)

    def _values(self, data: Any, name: str, where: str) -> NDArray[Any]:
        if gaps := data.with_format("arrow")[:].column(name).null_count:
            what = f"{gaps:,} of {len(data):,} samples lack '{name}'."
            raise wrong(where, what, "Leave them out, or save it as Parquet and read that as a table.")
        kind = getattr(data.features[name], "dtype", "")
        if kind == "string" and where == "inputs":
            raise wrong(where, f"'{name}' is text.", "Save it with to_parquet, and set name: text.")
        if kind == "PIL.Image.Image":
            return _one_shape([np.asarray(self._resized(picture)) for picture in data[:][name]], name)
        values: NDArray[Any] = data.with_format("numpy")[:][name]
        refuse_objects(f"'{name}'", values)
        return values

    def _resized(self, picture: Image.Image) -> Image.Image:
        picture = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
        size = self.config.size
        return picture if size is None else picture.convert("RGB").resize((size, size), Image.Resampling.BOX)


def _one_shape(pictures: list[NDArray[Any]], name: str) -> NDArray[Any]:
    if len(shapes := sorted({each.shape for each in pictures})) > 1:
        what = f"'{name}' holds pictures of different shapes, such as {shapes[0]} and {shapes[-1]}."
        raise wrong("size", what, "Set size, and they are brought to it, in RGB.")
    return np.stack(pictures)


def _sites(source: Path, split: str) -> Iterator[tuple[str, Any]]:
    """The name of each site, and the ``split`` of its data."""
    if source.is_file() or any((source / name).is_file() for name in (_DATASET, _SPLITS)):
        yield "", _opened(source, split)
        return
    folders = sorted(each for each in source.iterdir() if any((each / name).is_file() for name in (_DATASET, _SPLITS)))
    if not folders:
        what = f"{source} holds nothing that save_to_disk has written."
        raise wrong("path", what, "Give its folder, a folder of such folders, or a Parquet file.")
    yield from ((folder.name, _opened(folder, split)) for folder in folders)


def _opened(source: Path, split: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        what = f"{source.name} is read by datasets, which is not installed."
        raise wrong("", what, "Install it: pip install 'rumormill[huggingface]'") from error
    try:
        if source.is_file():
            import pyarrow.parquet

            return datasets.Dataset(pyarrow.parquet.read_table(source))
        found = datasets.load_from_disk(str(source))
    except (OSError, ValueError) as error:
        raise wrong(
            "path", f"{source} cannot be read: {error}.", "Write it with save_to_disk or to_parquet."
        ) from error
    if not isinstance(found, Mapping):
        return found
    if split not in found:
        raise wrong("split", f"{source.name} has no split '{split}'.", did_you_mean(split, list(found), "splits"))
    return found[split]
