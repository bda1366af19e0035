"""The rows of one site's tables, read as a schema declares them: nothing is found out from the rows themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import InputError, Problem, did_you_mean
from simulator.data.alike import nearly, pairs
from simulator.data.dataset import ArrayData
from simulator.data.sites.coding import classes_of
from simulator.data.sites.schema import TableSchema
from simulator.data.tabular.doubts import Doubt, extremes, numbered
from simulator.data.tabular.frames import Columns, Gaps, cells, is_missing, label, number
from simulator.data.tabular.reading import read_frame
from simulator.data.tabular.schema import stored
from simulator.data.targets import shortened

if TYPE_CHECKING:
    import pandas as pd

    from simulator.data.tabular.table import TableFiles

FAR = 5  # declared deviations from the declared mean, beyond which no middle of a site's numbers is


def read_site(files: Sequence[Path], schema: TableSchema, config: TableFiles.Config) -> ArrayData:
    """What one site holds, without a test set.

    Args:
        files: the site's.
        schema: of all sites.
        config: how the files are written, and which columns are target and group.

    Raises:
        InputError: with every column that is missing or holds what it may not.
    """
    sheet = _Sheet.of(files, schema, config)
    inputs = {column.name: sheet.column(column.name, column.categories is None) for column in schema.columns}
    values = sheet.target(schema, config)
    groups = None if config.group is None else sheet.column(config.group, numbers=False)
    needed = {column.name: inputs[column.name] for column in schema.columns if not column.may_miss}
    keep = sheet.whole_rows({**needed, **({} if config.group is None else {config.group: groups})}, values, config)
    if sheet.problems:
        raise InputError(*sheet.problems)
    kind = schema.input_kind()
    kept = {name: each[keep] for name, each in inputs.items()}
    names, numbers = (None, None) if groups is None else np.unique(groups[keep].astype(str), return_inverse=True)
    return ArrayData(
        x_train=stored(kept, kind),
        y_train=values[keep],
        x_test=None,
        y_test=None,
        class_names=schema.target.names,
        kind=kind,
        groups=None if numbers is None else numbers.astype(np.int64),
        notes=(*sheet.notes, *_told(kept, schema), *pairs("groups", [] if names is None else names.tolist())),
    )


@dataclass
class _Sheet:
    """The columns of all files of a site, and what there is to say of them.

    Attributes:
        cells: object [N], of numbers, text and None, by column: those that are wanted and there.
        count: N.
        problems: that keep the site from taking part.
        notes: that do not.
    """

    cells: Mapping[str, NDArray[Any]]
    count: int
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, files: Sequence[Path], schema: TableSchema, config: TableFiles.Config) -> _Sheet:
        """Read ``files``."""
        targets = (config.target,) if isinstance(config.target, str) else config.target
        declared = [column.name for column in schema.columns]
        wanted = [*declared, *targets, *([] if config.group is None else [config.group])]
        frames = {file.name: read_frame(file, config.separator, config.decimal) for file in files}
        count, names = sum(map(len, frames.values())), _names(schema, targets)
        problems = [problem for name, frame in frames.items() for problem in _missing_columns(name, frame, wanted)]
        there = [name for name in wanted if all(name in frame for frame in frames.values())]
        found = {}
        for name in there:
            nothing = Gaps(config.nothing, names.get(name, ()))
            try:
                found[name] = np.concatenate([cells(name, frame[name], nothing) for frame in frames.values()])
            except InputError as error:
                problems += error.problems
        notes = [note for frame in frames.values() for note in _of_columns(frame, wanted, declared)]
        if not count:
            problems.append(Problem("", "there are no rows.", "Give the site's file some."))
        return cls(found, count, problems, list(dict.fromkeys(notes)))

    def column(self, name: str, numbers: bool) -> NDArray[Any]:
        """float64 [N] with NaN, or object [N] of labels with None; all missing where the column is not there."""
        found = self.cells.get(name, np.full(self.count, None, dtype=object))
        if not numbers:
            return np.array([None if each is None else label(each) for each in found], dtype=object)
        values, strange = np.full(self.count, np.nan), list[Any]()
        for row, each in enumerate(found):
            try:
                values[row] = np.nan if each is None else number(each)
            except ValueError:
                strange.append(each)
        if strange:
            what = f"{len(strange):,} of {self.count:,} values are no numbers, such as {str(strange[0])[:30]!r}."
            advice = "Correct them, or list what stands for a missing value: data.dataset.missing_values."
            self.problems.append(Problem(f"column '{name}'", what, advice))
        return values

    def target(self, schema: TableSchema, config: TableFiles.Config) -> NDArray[Any]:
        """int64 [N], or float32 [N] or [N, L]; -1 or NaN where it is missing."""
        if isinstance(config.target, str) and config.target not in self.cells:
            return np.zeros(self.count, dtype=np.int64)  # it is among the problems
        if not isinstance(config.target, str):
            return np.stack([self._quantity(name) for name in config.target], axis=1).astype(np.float32)
        if config.threshold is not None:
            values = self._quantity(config.target)
            return np.where(np.isnan(values), -1, values > config.threshold).astype(np.int64)
        if schema.target.quantities:
            return self._quantity(config.target).astype(np.float32)
        labels = self.column(config.target, numbers=False)
        found, problems = classes_of(f"column '{config.target}'", labels.tolist(), schema.target)
        self.problems += problems
        return found

    def _quantity(self, name: str) -> NDArray[Any]:
        """The target ``name`` as numbers, float64 [N]; those that are far from all others are told."""
        values = self.column(name, numbers=True)
        self.notes += map(str, extremes({name: values}, "the target "))
        return values

    def whole_rows(
        self, needed: Mapping[str, Any], targets: NDArray[Any], config: TableFiles.Config
    ) -> NDArray[np.bool_]:
        """bool [N], the rows that lack nothing of what is needed; the others are dropped where that is wanted."""
        gaps = {name: is_missing(values) for name, values in needed.items() if name in self.cells}
        unset = np.isnan(targets) if targets.dtype.kind == "f" else targets < 0
        gaps["the target"] = np.asarray(unset.any(axis=1) if unset.ndim == 2 else unset)
        counts = {name: int(gap.sum()) for name, gap in gaps.items() if gap.any()}
        lost = np.asarray(np.logical_or.reduce(list(gaps.values())))
        if not counts or self.problems:
            return np.asarray(~lost)
        said = ", ".join(f"{name} ({count:,})" for name, count in counts.items())
        if config.missing == "drop_rows" and not lost.all():
            self.notes.append(f"{int(lost.sum()):,} of {self.count:,} rows are dropped, which lack {said}")
        else:
            may_miss = "" if set(counts) == {"the target"} else ", or in the schema may_miss: true, for all"
            advice = f"Fill these in; or set data.dataset.missing: drop_rows{may_miss}."
            self.problems.append(Problem("", f"of {self.count:,} rows, some lack what may not miss: {said}.", advice))
        return np.asarray(~lost)


def _names(schema: TableSchema, targets: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The categories and classes that are declared, by column: they stand for themselves, even if one is NA."""
    inputs = {column.name: column.categories for column in schema.columns if column.categories is not None}
    return {**inputs, **dict.fromkeys(targets, schema.target.classes)}


def _missing_columns(file: str, frame: pd.DataFrame, wanted: Sequence[str]) -> Iterator[Problem]:
    others = [str(name) for name in frame.columns if name not in wanted]
    for name in dict.fromkeys(wanted):
        if name not in frame:
            yield Problem(file, f"there is no column '{name}'.", did_you_mean(name, others, "columns beside"))


def _of_columns(frame: pd.DataFrame, wanted: Sequence[str], declared: Sequence[str]) -> Iterator[str]:
    if others := [str(name) for name in frame.columns if name not in wanted]:
        yield f"columns that the schema does not know are not read: {shortened(others)}"
    order = [name for name in frame.columns if name in declared]
    if order != [name for name in declared if name in frame]:
        yield "columns stand in another order than in the schema, which changes nothing: they go by name"


def _told(columns: Columns, schema: TableSchema) -> Iterator[str]:
    """What becomes of gaps and of undeclared categories."""
    for column in schema.columns:
        values = columns[column.name]
        gaps = is_missing(values)
        if gaps.any():
            instead = "the mean, and marked" if column.categories is None else "a category of their own"
            yield f"column '{column.name}': {int(gaps.sum()):,} of {len(values):,} values are missing: {instead}"
        if column.categories is not None:
            strange = [each for each in values[~gaps] if each not in column.categories]
            if strange:
                shown = shortened(sorted(set(strange)), most=5)
                near = nearly(set(strange), column.categories)
                what = f"{len(strange):,} values are not declared, and count as other: {shown}{near}"
                yield f"column '{column.name}': {what}"
    numbers = {column.name: columns[column.name] for column in schema.columns if column.categories is None}
    yield from map(str, (*numbered(numbers), *extremes(numbers), *_elsewhere(numbers, schema)))


def _elsewhere(numbers: Columns, schema: TableSchema) -> Iterator[Doubt]:
    """Columns whose middle is where hardly a number is by what is declared, as those in another unit are."""
    for column in schema.columns:
        if column.mean is not None and column.std is not None:
            low, high = column.mean - FAR * column.std, column.mean + FAR * column.std
            declared = f"the mean {column.mean:g} and the std {column.std:g} are declared"
        elif column.range is not None:
            (low, high), declared = (
                column.range,
                f"the range from {column.range[0]:g} to {column.range[1]:g} is declared",
            )
        else:
            continue
        there = numbers[column.name][~is_missing(numbers[column.name])]
        if len(there) and not low <= (median := np.median(there)) <= high:
            what = f"half of the values of '{column.name}' are {'above' if median > high else 'below'} {median:g}"
            yield Doubt(f"{what}, and {declared}", "if this site's are in another unit, convert them")
