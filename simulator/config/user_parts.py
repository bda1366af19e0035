"""The code of an experiment's parts that is in no installed package: carried to workers, kept with the run, told."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.config.slots import SLOTS
from simulator.core.registry import PartSettings, Registry
from simulator.core.user_code.files import CODE, KNOWN, UserFile, keep
from simulator.core.user_code.modules import module_of
from simulator.core.user_code.names import file_named, module_named
from simulator.core.user_code.objects import hash_of, source_of

NOT_KEPT = "not kept: nobody can tell the text of this class"


class CarriedFiles(tuple[UserFile, ...]):
    """Files that are known, and modules, wherever they arrive."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (tuple(self),)


def _arrived(files: tuple[UserFile, ...]) -> CarriedFiles:
    for top in files:
        KNOWN.update({file.hash: file for file in top.all()})
        module_of(top)
    return CarriedFiles(files)


@dataclass(frozen=True)
class UserParts:
    """Files, and classes that were added to registries or handed over.

    Attributes:
        files: those that parts are named in; what they import is in them.
        classes: by kind and name.
        packaged: names of parts in packages, ``package.module:Class``, which are not carried.
    """

    files: CarriedFiles
    classes: dict[tuple[str, str], type]
    packaged: frozenset[str]

    @classmethod
    def of(cls, parts: Iterable[tuple[Registry[Any], PartSettings]]) -> UserParts:
        """Those among ``parts``."""
        named = {(registry.kind, settings.name): registry for registry, settings in parts}
        files = {file.hash: file for _, name in named if (file := file_named(name))}
        added = {key: registry.added[key[1]] for key, registry in named.items() if key[1] in registry.added}
        given = {key: getattr(part, "network", part) for key, part in added.items()}  # a plain network as it was given
        return cls(CarriedFiles(files.values()), given, frozenset(name for _, name in named if module_named(name)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """At a worker: the classes are known there, too, before settings that are of their making are unpacked."""
        self.__dict__.update(state)
        registries = {registry.kind: registry for registry in SLOTS.values()}
        for (kind, name), part in self.classes.items():
            registries[kind].added[name] = registries[kind].checked(part, name)

    def keep(self, folder: Path) -> None:
        """Write their text, where there is one, into the folder ``code`` of the run in ``folder``.

        Raises:
            InputError: two different files have the same name.
            OSError: they cannot be written.
        """
        keep(self.files, folder)
        for part in self.classes.values():
            if text := source_of(part):
                (folder / CODE).mkdir(exist_ok=True)
                (folder / CODE / _kept_as(part)).write_text(text, encoding="utf-8")

    def hashes_of_added(self) -> dict[str, str | None]:
        """Of the classes that were added by a name of one's own, which does not tell their text."""
        return {f"{kind}.{name}": hash_of(part) for (kind, name), part in self.classes.items() if ":" not in name}

    def record(self) -> dict[str, Any]:
        """What provenance says of them, by name: the hashes of files, and where the text of a class is kept."""
        files = {file.name: _hashes(file) for top in self.files for file in top.all()}
        texts = {part: source_of(part) for part in self.classes.values()}
        classes = {
            name: {"source": f"{CODE}/{_kept_as(part)}" if texts[part] else NOT_KEPT, "hash": hash_of(part)}
            for (_, name), part in self.classes.items()
        }
        return files | classes | {name: _of_package(name) for name in sorted(self.packaged)}


def _hashes(file: UserFile) -> dict[str, str]:
    return {"hash": file.hash, "sha256": hashlib.sha256(file.text.encode()).hexdigest()}


def _kept_as(part: type) -> str:
    return f"{part.__name__}-{hash_of(part)}.txt"  # no module: what the text needs is not in it


def _of_package(name: str) -> dict[str, str]:
    module = module_named(name)
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    return {"sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()} if file else {}
