"""The documentation as tests read it: its pages, and in each the headings, links, blocks of code and commands."""

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"^(?:# |\{#- )?(?:# )?([\w./-]+\.(?:py|yaml|yml|csv|toml))$")


class Block(NamedTuple):
    """Code between fences.

    Attributes:
        language: as it stands behind the fence.
        text: what is between.
        file: what its first line, a comment, says that it is called; None: it does not.
    """

    language: str
    text: str

    @property
    def file(self) -> str | None:
        first = self.text.partition("\n")[0]
        found = NAMED.match(first) if first.startswith("# ") else None
        return found[1] if found else None

    def commands(self) -> list[list[str]]:
        """Of a block of shell: its lines, joined where they go on, as words."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


@dataclass(frozen=True)
class Page:
    """A page in Markdown."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def prose(self) -> str:
        """Without code between fences."""
        return FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        return [Block(*found) for found in FENCE.findall(self.text)]

    def of(self, language: str) -> list[Block]:
        return [block for block in self.blocks if block.language == language]

    @property
    def links(self) -> list[str]:
        """Targets of links and pictures, code aside."""
        return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", self.prose))

    @cached_property
    def anchors(self) -> set[str]:
        """Of its headings, as a forge makes them."""
        return {_slug(title) for title in re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)}

    @property
    def inline(self) -> list[str]:
        """What stands between single backticks."""
        return [re.sub(r"\s+", " ", found) for found in re.findall(r"(?<!`)`([^`]+)`(?!`)", self.prose)]

    def write_files(self, folder: Path) -> None:
        """Those of its blocks that say what file they are."""
        for block in self.blocks:
            if block.file:
                (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
                (folder / block.file).write_text(block.text)


def _slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def page(name: str) -> Page:
    """The one at a path below the repository."""
    return Page(ROOT / name)


PAGES = [Page(path) for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))]
