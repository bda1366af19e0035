"""What a user's file imports from its own folder: found in its text, without executing it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from simulator.core.errors import wrong
from simulator.hidden import PACKAGES

OTHERS = frozenset((*sys.stdlib_module_names, *PACKAGES))


def parsed(text: str, name: str) -> ast.Module:
    """The syntax tree of ``text``.

    Raises:
        InputError: it is no Python.
    """
    try:
        return ast.parse(text, name)
    except SyntaxError as error:
        raise wrong(f"{name}:{error.lineno}", f"is not Python: {error.msg}.", "Correct the file.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise wrong(name, f"is not Python: {error}.", "Correct the file.") from error


def imported(tree: ast.Module, path: Path) -> list[str]:
    """The names of the files beside ``path`` that its ``tree`` imports, sorted.

    Raises:
        InputError: an import is not of a file beside it, or might be of something else as well.
    """
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    found = set()
    for statement in statements:
        where = f"{path.name}:{statement.lineno}"
        for name, relative in _names(statement, where):
            root, dot, _ = name.partition(".")
            if (path.parent / f"{root}.py").is_file():
                if not relative and root in OTHERS:
                    what = f"imports {root}, and so is a file beside it called."
                    raise wrong(where, what, f"Rename {root}.py: nobody can tell which of the two is meant.")
                if dot:
                    raise wrong(where, f"imports {name}, and {root}.py is no folder.", f"Import {root}.")
                found.add(root)
            elif relative:
                what = f"imports {root} from its folder, where there is no {root}.py."
                raise wrong(where, what, "Only files beside it go with it: install folders of code as a package.")
    return sorted(found)


def _names(statement: ast.Import | ast.ImportFrom, where: str) -> Iterator[tuple[str, bool]]:
    """What it imports, and whether from the file's own folder, by a leading dot."""
    if isinstance(statement, ast.Import):
        yield from ((alias.name, False) for alias in statement.names)
    elif statement.level > 1:
        what = "imports from outside of its folder."
        raise wrong(where, what, "Put what it needs into files beside it, or install the whole as a package.")
    else:
        names = [statement.module] if statement.module else [alias.name for alias in statement.names]
        yield from ((name, statement.level == 1) for name in names)


class Renaming(ast.NodeTransformer):
    """Lets imports of files beside a file find them by the names of their modules.

    Args:
        modules: those names, by the names that stand in the file.
    """

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def visit_Import(self, node: ast.Import) -> ast.AST:  # noqa: D102
        node.names = [self._renamed(alias) for alias in node.names]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:  # noqa: D102
        if node.module and node.module in self._modules:
            node.module, node.level = self._modules[node.module], 0
        elif node.level == 1 and not node.module:
            return ast.copy_location(ast.Import([self._renamed(alias) for alias in node.names]), node)
        return node

    def _renamed(self, alias: ast.alias) -> ast.alias:
        if alias.name not in self._modules:
            return alias
        return ast.alias(self._modules[alias.name], alias.asname or alias.name)
