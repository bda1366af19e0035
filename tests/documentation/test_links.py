"""Whatever a page names is there: pages, headings, files, recipes."""

import re

import pytest
from reference.markdown import PAGES, ROOT, Page, page

from simulator.config.recipe_files import recipes

PLACES = r"(?:\.ci|\.github|auditing|docs|examples|methods|simulator|tests|topologies)/[\w./-]*"


@pytest.mark.parametrize("read", PAGES, ids=str)
def test_every_link_leads_to_a_page_and_a_heading(read):
    for link in read.links:
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        path, _, anchor = link.partition("#")
        target = Page((read.path.parent / path).resolve() if path else read.path)
        assert target.path.is_relative_to(ROOT), link
        assert target.path.exists(), link
        assert not anchor or anchor in target.anchors, link


@pytest.mark.parametrize("read", PAGES, ids=str)
def test_every_file_named_exists(read):
    """As a path below the repository, alone or in a command."""
    commands = "\n".join(block.text for block in read.of("sh"))
    for name in re.findall(rf"(?<![\w./:-]){PLACES}", "\n".join((*read.inline, commands))):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("read", PAGES, ids=str)
def test_every_recipe_named_exists(read):
    sweeps = {file.name for file in (ROOT / "simulator" / "recipes" / "sweeps").iterdir()}
    for name in re.findall(r"rumormill (?:run|deploy local) ([a-z][a-z0-9-]+)(?![\w.:/-])", read.text):
        assert name in recipes(), name
    for name in read.inline:
        if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+\.yaml", name):
            assert name in sweeps, name


def test_every_page_is_reached_from_the_readme():
    """On a forge, where no table of contents shows; new ones of a folder by the ``*`` in that of its index."""
    waiting, seen = [page("README.md")], set()
    while waiting:
        read = waiting.pop()
        if read.path in seen or not read.path.exists() or read.path.suffix != ".md":
            continue
        seen.add(read.path)
        targets = [link.partition("#")[0] for link in read.links if not re.match(r"[a-z]+:", link)]
        waiting += [Page((read.path.parent / target).resolve()) for target in targets if target]
        if any(block.language == "{toctree}" and "\n*\n" in block.text for block in read.blocks):
            waiting += map(Page, read.path.parent.glob("*.md"))
    assert {read.path for read in PAGES if read.path.is_relative_to(ROOT / "docs")} <= seen


def test_every_picture_is_shown():
    shown = {(read.path.parent / link).resolve() for read in PAGES for link in read.links}
    assert set((ROOT / "docs" / "images").iterdir()) <= shown
