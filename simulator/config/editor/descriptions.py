"""What docstrings say: of the thing itself, and of each of its settings."""

from __future__ import annotations

import re
from inspect import cleandoc

SECTION = re.compile(r"^(?:Attributes|Args|Raises|Returns):$", re.MULTILINE)
SETTING = re.compile(r"^    (\w+): (.*(?:\n(?:     .*|(?=\n)))*)", re.MULTILINE)


def about(docstring: str | None) -> str:
    """What comes before the first section, each paragraph on one line."""
    return _flowing(SECTION.split(cleandoc(docstring or ""))[0])


def about_each(docstring: str | None, section: str = "Attributes") -> dict[str, str]:
    """What the section called so says, by name."""
    _, _, text = cleandoc(docstring or "").partition(f"\n{section}:\n")
    return {name: _flowing(said) for name, said in SETTING.findall(SECTION.split(text)[0])}


def _flowing(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph)
