"""Docstrings from the text of modules: those that importing them would give, or none."""

import ast
import sys

import pytest

from simulator.core.source_text import NotInTheTextError, docstring, functions_in

MODULES = {
    "__init__": """
from .inner import Shown as Renamed
from unread.inner import Plain
raise RuntimeError("this package has been imported")
""",
    "inner": '''
class Shown:
    """What it is.

    And more.
    """

class Plain:
    """The first one."""

class Plain:
    """The last one."""

class Bare:
    """Of an older one."""

class Bare:
    value = 1

class Changed:
    """Before."""

Changed = dict

if True:
    class Perhaps:
        """Perhaps."""

try:
    from missing import Fast
except ImportError:
    Fast = None

def function():
    """Does it."""

def other():
    """Does another."""

class Raw:
    r"""Raw: \\d."""

    value = 1

class Remarked:
    # A remark.
    "In short."

    def method(self):
        pass

class Quoting:
    """It quotes."""

    one = """
class Quoted:
    """ """
    """

class Quotes:
    """It quotes, too."""

    two = \'\'\'
class Thrice:
    """Not one."""
    \'\'\'

TABLE: dict[str, object] = {each.__name__: each for each in (*(function,), other)}
PLAIN = {"function": function}
''',
    "odd": '''
def bracketed():
    """It closes at the left edge."""
    return (
        1
)

def last(value={
    "key": 1
}):
    """The last function."""
''',
    "outer": 'class Shown:\n    """What it is."""\n' + "\n    def again(self):\n        return self.again()\n" * 100,
    "broken": "class Shown:\n",
}


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    folder = tmp_path / "unread"
    folder.mkdir()
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    (tmp_path / "a_file.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    assert "unread" not in sys.modules


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("unread.inner", "Shown", "What it is."),
        ("unread.inner", "Plain", "The last one."),
        ("unread.inner", "function", "Does it."),
        ("unread.inner", "Raw", r"Raw: \d."),
        ("unread.inner", "Remarked", "In short."),
        ("unread.inner", "Quoting", "It quotes."),
        ("unread.inner", "Quotes", "It quotes, too."),
        ("unread.odd", "bracketed", "It closes at the left edge."),
        ("unread.odd", "last", "The last function."),
        ("unread", "Renamed", "What it is."),
        ("unread", "Plain", "The last one."),
    ],
)
def test_it_is_read_where_the_name_is_bound(module, name, expected):
    assert docstring(module, name).splitlines()[0] == expected


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("unread.inner", name) for name in ("Bare", "Changed", "Perhaps", "Fast", "Quoted", "Thrice")),
        *(("unread.inner", name) for name in ("Missing", "Shown.Inner", "")),
        *(
            (module, "Shown")
            for module in ("unread.broken", "unread.missing", "missing", "a_file.inner", "math", "sys")
        ),
    ],
)
def test_what_only_importing_would_tell_is_not_guessed(module, name):
    with pytest.raises(NotInTheTextError):
        docstring(module, name)


def test_bodies_of_functions_are_not_parsed(monkeypatch):
    parsed, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda text: parsed.append(text) or parse(text))
    assert docstring("unread.outer", "Shown") == "What it is."
    assert [len(text) < 200 for text in parsed] == [True]


def test_a_table_of_functions_is_read():
    assert sorted(functions_in("unread.inner", "TABLE")) == ["function", "other"]
    with pytest.raises(NotInTheTextError):
        functions_in("unread.inner", "PLAIN")
