"""Write the pages of docs/reference that follow from the code: ``python docs/generate_reference.py``.

Keys and settings come from the pydantic blocks, what they mean from the ``Attributes:`` of their docstrings, names of
parts from the registries, commands from the command line. A test says when the pages are not those of the code.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from simulator.cli import app
from simulator.config.experiment import Experiment
from simulator.config.slots import SLOTS
from simulator.core.part_names import claimed, declared
from simulator.core.registry import PartSettings
from simulator.listing import FUNCTIONS
from simulator.part_kinds import REGISTRIES

REFERENCE = Path(__file__).parent / "reference"
OURS = ("simulator", "methods", "auditing")
TITLES = {"label_noise": "Label noise", "memorization_scores": "Scores of memorization", "datasets": "Data sets"}
KINDS_BY_PLACE = {".".join(str(key) for key in place if key != "*"): registry.kind for place, registry in SLOTS.items()}
NOTE = "*Made from the code by `docs/generate_reference.py`; edit docstrings, not this page.*"
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", types.NoneType: "null"}


def pages() -> dict[str, str]:
    """All generated pages, by file name."""
    return {
        "experiment.md": experiment(),
        "command-line.md": command_line(),
        **{f"{kind.replace('_', '-')}.md": parts(kind) for kind in REGISTRIES},
        "graphs.md": graphs(),
    }


def experiment() -> str:
    """Every key of an experiment, block by block."""
    lines = [
        "# Every key of an experiment",
        NOTE,
        "An experiment is a YAML file of these blocks; `simulator/recipes/` holds complete ones. A key that is not\n"
        "here is refused. Settings of a part, such as those of a method, are on the page of its kind.",
    ]
    for place, block in blocks(Experiment):
        lines += [f"## {f'`{place}`' if place else 'The file'}", said_of(block), linked(table(block, place), place)]
    return "\n\n".join(line for line in lines if line) + "\n"


def linked(rows: str, place: str) -> str:
    """A table of keys with links to the blocks that some of them hold."""
    anchor = place.replace(".", "")
    return re.sub(r"^(\| `(\w+)` \|[^|]*?)(?<!`)\b(blocks?)\b", rf"\1[\3](#{anchor}\2)", rows, flags=re.MULTILINE)


def blocks(settings: type[BaseModel], place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """``settings`` and all blocks below it that are no parts, with their places."""
    yield place, settings
    for name, field in settings.model_fields.items():
        for below in models_in(field.annotation):
            if not issubclass(below, PartSettings):
                yield from blocks(below, f"{place}.{name}" if place else name)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic blocks that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in models_in(each)]


def parts(kind: str) -> str:
    """Every part of a kind, with its settings."""
    lines = [f"# {TITLES.get(kind, kind.capitalize())}", NOTE]
    for name, points in sorted(declared(kind).items()):
        point = claimed(name, points)
        if not point.module.startswith(OURS):
            continue  # an installed stranger's
        part = REGISTRIES[kind].load(name)
        lines += [f"## `{name}`", said_of(part), settings_of(part)]
    return "\n\n".join(line for line in lines if line) + "\n"


def settings_of(part: Any) -> str:
    """The table of a part's settings, and those of the blocks below them."""
    lines = []
    for place, block in blocks(part.Config):
        if set(block.model_fields) - {"name"}:
            head = f"**`{place}`**" if place else ""
            lines += [head, said_of(block) if block is not PartSettings else "", table(block, place)]
    return "\n\n".join(line for line in lines if line)


def graphs() -> str:
    """Graphs, mixing matrices and schedules, which are functions of topologies."""
    import topologies

    lines = ["# Graphs, mixing matrices, schedules", NOTE]
    for kind, constant in FUNCTIONS.items():
        lines.append(f"## {kind.capitalize()}")
        for name, function in sorted(getattr(topologies, constant).items()):
            lines += [f"### `{name}`", in_markdown(cleandoc(function.__doc__ or ""))]
    return "\n\n".join(lines) + "\n"


def table(block: type[BaseModel], place: str) -> str:
    """The keys of a block: what they take, what they are by default, and what they mean."""
    meanings = attributes(block)
    rows = ["| key | takes | default | |", "|---|---|---|---|"]
    for name, field in block.model_fields.items():
        if name == "name" and issubclass(block, PartSettings):
            continue
        where = f"{place}.{name}" if place else name
        cells = (f"`{name}`", taken(field, where), default(field), meanings.get(name, ""))
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def taken(field: FieldInfo, place: str) -> str:
    """What values a key takes."""
    return ", ".join([in_words(field.annotation, place), *bounds(field.metadata)])


def bounds(metadata: Iterable[Any]) -> list[str]:
    """Those of a number, in words."""
    found = ((word, getattr(each, bound, None)) for each in metadata for bound, word in BOUNDS.items())
    return [f"{word} {'2^64' if value == 2**64 else value}" for word, value in found if value is not None]


def in_words(annotation: Any, place: str) -> str:
    """A type as an experiment file has it."""
    origin, given = get_origin(annotation), get_args(annotation)
    if annotation in PLAIN:
        return PLAIN[annotation]
    if origin is typing.Annotated:
        return " ".join([in_words(given[0], place), *bounds(given[1:])])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in given)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(each, place) for each in given))
    if origin in (tuple, list, frozenset) or (isinstance(origin, type) and issubclass(origin, tuple | list)):
        several = [in_words(each, place) for each in given if each is not Ellipsis]
        if Ellipsis in given or len(given) == 1:
            return f"list of {several[0].replace('a block', 'blocks').replace('a [part]', '[parts]')}"
        return f"[{', '.join(several)}]"
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{in_words(given[0], place)}: {in_words(given[1], place)}"
    if isinstance(annotation, type) and issubclass(annotation, PartSettings):
        kind = KINDS_BY_PLACE.get(place)
        return f"a [part]({kind.replace('_', '-')}.md)" if kind else "a part"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a block"
    return getattr(annotation, "__name__", str(annotation)).lower()


def default(field: FieldInfo) -> str:
    """The value of a key that is left out; nothing where it must be given."""
    if field.is_required():
        return "**must be given**"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    if isinstance(value, PartSettings):
        return f"`{value.name}`"
    return "" if isinstance(value, BaseModel) else f"`{shown(value) or chr(34) * 2}`"


def shown(value: Any) -> str:
    """As in an experiment file."""
    if isinstance(value, tuple | list | set | frozenset):
        return f"[{', '.join(map(shown, sorted(value) if isinstance(value, set | frozenset) else value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(each)}" for key, each in value.items()) + "}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def said_of(thing: type) -> str:
    """A class's own docstring, up to its attributes; of what it only inherits, nothing."""
    text = cleandoc(vars(thing).get("__doc__") or "")
    return in_markdown(re.split(r"\n(?:Attributes|Args|Raises|Returns):\n", f"{text}\n")[0])


def attributes(block: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a block and its bases say of their attributes."""
    found: dict[str, str] = {}
    for base in reversed(block.__mro__):
        text = cleandoc(vars(base).get("__doc__") or "") if issubclass(base, BaseModel) else ""
        _, head, rest = f"{text}\n".partition("\nAttributes:\n")
        for name, meaning in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", rest, re.MULTILINE) if head else ():
            found[name] = in_markdown(" ".join(meaning.split()))
    return found


def in_markdown(text: str) -> str:
    """A docstring as Markdown: code between single backticks, and indented code after a colon."""
    text = re.sub(r"``([^`]+)``", r"`\1`", text.strip())
    return re.sub(r"(?<!`)<(?=[a-zA-Z/])", r"\\<", re.sub(r"::$", ":", text, flags=re.MULTILINE))


def command_line() -> str:
    """Every command, with what it takes."""
    lines = ["# Commands", NOTE, "What is typed most, in one table: [what a person types](commands.md)."]
    for path, command in commands(typer.main.get_command(app), "rumormill"):
        context = click.Context(command, info_name=path)
        usage = " ".join(command.collect_usage_pieces(context))
        lines += [f"## `{path}`", in_markdown(cleandoc(command.help or "")), f"```\n{path} {usage}\n```"]
        rows = [row for parameter in command.params if (row := of_parameter(parameter, context))]
        if rows:
            lines.append("\n".join(["| | |", "|---|---|", *rows]))
    return "\n\n".join(lines) + "\n"


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Those that do something, with their names."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, f"{path} {name}")
    else:
        yield path, command


def of_parameter(parameter: click.Parameter, context: click.Context) -> str:
    """A row on an argument or an option; nothing where there is nothing to say."""
    name = ", ".join(parameter.opts) if isinstance(parameter, click.Option) else parameter.make_metavar(context)
    text = in_markdown(getattr(parameter, "help", None) or "")
    return f"| `{name}` | {text} |".replace("`|`", "`\\|`")


if __name__ == "__main__":
    for file, text in pages().items():
        (REFERENCE / file).write_text(text, "utf-8")
        print(REFERENCE / file)
