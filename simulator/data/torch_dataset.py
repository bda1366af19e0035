"""A map-style `torch.utils.data.Dataset` of the user's as a data set: read once, into arrays."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch.utils.data import Dataset as Items
from torch.utils.data import IterableDataset

from simulator.core.acting import GIVEN, Acts, Unless
from simulator.core.errors import wrong
from simulator.core.registry import PartSettings
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.gathered import Gathered, Share
from simulator.data.kinds.recognition import Wanted, recognised
from simulator.data.materialised import Materialised, materialised
from simulator.data.stored import joined, size
from simulator.data.targets import Meaning, read_targets


class TorchDataset(Dataset):
    """The items of a class derived from `torch.utils.data.Dataset`, each an input and a target, as arrays.

    An input is a tensor, an array, a picture, a number, or several of them by name. The class can have the attributes
    ``sites`` and ``groups``, which say of each item where it comes from and what it belongs to. Items must be the same
    whenever they are read: random augmentation belongs into ``data.augment``.
    """

    class Config(PartSettings):
        """How the class is called, and what is tested with.

        Attributes:
            arguments: of the class, by name.
            test_arguments: with which, instead, the class gives the items to test with.
            test: otherwise, the share of each site's items to test with, drawn by whole groups.
            seed: of drawing them.
            kind: "images" and "arrays", as for `npz`.
            meaning: of targets: "classes", "quantity", or as they look.
        """

        acts: ClassVar[Acts] = {"test": Unless(test_arguments=GIVEN), "seed": Unless(test_arguments=GIVEN)}

        name: str
        arguments: dict[str, Any] = Field(default_factory=dict)
        test_arguments: dict[str, Any] | None = None
        test: Share | None = 0.2
        seed: int = Field(default=0, ge=0)
        kind: Wanted = "auto"
        meaning: Meaning = "auto"

    config: Config
    source: ClassVar[type[Items[Any]]]

    def load(self, root: Path) -> ArrayData:
        """Make the user's object and read all of its items; ``root`` is not used.

        Raises:
            InputError: it cannot be made, items cannot be read or are no (input, target), or they differ in shape or
                from one reading to the next.
        """
        parts = [self._read(self.config.arguments)]
        if self.config.test_arguments is not None:
            parts.append(self._read(self.config.test_arguments))
        found = recognised("inputs", *(part.inputs for part in parts), wanted=self.config.kind)
        targets = np.concatenate([part.targets for part in parts])
        count = size(parts[0].inputs)
        gathered = Gathered(
            inputs=joined(found.inputs),
            kind=found.kind,
            targets=read_targets("targets", targets, self.config.meaning),
            is_test=(np.arange(len(targets)) >= count) if len(parts) > 1 else None,
            groups=_attribute(parts, "groups"),
            sites=_attribute(parts, "sites"),
            notes=found.notes,
        )
        if self.config.test is not None and len(parts) == 1:
            gathered = gathered.held_back(self.config.test, self.config.seed)
        return gathered.divided()

    def _read(self, arguments: Mapping[str, Any]) -> Materialised:
        try:
            items = self.source(**arguments)
        except Exception as error:  # a stranger's code can raise anything
            told = f"{type(error).__name__}: {error}"
            raise wrong("", f"{self.source.__name__} cannot be made: {told}.", "Correct its arguments.") from error
        return materialised(items)


@cache
def dataset_of(source: type[Items[Any]]) -> type[TorchDataset]:
    """The data set that reads ``source``.

    Raises:
        InputError: it can only be read from its beginning to its end.
    """
    if issubclass(source, IterableDataset):
        what = f"{source.__name__} is an IterableDataset, whose items have no numbers."
        raise wrong("", what, "Give a map-style Dataset, with __getitem__ and __len__.")
    place = {"__module__": source.__module__, "__qualname__": source.__qualname__, "__doc__": source.__doc__}
    return type(source.__name__, (TorchDataset,), {"source": source, **place})


def _attribute(parts: list[Materialised], name: str) -> NDArray[Any] | None:
    found = [getattr(part, name) for part in parts]
    if any(each is None for each in found):
        return None
    return np.concatenate(found)
