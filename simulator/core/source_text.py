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

# A class or function at the left edge: what stands before its body, and this. None whose docstring is hard to tell.
DEFINITION = re.compile(
    r"""^( (?:class|def)[ ].*:\n
          (?: [ ]{4}"{3}(?:[^"\\]|"(?!""))*"{3}\n | (?!\s*(?:[#]|\w*["'])) ) )
        ( (?:\n|[ ]{4}.*\n)+ )""",
    re.MULTILINE | re.VERBOSE,
)


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


@cache
def _parsed(module: str) -> ast.Module:
    """The text of ``module``; where that is easy, without what functions do, which takes long to parse."""
    text = _text(module)
    try:
        return ast.parse(DEFINITION.sub(_without_body, text))
    except SyntaxError:  # it was not so easy
        pass
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise NotInTheTextError(module) from error


def _without_body(definition: re.Match[str]) -> str:
    """Nothing is left out where a text over several lines might begin or end in the body."""
    head, body = definition.groups()
    return definition[0] if "'''" in body or body.count('"""') % 2 else f"{head}    pass\n"


@cache
def _text(module: str) -> str:
    loader = _spec(module).loader
    try:
        return (loader.get_source(module) if isinstance(loader, InspectLoader) else None) or ""
    except (SyntaxError, ValueError, ImportError) as error:
        raise NotInTheTextError(module) from error


@cache
def _spec(module: str) -> ModuleSpec:
    """Where ``module`` is found. `find_spec` alone would import the packages that it is in."""
    package, _, _ = module.rpartition(".")
    if package:
        places = _spec(package).submodule_search_locations
        spec = PathFinder.find_spec(module, places) if places else None
    else:
        spec = find_spec(module)
    if spec is None:
        raise NotInTheTextError(module)
    return spec
