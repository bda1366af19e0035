"""YAML as plain data with line numbers; what is more than text, numbers, lists and blocks is refused, never built."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

from simulator.core.errors import InputError, Problem, wrong

Location = tuple[str | int, ...]

LONGEST = 4_000_000  # characters; PyYAML takes half a minute for them
MOST = 200_000  # values, each counted as often as aliases repeat it
DEEPEST = 50
_TAG = "tag:yaml.org,2002:"
# YAML 1.1 without what 1.2 reads as another number or as text: 010 (8 or 10), 1:30 (90), 0b1 and dates stay text.
_PLAIN = {
    "bool": (r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    "float": (
        r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)", "-+0123456789"),
    "merge": (r"<<", "<"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}


class _TooDeep(Exception):
    """Raised with the line, counted from 0."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # instead of PyYAML's own
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """PyYAML goes into depth by recursion, which is limited here."""
        self.depth += 1
        if self.depth > DEEPEST + 1:
            raise _TooDeep(self.peek_event().start_mark.line)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), list(_first))


_SCALARS: Mapping[str, Callable[[yaml.ScalarNode], Any]] = {
    "int": lambda node: int(node.value, 0),
    "merge": lambda node: node.value,
}


@dataclass(frozen=True)
class Document:
    """What a text holds, with text for keys, and the line on which each value stands."""

    content: Any
    lines: Mapping[Location, int]


def read_yaml(text: str, name: str, numbered: bool = True) -> Document:
    """Read one YAML document.

    Args:
        text: the document.
        name: what errors call it.
        numbered: whether errors say the line too.

    Raises:
        InputError: it is not YAML; it holds a tag, an impossible number, a key that is no single word, a key twice, or
            itself; or it is too long, too deep, or its aliases repeat too much.
    """
    reader = _Reader(name, numbered)
    if len(text) > LONGEST:
        raise wrong(name, f"is longer than {LONGEST:,} characters.", "Settings are shorter: is it another file?")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        content = None if root is None else reader.value(loader, root, (), ())
    except _TooDeep as error:
        raise reader.too_deep(error.args[0]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise reader.not_yaml(mark.line if mark else 0, error.problem or error.context) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position))
        raise reader.not_yaml(line, f"it holds the character U+{error.character:04X}") from error
    if reader.problems:
        raise InputError(*reader.problems)
    return Document(content, reader.lines)


@dataclass
class _Reader:
    name: str
    numbered: bool
    lines: dict[Location, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def value(self, loader: _Loader, node: yaml.Node, place: Location, above: tuple[yaml.Node, ...]) -> Any:
        """What ``node`` stands for; ``above`` are the blocks and lists it stands in."""
        line = node.start_mark.line
        self.lines.setdefault(place, line + 1)
        self.count += 1
        if self.count > MOST:
            raise wrong(self._at(line), f"repeats itself to more than {MOST:,} values.", "Use fewer aliases (*name).")
        if any(node is outer for outer in above):
            raise wrong(self._at(line), "contains itself.", "Take out the alias (*name) to the block it stands in.")
        if len(above) > DEEPEST:
            raise self.too_deep(line)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._block(loader, node, place, (*above, node))
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            inner = (*above, node)
            return [self.value(loader, item, (*place, number), inner) for number, item in enumerate(node.value)]
        return self._scalar(loader, node)

    def not_yaml(self, line: int, what: str | None) -> InputError:
        """An error of PyYAML's, on ``line`` counted from 0."""
        return wrong(self._at(line), f"is not YAML: {what}.", "Check indentation, colons and quotes.")

    def too_deep(self, line: int) -> InputError:
        """An error about what stands on ``line``, counted from 0."""
        return wrong(self._at(line), f"is nested more than {DEEPEST} deep.", "Settings are flatter.")

    def _block(
        self, loader: _Loader, node: yaml.MappingNode, place: Location, above: tuple[yaml.Node, ...]
    ) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line
            if not isinstance(key_node, yaml.ScalarNode):
                advice = "A name must stand before the colon: has a template {{ }} been left in?"
                raise wrong(self._at(line), "a block or a list is used as the name of a setting.", advice)
            key = key_node.value
            if key in first:
                what = f"is set twice, first on line {first[key] + 1}."
                self.problems.append(Problem(self._at(line, key), what, "Remove one of the two."))
            first.setdefault(key, line)
            self.lines[(*place, key)] = line + 1
            value = self.value(loader, value_node, (*place, key), above)
            if key_node.tag == f"{_TAG}merge":
                for block in self._merged(value, line):
                    merged = {**block, **merged}
            else:
                own[key] = value
        return {**merged, **own}

    def _merged(self, value: Any, line: int) -> Iterator[dict[str, Any]]:
        for block in value if isinstance(value, list) else [value]:
            if not isinstance(block, dict):
                raise wrong(self._at(line, "<<"), "does not take over a block.", "Write <<: *name, of a block.")
            yield block

    def _scalar(self, loader: _Loader, node: yaml.Node) -> Any:
        kind, what = node.tag.removeprefix(_TAG), ""
        if not isinstance(node, yaml.ScalarNode) or kind not in (*_PLAIN, "str"):
            what = f"the tag !{kind.lstrip('!')} makes it more than text, numbers, lists and blocks."
        else:
            try:
                build: Callable[[yaml.ScalarNode], Any] = _SCALARS.get(kind, loader.construct_object)
                return build(node)
            except (ValueError, KeyError, yaml.YAMLError):
                what = f"{node.value[:40]!r} is not of type {kind}."
        self.problems.append(Problem(self._at(node.start_mark.line), what, "Correct it, or quote it if it is text."))
        return None

    def _at(self, line: int, key: str = "") -> str:
        """Where ``line``, counted from 0, stands."""
        where = f"{self.name}:{line + 1}" if self.numbered else self.name
        return f"{where}: {key}" if key else where
