"""The front door: short, and true. What the other pages show is tested in `documentation`."""

import re

import pytest
from reference.markdown import ROOT, page

README = page("README.md")


def test_it_is_short():
    assert len(README.text.splitlines()) <= 150


def test_its_two_commands_are_complete():
    """Each makes an environment, installs this repository into it, and does its job."""
    commands = [block.text for block in README.of("sh")]
    assert len(commands) == 2
    for command, job in zip(commands, ("rumormill run quickstart", "python -m pytest"), strict=True):
        assert [step.split()[0].rpartition("/")[2] for step in command.split("&&")[:2]] == ["python3", "pip"]
        assert command.strip().endswith(f".venv/bin/{job}")


@pytest.mark.parametrize("name", ["README.md", "docs/house.md"])
def test_the_file_tree_is_that_of_the_repository(name):
    (tree,) = re.findall(r"```\n(pyproject.toml.*?)```", page(name).text, re.DOTALL)
    folder = ROOT
    for line in tree.splitlines():
        entry = line.split()[0]
        if line.startswith("   " * 3):
            continue
        if not line.startswith(" "):
            folder = ROOT / entry if entry.endswith("/") else ROOT
            assert (ROOT / entry).exists(), entry
        else:
            assert (folder / entry).exists(), entry


def test_the_whole_house_is_told():
    """Of every folder that git keeps, there is a line."""
    (tree,) = re.findall(r"```\n(pyproject.toml.*?)```", page("docs/house.md").text, re.DOTALL)
    for package in ("topologies", "simulator", "methods", "auditing"):
        for folder in (ROOT / package).iterdir():
            if (folder / "__init__.py").exists() and package != "methods":  # one paper each, listed elsewhere
                assert re.search(rf"\b{folder.name}/", tree), folder
