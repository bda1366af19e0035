"""Every command that a page shows is one: it parses, its experiment is valid, its audit has such settings."""

import re
from pathlib import Path

import pytest
import typer
from click import Command, Context, Group
from reference.markdown import PAGES, ROOT, Block
from typer.testing import CliRunner

from simulator import load_experiment
from simulator.cli import app
from simulator.config.recipe_files import recipes
from simulator.core.part_names import names
from simulator.listing import LISTED
from simulator.runs.audit import audit_settings

ROOT_COMMAND = typer.main.get_command(app)
ENDS = (">", "|", "&", "&&", ";", "...")  # of a command
QUICK = ("list", "topology")  # they are typed, too
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*$|\[?[A-Z|a-z]+=VALUE\]?")
REPLICAS = "replicas"


def rumormills(block: Block) -> list[list[str]]:
    """What a block of shell has ``rumormill`` do: its words, up to where they go to a file or another command."""
    found = []
    for words in block.commands():
        while "rumormill" in words or any(word.endswith("/rumormill") for word in words):
            start = next(place for place, word in enumerate(words) if word.rpartition("/")[2] == "rumormill")
            rest = words[start + 1 :]
            end = next((place for place, word in enumerate(rest) if word in ENDS or word.endswith(";")), len(rest))
            last = [rest[end].rstrip(";")] if end < len(rest) and rest[end] not in ENDS else []
            found.append(rest[:end] + last)
            words = rest[end + 1 :]
    return found


def leaf(words: list[str]) -> tuple[Command, list[str]]:
    """The command that ``words`` name, and the rest of them."""
    command: Command = ROOT_COMMAND
    while isinstance(command, Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"rumormill has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


SHOWN = [(page, words) for page in PAGES for block in page.of("sh") for words in rumormills(block)]
INLINE = sorted({code for page in PAGES for code in page.inline if re.match(r"rumormill [a-z]", code)})


def test_commands_are_found():
    """The rest of this file looks at them."""
    assert len(SHOWN) > 40
    assert {"run", "audit", "sweep", "compare", "site", "deploy"} <= {words[0] for _, words in SHOWN}


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=lambda each: " ".join(each) if type(each) is list else str(each))
def test_a_command_in_a_block_can_be_typed(page, words, tmp_path, monkeypatch):
    for path in (ROOT / "simulator", ROOT / "tests", ROOT / "examples"):
        if path.exists():
            (tmp_path / path.name).symlink_to(path)
    page.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    command, rest = leaf(words)
    context = command.make_context(command.name, list(rest))
    check = {"run": an_experiment, "local": an_experiment, "init": an_experiment, "audit": an_audit, "sweep": a_file}
    if page.path.parent.name != "tutorials":  # which are followed
        check.get(command.name, lambda given: None)(context)


def an_experiment(context: Context) -> None:
    given = context.params
    if "experiment" in given and is_known(given["experiment"]):
        load_experiment(given["experiment"], given["overrides"] or [])


def an_audit(context: Context) -> None:
    given, path = context.params, context.params["path"]
    if path and path.name in recipes():
        load_experiment(path.name)
    elif path and path.suffix == ".yaml":
        load_experiment(path)
    chosen = {name: given[name] for name in ("attacks", "signals", "views", REPLICAS) if given[name]}
    audit_settings(given["name"], chosen, given["overrides"] or [])
    assert set(given["signals"] or ()) <= set(names("signals"))
    assert set(given["views"] or ()) <= set(names("views"))


def a_file(context: Context) -> None:
    path = str(context.params["path"])
    assert PLACEHOLDER.match(path) or Path(path).exists()


def is_known(experiment: str) -> bool:
    """Neither a word for whatever somebody has, nor a file that the page leaves to its reader."""
    return not PLACEHOLDER.match(experiment) and (experiment in recipes() or Path(experiment).exists())


@pytest.mark.parametrize("code", INLINE)
def test_a_command_in_a_sentence_has_such_options(code):
    words = code.split()[1:]
    command, rest = leaf([word for word in words if word != "..."])
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in rest:
        assert not word.startswith("--") or word.partition("=")[0] in known, word
    if any(PLACEHOLDER.match(word) for word in rest):
        return
    if command.name == "list" and rest:
        assert set(rest[0].split("|")) <= set(LISTED)
    if command.name in QUICK and "|" not in code and (rest or command.name == "list"):
        assert CliRunner().invoke(app, words).exit_code == 0


def test_the_table_of_commands_names_commands():
    (table,) = [block.text for page in PAGES if str(page) == "docs/reference/commands.md" for block in page.blocks]
    for line in table.splitlines():
        command, _ = leaf(line.split()[1:])
        assert not isinstance(command, Group), line
