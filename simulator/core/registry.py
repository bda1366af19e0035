"""Parts by name: of installed packages, of a user's files, and such as were handed over from Python.

A part is a class with a nested pydantic ``Config``; its block in the experiment file is validated by that ``Config``
and handed to the constructor, which stores it and does nothing else. Packages declare theirs as entry points, ours and
a stranger's alike.
"""

from __future__ import annotations

import re
from abc import ABCMeta
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from inspect import signature
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from simulator.core import part_names
from simulator.core.errors import did_you_mean, wrong
from simulator.core.literal_values import check_literally
from simulator.core.signatures import check_signatures
from simulator.core.user_code import names, objects
from simulator.core.user_code.modules import file_of


class Settings(BaseModel):
    """Base of every block of settings: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_it_was_meant(cls, given: Any, info: ValidationInfo) -> Any:
        check_literally(given, cls.model_fields[info.field_name or ""].annotation)
        return given


class PartSettings(Settings):
    """Settings of a named part; ``name`` says which part."""

    name: str


class PartType(ABCMeta):
    """Lets a part be made of single settings as well as of a ``Config``: ``Mine(mu=0.1)``."""

    def __call__(cls, *given: Any, **settings: Any) -> Any:
        """A part; without a ``Config``, of one with ``settings``."""
        own = cls.__init__  # type: ignore[misc]  # of the class itself, and not of its instances
        if given or "config" in settings or "config" not in signature(own).parameters:
            return super().__call__(*given, **settings)
        config: type[PartSettings] = cls.Config  # type: ignore[attr-defined]
        named = {} if isinstance(config.model_fields["name"].default, str) else {"name": cls.__name__}
        return super().__call__(config(**named | settings))


class Part(metaclass=PartType):
    """Base of everything that is chosen by name."""

    Config: ClassVar[type[PartSettings]] = PartSettings

    def __init__(self, config: Any = None, **settings: Any) -> None:
        self.config = config


P = TypeVar("P", bound=Part)
RENAMED = {("audits", "wise"): "early_exit"}
NAME = re.compile(r"[A-Za-z]\w*")


@dataclass(frozen=True)
class Registry(Generic[P]):
    """The parts of one kind, for example ``Registry("methods")`` for the entry points ``rumormill.methods``.

    Attributes:
        kind: what its parts are, in the plural.
    """

    kind: str
    or_else: ClassVar[str] = ""  # what else its parts may be derived from, as the end of a sentence

    @property
    def added(self) -> dict[str, type[P]]:
        """Classes that are known in this process alone, by name."""
        return cast(dict[str, type[P]], part_names.ADDED[self.kind])

    @property
    def group(self) -> str:
        """The entry-point group a package declares its parts in."""
        return part_names.group_of(self.kind)

    @property
    def base(self) -> type[Part]:
        """What its parts are derived from: of the classes directly below `Part`, the one that is called like it."""
        own = {each.__name__.lower(): each for each in Part.__subclasses__() if objects.is_ours(each.__module__)}
        kind = self.kind.replace("_", "")
        return own.get(f"{kind[:-3]}y" if kind.endswith("ies") else kind.removesuffix("s"), Part)

    def names(self) -> list[str]:
        """All known names, sorted; without those of files, packages' classes and objects."""
        return part_names.names(self.kind)

    def load(self, name: str) -> type[P]:
        """The class called ``name``: a known name, ``my_file.py:Class`` or ``package.module:Class``.

        Raises:
            InputError: no such name (with the nearest one), two packages claim it, it cannot be imported, or it is no
                part of this kind whose hooks can be called.
        """
        known = part_names.declared(self.kind)
        if name in self.added:
            return self.added[name]
        if ":" in name:
            return self.checked(names.load(name), name)
        if (self.kind, name) in RENAMED and name not in known:
            now = RENAMED[self.kind, name]
            raise wrong("", f"'{name}' is called {now} now.", f"Write {now}.")
        if name not in known:
            advice = did_you_mean(name, self.names(), self.kind)
            raise wrong("", f"unknown name '{name}'.", f"{advice} A class of your own: my_file.py:Class.")
        point = part_names.claimed(name, known[name])
        return self.checked(_loaded(point), name, f"is declared as {point.value}, which ")

    def build(self, config: PartSettings) -> P:
        """The part that ``config`` describes.

        Raises:
            InputError: as `load`; or it does not keep its settings.
        """
        part = self.load(config.name)(config)
        if not hasattr(part, "config"):
            what = f"'{config.name}' has a constructor of its own, which does not keep the settings."
            raise wrong("", what, "Let it take (self, config), and begin with super().__init__(config).")
        return part

    def add(self, name: str, part: type) -> None:
        """Make ``part`` known as ``name`` in this process, and to the workers of its runs.

        A class that was defined anew, as by running a notebook's cell again, takes the place of the one before.

        Raises:
            InputError: it is no part of this kind, ``name`` is none, or another class has it.
        """
        if not NAME.fullmatch(name):
            raise wrong("", f"'{name}' is no name.", "Write letters, digits and _, and begin with a letter.")
        checked = self.checked(part, name)
        if name in part_names.declared(self.kind):
            if self.load(name) is checked:
                return
            raise wrong("", f"'{name}' is the name of an installed part.", "Choose another name.")
        before = self.added.get(name)
        if before and (before.__module__, before.__qualname__) != (part.__module__, part.__qualname__):
            what = f"two classes claim the name '{name}': {_described(before)} and {_described(part)}."
            raise wrong("", what, f"Choose another name, or take the first one away: {self.kind.upper()}.remove.")
        objects.note_local(part)
        self.added[name] = checked

    def remove(self, name: str) -> None:
        """Forget what was added as ``name``; nothing happens where nothing was."""
        self.added.pop(name, None)

    def adopt(self, part: type) -> str:
        """A name for the class ``part`` by which an experiment can speak of it: the one that it has, or a new one.

        What is not installed and in no file gets ``module@hash:Class``, with the hash of its text.

        Raises:
            InputError: it is no part of this kind.
        """
        checked = self.checked(part, getattr(part, "__name__", str(part)))
        usual = checked.Config.model_fields["name"].default
        for name, known in self.added.items():
            if known is checked:
                return name
        if isinstance(usual, str) and usual in self.names() and self.load(usual) is checked:
            return usual
        if (file := file_of(part.__module__)) and objects.is_reached(part):
            return f"{file.shown}:{part.__qualname__}"
        if objects.is_installed(part.__module__) and objects.is_reached(part):
            return f"{part.__module__}:{part.__qualname__}"
        objects.note_local(part)
        name = objects.name_of(part)
        self.added[name] = checked
        return name

    def checked(self, thing: Any, name: str, declared: str = "") -> type[P]:
        """``thing``, which is called ``name``, as the class of a part of this kind.

        Raises:
            InputError: it is none; ``declared`` says where it comes from.
        """
        part: Any = self.as_part(thing)
        base = self.base
        derive = f"Derive it from {base.__module__}.{base.__name__}{self.or_else}."
        if not (isinstance(part, type) and issubclass(part, Part)):
            raise wrong("", f"'{name}' {declared}is no class of a part.", derive)
        if not issubclass(part, base):
            kind = next((each.__name__ for each in part.__mro__ if Part in each.__bases__), "Part")
            raise wrong("", f"'{name}' {declared}is a {kind}, and no {base.__name__}.", derive)
        check_signatures(part, Part)
        return cast(type[P], part)

    def as_part(self, thing: Any) -> Any:
        """``thing``, or the part that it stands for."""
        return thing


def _loaded(point: EntryPoint) -> Any:
    """What ``point`` stands for; the code of a stranger's module can raise anything."""
    try:
        return point.load()
    except Exception as error:
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        what = f"'{point.name}' cannot be imported: {kind}{error}."
        raise wrong("", what, f"It is declared as {point.value}.") from error


def _described(part: type) -> str:
    return f"{part.__module__}:{part.__qualname__}"
