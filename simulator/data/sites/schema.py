"""What the samples of every site are: declared for all of them, and never found out from the samples of one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from simulator.core.normalizer import Normalizer
from simulator.core.preparation import Preparation
from simulator.core.registry import Settings
from simulator.data.kinds.images import Images
from simulator.data.kinds.kind import InputKind, StoredArrays
from simulator.data.kinds.plain import Plain
from simulator.data.kinds.table import CODES, NUMBERS, Table
from simulator.data.kinds.tokens import IDS, LENGTHS, Tokens


class Quantity(NamedTuple):
    """What is normalised and has no declared mean and standard deviation: its name, and its range where it has one."""

    name: str
    range: tuple[float, float] | None


class TargetSchema(Settings):
    """What is predicted: one of several classes, or quantities.

    Attributes:
        classes: the name of each class, as the sites write it, in the order of their numbers.
        quantities: the name of each quantity; multilabel tasks take each label for one, of 0 and 1.
    """

    classes: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> TargetSchema:
        if bool(self.classes) == bool(self.quantities):
            raise ValueError("name either classes or quantities")
        if len(set(self.names)) < len(self.names):
            raise ValueError("two of them have the same name")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes or the quantities."""
        return self.classes or self.quantities

    def made_up(self, count: int) -> NDArray[Any]:
        """Targets of ``count`` samples: int64 [count] classes, or float32 [count] or [count, L] of 0 and 1."""
        if self.classes:
            return np.arange(count) % len(self.classes)
        width = () if len(self.quantities) == 1 else (len(self.quantities),)
        return np.broadcast_to((np.arange(count) % 2).reshape(-1, *(1 for _ in width)), (count, *width)).astype("f4")


class DataSchema(Settings):
    """What a sample of any site is.

    Attributes:
        target: what is predicted from it.
    """

    kind: str
    target: TargetSchema

    @abstractmethod
    def input_kind(self) -> InputKind:
        """The kind of the inputs."""

    @abstractmethod
    def preparation(self) -> Preparation:
        """How inputs become network input, by the statistics that are declared."""

    @abstractmethod
    def made_up(self, count: int, rng: np.random.Generator) -> StoredArrays:
        """``count`` samples that could be some, to try networks on where no site's data are."""

    @property
    def without_statistics(self) -> Sequence[Quantity]:
        """What has to be normalised, and nothing says by which mean and standard deviation."""
        return ()

    def with_statistics(self, moments: Mapping[str, tuple[float, float]]) -> Self:
        """The same, with mean and standard deviation of what had none, by name."""
        return self


class Column(Settings):
    """A column of a table: of numbers, or of categories where these are named.

    Attributes:
        name: as it stands in the files of all sites.
        mean: of its numbers, which is subtracted.
        std: their standard deviation, by which they are divided then.
        categories: as the sites write them; whatever else a site has counts as "other".
        may_miss: whether sites may lack it in some rows. Numbers get the mean then, and a column of marks beside it.
        range: where sites agree on mean and std under noise, the least and the largest of its numbers: what is known of
            them beforehand, and not what any data have. Numbers beyond it count as its end.
    """

    name: str = Field(min_length=1)
    mean: float | None = None
    std: PositiveFloat | None = None
    categories: tuple[str, ...] | None = None
    may_miss: bool = False
    range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _numbers_or_categories(self) -> Column:
        if self.categories is not None and (self.mean is not None or self.std is not None or self.range is not None):
            raise ValueError("categories have no mean, no std and no range")
        if (self.mean is None) != (self.std is None):
            raise ValueError("declare both mean and std, or neither")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError("a range is two numbers, the smaller one first")
        if self.categories is not None and len(set(self.categories)) < len(self.categories):
            raise ValueError("a category stands there twice")
        return self


class TableSchema(DataSchema):
    """Rows of a table.

    Attributes:
        columns: what is predicted from, in the order in which networks are given it; files may have another.
    """

    kind: Literal["table"] = "table"
    columns: tuple[Column, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_column_once(self) -> TableSchema:
        if len({column.name for column in self.columns}) < len(self.columns):
            raise ValueError("two columns have the same name")
        return self

    @property
    def numbers(self) -> tuple[Column, ...]:
        """The columns of numbers."""
        return tuple(column for column in self.columns if column.categories is None)

    @property
    def without_statistics(self) -> Sequence[Quantity]:
        """Columns of numbers."""
        return [Quantity(f"column '{column.name}'", column.range) for column in self.numbers if column.mean is None]

    def with_statistics(self, moments: Mapping[str, tuple[float, float]]) -> Self:
        """The same, with ``moments`` of columns."""
        columns = []
        for column in self.columns:
            mean, std = moments.get(f"column '{column.name}'", (column.mean, column.std))
            columns.append(column.model_copy(update={"mean": mean, "std": std}))
        return self.model_copy(update={"columns": tuple(columns)})

    def input_kind(self) -> Table:
        """A table of these columns."""
        return Table(
            numbers=tuple(column.name for column in self.numbers),
            may_miss=tuple(column.name for column in self.numbers if column.may_miss),
            categories=tuple((each.name, each.categories) for each in self.columns if each.categories is not None),
        )

    def preparation(self) -> Preparation:
        """Standardised as declared."""
        moments = [(column.mean or 0.0, column.std or 1.0) for column in self.numbers]
        return self.input_kind().standardised(moments)

    def made_up(self, count: int, rng: np.random.Generator) -> StoredArrays:
        """Normal numbers, and equally likely categories."""
        scales = np.array([(column.mean or 0.0, column.std or 1.0) for column in self.numbers]).reshape(-1, 2).T
        numbers = scales[0] + scales[1] * rng.standard_normal((count, len(self.numbers)))
        sizes = [len(known) + 2 for _, known in self.input_kind().categories]
        codes = rng.integers(0, sizes, (count, len(sizes))) if sizes else np.empty((count, 0))
        return {NUMBERS: numbers.astype(np.float32), CODES: codes.astype(np.int16)}


class ImageSchema(DataSchema):
    """Gray (1 channel) or RGB (3) pictures, of 0 to 255.

    Attributes:
        mean: of each channel, of pixels scaled to [0, 1].
        std: likewise.
    """

    kind: Literal["images"] = "images"
    height: PositiveInt
    width: PositiveInt
    channels: Literal[1, 3]
    mean: tuple[float, ...] | None = None
    std: tuple[PositiveFloat, ...] | None = None

    @model_validator(mode="after")
    def _one_a_channel(self) -> ImageSchema:
        if any(given is not None and len(given) != self.channels for given in (self.mean, self.std)):
            raise ValueError(f"mean and std are {self.channels} numbers, one a channel")
        if (self.mean is None) != (self.std is None):
            raise ValueError("declare both mean and std, or neither")
        return self

    @property
    def without_statistics(self) -> Sequence[Quantity]:
        """All channels, whose pixels are scaled to [0, 1], or none."""
        named = [f"channel {number}" for number in range(1, self.channels + 1)]
        return [Quantity(name, (0.0, 1.0)) for name in named] if self.mean is None else []

    def with_statistics(self, moments: Mapping[str, tuple[float, float]]) -> Self:
        """The same, with ``moments`` of all channels, if there are any."""
        found = [moments[each.name] for each in self.without_statistics if moments]
        mean, std = zip(*found, strict=True) if found else (self.mean, self.std)
        return self.model_copy(update={"mean": mean, "std": std})

    def input_kind(self) -> Images:
        """Images, whatever their size."""
        return Images()

    def preparation(self) -> Preparation:
        """Normalised as declared."""
        depth = self.channels
        return Normalizer(torch.tensor(self.mean or [0.0] * depth), torch.tensor(self.std or [1.0] * depth))

    def made_up(self, count: int, rng: np.random.Generator) -> StoredArrays:
        """Images whose pixels are drawn uniformly."""
        return rng.integers(0, 256, (count, self.height, self.width, self.channels), dtype=np.uint8)


class ArrayPart(Settings):
    """One array of a sample: its shape and its type, and its name where there are several."""

    name: str = ""
    shape: tuple[PositiveInt, ...]
    dtype: Literal["float16", "float32", "float64", "uint8", "int16", "int32", "int64"]

    def made_up(self, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """Normal fractions, or whole numbers of 0 and 1."""
        shape = (count, *self.shape)
        values = rng.standard_normal(shape) if self.dtype.startswith("f") else rng.integers(0, 2, shape)
        return values.astype(self.dtype)


class ArraySchema(DataSchema):
    """Arrays that a network is given as they are.

    Attributes:
        arrays: one without a name, or several with.
    """

    kind: Literal["arrays"] = "arrays"
    arrays: tuple[ArrayPart, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_where_several(self) -> ArraySchema:
        names = [part.name for part in self.arrays]
        if len(set(names)) < len(names) or (len(names) > 1 and "" in names):
            raise ValueError("of several arrays, each needs a name of its own")
        return self

    def input_kind(self) -> Plain:
        """Arrays of no kind in particular."""
        return Plain()

    def preparation(self) -> Preparation:
        """None but for types."""
        return Plain().preparation({}, np.arange(0))

    def made_up(self, count: int, rng: np.random.Generator) -> StoredArrays:
        """Of each array some."""
        made = {part.name: part.made_up(count, rng) for part in self.arrays}
        return made[""] if list(made) == [""] else made


class TokenSchema(DataSchema):
    """Sequences of tokens, padded to one length."""

    kind: Literal["tokens"] = "tokens"
    length: PositiveInt
    vocabulary: PositiveInt

    def input_kind(self) -> Tokens:
        """Tokens of this vocabulary."""
        return Tokens(self.vocabulary)

    def preparation(self) -> Preparation:
        """A mask beside the tokens."""
        return self.input_kind().preparation({}, np.arange(0))

    def made_up(self, count: int, rng: np.random.Generator) -> StoredArrays:
        """Any tokens, without padding."""
        ids = rng.integers(0, self.vocabulary, (count, self.length))
        return {IDS: ids.astype(np.int64), LENGTHS: np.full(count, self.length, dtype=np.int32)}


SCHEMAS: dict[str, type[DataSchema]] = {
    "table": TableSchema,
    "images": ImageSchema,
    "arrays": ArraySchema,
    "tokens": TokenSchema,
}
