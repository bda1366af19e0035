"""What modules say of their classes and functions, read from their text: nothing is imported, and nothing executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from typing import NamedTuple

DOCUMENTED = re.compile(r'^(?:class|def) (\w+)\b.*:\n    """([^"\\]+)"""\n', re.MULTILINE)  # on lines of their own


class NotInTheTextError(Exception):
    """What was asked for is known only to who imports the module."""


class Origin(NamedTuple):
    """What a name was imported from; a module that is written with dots begins at the importing one."""

    module: str
    name: str


def docstring(module: str, name: str) -> str:
    """That of the class or function called ``name`` in ``module``, or in the module that this one has it from.

    Raises:
        NotInTheTextError: there is no such text, it binds the name otherwise than by ``class``, ``def`` or
            ``from ... import`` at its left edge, or it has no docstring there.
    """
    if name in (plain := _written_plainly(module)):
        return plain[name]
    found = _names(module).get(name)
    if isinstance(found, Origin):
        return docstring(resolve_name(found.module, _spec(module).parent), found.name)
    if not found:
        raise NotInTheTextError(f"{module}:{name}")
    return found


def functions_in(module: str, table: str) -> list[str]:
    """The names in a table of ``module``, which is written as ``{each.__name__: each for each in (...)}``.

    Raises:
        NotInTheTextError: there is no such table.
    """
    for statement in _parsed(module).body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.DictComp(generators=[each])) if found == table:
                return [part.id for part in ast.walk(each.iter) if isinstance(part, ast.Name)]
    raise NotInTheTextError(f"{module}:{table}")


@cache
def _written_plainly(module: str) -> Mapping[str, str]:
    """The docstrings of names that stand nowhere else in ``module``; to parse it takes ten times as long."""
    text = _text(module)
    return {name: found for name, found in DOCUMENTED.findall(text) if text.count(name) == 1}


@cache
def _names(module: str) -> Mapping[str, Origin | str | None]:
    """The docstring or the origin of each name that ``module`` binds at its left edge; None if it is not known."""
    found: dict[str, Origin | str | None] = {}
    for statement in _parsed(module).body:
        match statement:
            case ast.ClassDef() | ast.FunctionDef():
                found[statement.name] = ast.get_docstring(statement, clean=False)
            case ast.ImportFrom():
                source = "." * statement.level + (statement.module or "")
                found |= {alias.asname or alias.name: Origin(source, alias.name) for alias in statement.names}
            case _:
                found |= {name: None for part in ast.walk(statement) if (name := _bound_by(part))}
    return found


def _bound_by(part: ast.AST) -> str | None:
    """The name that ``part`` of a statement gives a meaning to."""
    match part:
        case ast.Name(id=name, ctx=ast.Store()) | ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return name
        case ast.alias(name=name, asname=other):
            return other or name
    return None


def _parsed(module: str) -> ast.Module:
    try:
        return ast.parse(_text(module))
    except (SyntaxError, ValueError) as error:
        raise NotInTheTextError(module) from error


@cache
def _text(module: str) -> str:
    loader = _spec(module).loader
    try:
        return (loader.get_source(module) if isinstance(loader, InspectLoader) else None) or ""
    except (SyntaxError, ValueError, ImportError) as error:
        raise NotInTheTextError(module) from error


def _spec(module: str) -> ModuleSpec:
    """Where ``module`` is found. `find_spec` alone would import the packages that it is in."""
    top, *below = module.split(".")
    spec = find_spec(top)
    for name in below:
        places = spec and spec.submodule_search_locations
        spec = PathFinder.find_spec(f"{spec.name}.{name}", places) if spec and places else None
    if spec is None:
        raise NotInTheTextError(module)
    return spec
