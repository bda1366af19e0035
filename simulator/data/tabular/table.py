"""The data set ``table``: rows of CSV or Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.acting import GIVEN, Acts, If
from simulator.core.errors import Problem, wrong
from simulator.core.registry import PartSettings
from simulator.data import locations
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.gathered import Gathered, Share
from simulator.data.sites.schema import DataSchema, TableSchema
from simulator.data.sites.settled import of_kind, settled
from simulator.data.tabular.declared import read_site
from simulator.data.tabular.doubts import Doubt, apart, extremes, telling
from simulator.data.tabular.frames import MISSING, Columns, as_labels, column, read_columns
from simulator.data.tabular.gaps import Missing, kept_rows
from simulator.data.tabular.reading import SUFFIXES
from simulator.data.tabular.schema import schema, stored, told
from simulator.data.targets import Meaning, Targets, read_targets

FILE = "file"


class TableFiles(Dataset):
    """Rows of CSV (UTF-8), JSON lines or Parquet files, read by pandas (``pip install 'rumormill[table]'``).

    Columns of numbers are standardised with the statistics of training samples; columns of text, of yes and no, and
    those under ``categorical`` are categories, one-hot, each with a place for other ones and for missing ones. Which
    columns there are, and which categories, is decided from all files together, or declared.
    """

    class Config(PartSettings):
        """Where the rows are, and what their columns mean.

        Attributes:
            path: a file, several, or a folder of files: absolute, relative to the data root, or inside an installed
                package (``package:NAME/FILE``).
            target: the column that is predicted; or several, which are quantities.
            meaning: of the target: "classes", "quantity", or as it looks ("auto": only fractions are quantities).
            threshold: the target is whether the column is above it.
            columns: what it is predicted from; by default all columns that nothing else here names.
            drop: columns that it is not predicted from.
            categorical: columns whose numbers are names of categories.
            categories: declared categories, by column; what is not among them counts as "other".
            missing: what happens where something is missing: "refuse" it, "impute" the mean of a number beside a
                column that marks it, or "drop_rows".
            missing_values: what stands for a missing value in every column, beside empty cells, ?, NA, N/A, NaN, nan
                and null: text, or numbers, however these are spelt. Declared categories and the classes of a schema
                stand for themselves, such as an NA that is a country.
            site: the column that says where a row comes from, or "file": each file is a site, as is the default for
                several files.
            group: the column that says which rows belong together, such as those of one patient; no split cuts
                through them.
            test: the share of each site's rows to test with, drawn by whole groups; or a file or folder of test rows.
            seed: of drawing them.
            separator: of CSV files; by default a comma, or a tabulator in .tsv files.
            decimal: what stands before the fraction in CSV files.
        """

        acts: ClassVar[Acts] = {"meaning": If(threshold=None), "seed": If(test=GIVEN)}

        name: str = "table"
        path: Path | tuple[Path, ...]
        target: str | tuple[str, ...]
        meaning: Meaning = "auto"
        threshold: float | None = None
        columns: tuple[str, ...] | None = None
        drop: tuple[str, ...] = ()
        categorical: tuple[str, ...] = ()
        categories: dict[str, tuple[str, ...]] = Field(default_factory=dict)
        missing: Missing = "refuse"
        missing_values: tuple[str | int | float, ...] = ()
        site: str | None = None
        group: str | None = None
        test: Share | Path | None = 0.2
        seed: int = Field(default=0, ge=0)
        separator: str | None = Field(default=None, min_length=1)
        decimal: str = Field(default=".", min_length=1, max_length=1)

        @property
        def nothing(self) -> tuple[str | float, ...]:
            """All that stands for a missing value."""
            return (*MISSING, *self.missing_values)

    config: Config

    site_suffixes = SUFFIXES

    def load(self, root: Path) -> ArrayData:
        """Read, check and code all rows.

        Raises:
            InputError: there are no such files or columns, or something is missing that must not be.
        """
        columns, file, is_test = self._read(root)
        named = {name: column(columns, name, where) for where, name in self._named}
        inputs = {name: columns[name] for name in self._inputs(columns)}
        sites = file if self.config.site == FILE else named.get(self.config.site or "", file)
        keep, dropped = kept_rows(named, inputs, sites, self.config.missing)
        named, inputs = ({name: values[keep] for name, values in each.items()} for each in (named, inputs))
        table = schema(inputs, self.config.categorical, self.config.categories)
        targets = self._targets(named)
        homes, tests = (None if each is None else each[keep] for each in (sites, is_test))
        gathered = Gathered(
            inputs=stored(inputs, table),
            kind=table,
            targets=targets,
            is_test=tests,
            groups=None if self.config.group is None else as_labels(named[self.config.group]),
            sites=None if homes is None else as_labels(homes),
            notes=(
                *dropped,
                *told(inputs, table, {*self.config.categorical, *self.config.categories}),
                *map(str, extremes(self._quantities(named, targets), "the target ")),
                *map(str, telling(inputs, self._by_name(targets))),
                *map(str, self._apart({name: inputs[name] for name in table.numbers}, homes, tests)),
            ),
        )
        share = self.config.test
        return (gathered.held_back(share, self.config.seed) if isinstance(share, float) else gathered).divided()

    def of_site(self, path: Path, schema: DataSchema) -> ArrayData:
        """Read one site's rows, column by column as declared; see `simulator.data.tabular.declared`.

        Raises:
            InputError: columns are missing, or hold what they may not.
        """
        assert isinstance(schema, TableSchema)  # see `site_problems`
        return read_site(locations.files(path, Path(), SUFFIXES), schema, self.config)

    @classmethod
    def site_problems(cls, config: PartSettings, schema: DataSchema) -> Iterator[Problem]:
        """What the schema decides, and a target or a group that is not the schema's."""
        assert isinstance(config, cls.Config)
        yield from of_kind(config, schema, ["table"])
        yield from settled(config, ("columns", "drop", "categorical", "categories", "meaning", "site"))
        if config.test is not None:
            what = "holds rows back to test with, and sites are tested on data.own_test of theirs, or data.sites.test."
            yield Problem("test", what, "Set test: null.")
        if isinstance(schema, TableSchema):
            yield from _other_targets(config, schema)

    def _read(self, root: Path) -> tuple[Columns, NDArray[Any] | None, NDArray[np.bool_] | None]:
        """The columns, and of each row the file, if files are sites, and whether it is for testing."""
        read = partial(
            read_columns,
            missing=self.config.nothing,
            separator=self.config.separator,
            decimal=self.config.decimal,
            categories=self.config.categories,
        )
        files = locations.files(self.config.path, root, SUFFIXES)
        are_sites = self.config.site == FILE or (self.config.site is None and len(files) > 1)
        if not isinstance(self.config.test, Path):
            columns, file = read(files)
            return columns, (file if are_sites else None), None
        tests = locations.files(self.config.test, root, SUFFIXES, "test")
        columns, file = read([*files, *tests])
        strange = sorted({test.stem for test in tests} - {each.stem for each in files})
        if are_sites and strange:
            what = f"files are sites, and there is none called {strange[0]} to train on."
            raise wrong("test", what, "Call each site's test file like its training file, in another folder.")
        count = len(read(tests)[1])
        return columns, (file if are_sites else None), np.arange(len(file)) >= len(file) - count

    @property
    def _named(self) -> list[tuple[str, str]]:
        """The settings that name columns which are no inputs, and these columns."""
        target, site, group = self.config.target, self.config.site, self.config.group
        if isinstance(target, tuple) and (twice := [name for name in target if target.count(name) > 1]):
            raise wrong("target", f"'{twice[0]}' is named twice.", "Name each column once.")
        found = [("target", name) for name in ((target,) if isinstance(target, str) else target)]
        found += [("site", site)] if site not in (None, FILE) else []
        return found if group is None else [*found, ("group", group)]

    def _inputs(self, columns: Columns) -> list[str]:
        """The columns that a network is given, in the files' order."""
        for where in ("columns", "drop", "categorical", "categories"):
            for name in getattr(self.config, where) or ():
                column(columns, name, where)
        others = {name for _, name in self._named}
        chosen = set(columns) - others if self.config.columns is None else set(self.config.columns)
        if both := sorted(chosen & others):
            raise wrong("columns", f"'{both[0]}' is the target, the site or the group.", "Do not predict from it.")
        chosen -= set(self.config.drop)
        if nameless := [name for name in columns if name in chosen and name.startswith("Unnamed: ")]:
            what = f"a column has no name, such as one of row numbers; here it is '{nameless[0]}'."
            raise wrong("drop", what, f"Name it in the file, or leave it out: drop: ['{nameless[0]}']")
        if not chosen:
            where = "drop" if self.config.drop else "columns" if self.config.columns is not None else "path"
            what = "no column is left to predict from: all are target, site or group, or left out."
            raise wrong(where, what, "Keep one more column.")
        return [name for name in columns if name in chosen]

    def _targets(self, columns: Columns) -> Targets:
        target, threshold = self.config.target, self.config.threshold
        if not isinstance(target, str):
            values = np.stack([_numbers(columns[name], name) for name in target], axis=1)
            return read_targets(" and ".join(target), values, self.config.meaning, target)
        if threshold is None:
            return read_targets(target, as_labels(columns[target]), self.config.meaning)
        above = _numbers(columns[target], target) > threshold
        return Targets(above.astype(np.int64), _sides(target, threshold))

    def _by_name(self, targets: Targets) -> Columns:
        """What is predicted, column by column."""
        names = self.config.target if isinstance(self.config.target, tuple) else (self.config.target,)
        values = targets.values.reshape(len(targets.values), -1).T
        return dict(zip(names if len(names) == len(values) else [" and ".join(names)], values, strict=True))

    def _apart(self, numbers: Columns, homes: NDArray[Any] | None, tests: NDArray[np.bool_] | None) -> Iterator[Doubt]:
        """Columns that seem to be in other units at a site, or in the files to test with."""
        if homes is not None:
            yield from apart(numbers, as_labels(homes), "at {}", "elsewhere")
        if tests is not None:
            yield from apart(numbers, np.where(tests, "test", "train"), "in the rows to {} with", "in the others")

    def _quantities(self, columns: Columns, targets: Targets) -> Columns:
        """The columns of the target, where they are read as numbers."""
        names = (self.config.target,) if isinstance(self.config.target, str) else self.config.target
        are_numbers = self.config.threshold is not None or targets.values.dtype.kind == "f"
        return {name: columns[name] for name in names} if are_numbers else {}


def _numbers(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    if values.dtype == object:
        raise wrong("target", f"column '{name}' is text, and no numbers.", "Take it as the only target, for classes.")
    return values


def _sides(target: str, threshold: float) -> tuple[str, str]:
    """What the two classes are called, where they are the sides of a threshold."""
    return f"{target} <= {threshold:g}", f"{target} > {threshold:g}"


def _other_targets(config: TableFiles.Config, schema: TableSchema) -> Iterator[Problem]:
    """Where settings and schema do not speak of the same target, and columns that nothing can be predicted from."""
    target, declared = config.target, schema.target
    wanted, kind = (target, declared.quantities) if isinstance(target, tuple) else ((target,), declared.quantities)
    if config.threshold is not None and isinstance(target, str):
        wanted, kind = _sides(target, config.threshold), declared.classes
    if wanted != kind and (declared.quantities or isinstance(target, tuple) or config.threshold is not None):
        what = f"is {', '.join(wanted)}, and the schema has {', '.join(declared.names)} for its target."
        yield Problem("target", what, "Let the schema's target name the same, in the same order.")
    columns = {column.name for column in schema.columns}
    for where, name in [
        *(("target", each) for each in ([target] if isinstance(target, str) else target)),
        *([("group", config.group)] if config.group else []),
    ]:
        if name in columns:
            yield Problem(where, f"'{name}' is a column of the schema too.", "Do not predict from it.")
