"""The data set ``leaf``: folders of JSON files as the LEAF benchmark writes them (Caldas et al. 2018, 1812.01097)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.acting import Acts, If
from simulator.core.errors import wrong
from simulator.core.paths import place
from simulator.core.registry import PartSettings
from simulator.data import locations
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.gathered import Gathered
from simulator.data.kinds.kind import InputKind, StoredArrays
from simulator.data.kinds.plain import refuse_objects
from simulator.data.kinds.recognition import Wanted, recognised
from simulator.data.kinds.tokens import Tokens
from simulator.data.targets import read_targets, shortened
from simulator.data.text import tokenizers, windows

Users = Mapping[str, tuple[list[Any], list[Any]]]


class Leaf(Dataset):
    """Samples of users, who are the sites: ``train/*.json`` and ``test/*.json``, with the same users in both.

    A file is ``{"users": [...], "num_samples": [...], "user_data": {user: {"x": [...], "y": [...]}}}``. Inputs are
    numbers, or text of which all characters together are the vocabulary. Users are sorted by name, whatever the order
    in the files.
    """

    class Config(PartSettings):
        """Where the folders are.

        Attributes:
            path: the folder that holds ``train`` and ``test``, absolute or relative to the data root.
            shape: of a sample whose numbers stand in one row, such as [28, 28, 1]; by default as in the files.
            kind: "images" and "arrays", as for `npz`.
            length: of samples of text, in characters; by default that of the longest.
        """

        acts: ClassVar[Acts] = {"kind": If(length=None), "shape": If(length=None)}

        name: str = "leaf"
        path: Path
        shape: tuple[int, ...] = ()
        kind: Wanted = "auto"
        length: int | None = Field(default=None, ge=1)

    config: Config

    def load(self, root: Path) -> ArrayData:
        """Read the files of both folders.

        Raises:
            InputError: there are no such files, a user is in only one folder or twice in one, or samples do not fit
                together.
        """
        folder = place(self.config.path, root)
        train, test = (_read(folder / split) for split in ("train", "test"))
        _check_same(train, test)
        users = sorted(train)
        each = [(user, part) for part in (train, test) for user in users]
        x, y = ([item for user, part in each for item in part[user][which]] for which in (0, 1))
        counts = np.array([len(part[user][1]) for user, part in each])
        is_test = np.repeat(np.arange(len(each)) >= len(users), counts)
        inputs, kind, notes = self._inputs(x, is_test)
        targets = np.array(y)
        refuse_objects("y", targets)
        return Gathered(
            inputs=inputs,
            kind=kind,
            targets=read_targets("y", targets),
            is_test=is_test,
            sites=np.repeat([user for user, _ in each], counts),
            notes=notes,
        ).divided()

    def _inputs(self, x: list[Any], is_test: NDArray[np.bool_]) -> tuple[StoredArrays, InputKind, tuple[str, ...]]:
        if all(isinstance(item, str) for item in x):
            return self._of_text(x)
        try:
            values = np.array(x)
        except ValueError:
            values = np.array([None, *x], dtype=object)[1:]  # of unequal lengths
        refuse_objects("x", values)
        if self.config.shape:
            if int(np.prod(self.config.shape)) != int(np.prod(values.shape[1:])):
                what = f"a sample has shape {values.shape[1:]}, which is not that of {self.config.shape}."
                raise wrong("shape", what, "Give a shape of as many numbers.")
            values = values.reshape(len(values), *self.config.shape)
        found = recognised("x", values, wanted=self.config.kind)
        return found.inputs[0], found.kind, found.notes

    def _of_text(self, x: list[str]) -> tuple[StoredArrays, InputKind, tuple[str, ...]]:
        tokenizer = tokenizers.Listed(x, words=False, size=None)
        length = self.config.length or max(map(len, x))
        if longer := sum(len(text) > length for text in x):
            what = f"{longer:,} samples have more than {length} characters."
            raise wrong("length", what, "Leave it out, and it is that of the longest.")
        if empty := sum(not text for text in x):
            raise wrong("path", f"{empty:,} samples are empty text.", "Leave them out.")
        cut = windows.cut([tokenizer(text) for text in x], length, tokenizer.padding, tokenizer.vocabulary, shift=False)
        note = f"the vocabulary is the {len(tokenizer.pieces)} characters of all users' samples together"
        return cut.inputs, Tokens(tokenizer.vocabulary), (note,)


def _read(folder: Path) -> Users:
    """Samples and labels by user, of all files."""
    found: dict[str, tuple[list[Any], list[Any]]] = {}
    for file in locations.files(folder, folder, (".json",)):
        try:
            content = json.loads(file.read_bytes())
            users, counts, data = content["users"], content["num_samples"], content["user_data"]
            of_users = {user: (list(data[user]["x"]), list(data[user]["y"])) for user in users}
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"{file} is no LEAF file: {type(error).__name__}: {error}."
            raise wrong("path", what, "It needs users, num_samples, and user_data with x and y of each.") from error
        for user, count in zip(users, counts, strict=False):
            x, y = of_users[user]
            if not (len(x) == len(y) == count):
                what = f"user {user} in {file.name} has {len(x)} x, {len(y)} y, and num_samples {count}."
                raise wrong("path", what, "Correct the file: all three are one number.")
        if again := sorted(found.keys() & of_users.keys()):
            raise wrong("path", f"user {again[0]} is in two files of {folder}.", "Put all of a user into one file.")
        found |= of_users
    return found


def _check_same(train: Users, test: Users) -> None:
    for here, there, users in (("train", "test", train.keys() - test), ("test", "train", test.keys() - train)):
        if users:
            what = f"{len(users):,} users are in {here} and missing in {there}: {shortened(sorted(users), most=7)}."
            raise wrong("path", what, "Split each user's samples (LEAF's --by-sample), or leave these users out.")
