"""The command ``rumormill new``: a commented experiment for somebody's own data, from options or a few questions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.commands.options import completed, located_paths
from simulator.core.errors import did_you_mean, wrong
from simulator.results.terminal import Terminal

NONE = "none"  # the answer that leaves something out


def new_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The experiment to make.", callback=located_paths)],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="A folder of images, a table (or a folder of them), or a folder of texts.",
            callback=located_paths,
        ),
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="images, table or text; default: as it looks.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="The column to predict.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="The column with the text, of texts in a table.")] = None,
    site: Annotated[
        str | None,
        typer.Option("--site", help="Each site is a node: the column that says it, file, or folder (of images)."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--setting", metavar="NAME=VALUE", help="Another setting of the data, as separator=';'. Repeatable."
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Default: as the target looks.", autocompletion=completed("tasks"))
    ] = None,
    nodes: Annotated[int | None, typer.Option("--nodes", min=1, help="Default: the sites, or 8.")] = None,
    graph: Annotated[
        str, typer.Option("--graph", help="See `rumormill list graphs`.", autocompletion=completed("graphs"))
    ] = "ring",
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="Repeatable; default: plain gossip.", autocompletion=completed("methods")),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option("--epsilon", help="Promise differential privacy; default: none.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How long to train.")] = 60,
) -> None:
    """Make a commented experiment for your own data, which runs as it is; on a terminal, asks for what is not given."""
    from simulator.config.editor import FILE_NAME, write_schema
    from simulator.config.parsing import load_experiment
    from simulator.config.starter import KINDS, Wishes, draft, kind_of, look
    from simulator.core import atomic

    if file.exists():
        raise wrong(str(file), "is there already.", "Choose another name, or remove it.")
    asks = sys.stdin.isatty()
    if data is None:
        if not asks:
            raise wrong("--data", "is missing: where are your data?", "Give a file or a folder.")
        data = Path(typer.prompt("Where are your data (a folder of images or texts, a table, a folder of tables)"))
    if kind is not None and kind not in KINDS:
        raise wrong("--kind", f"there is no kind '{kind}'.", did_you_mean(kind, KINDS, "kinds"))
    data = data.expanduser().resolve()
    others = _read_settings(settings or ())
    found = look(*_asked(kind or ("text" if text else kind_of(data)), data, target, text, site, others, asks))
    if asks and nodes is None and not found.sites:
        nodes = typer.prompt("How many nodes", default=8, type=int)
    if asks and epsilon is None and not methods:
        answer = typer.prompt("Differential privacy: epsilon of each sample, or none", default=NONE)
        epsilon = None if answer == NONE else _number(answer)
    wishes = Wishes(file.name, nodes, graph, task, methods or (), epsilon, rounds)
    made = draft(found, wishes)
    try:
        atomic.write(file, made)
    except OSError as error:
        raise wrong(str(file), f"cannot be written: {error.strerror}.", "Choose another place.") from error
    try:
        load_experiment(file)
    except BaseException:
        file.unlink()
        raise
    if not (schema := file.with_name(FILE_NAME)).exists():
        write_schema(schema)
    print(file)
    sites = f", {len(found.sites)} sites" if found.sites else ""
    said = f"{found.samples:,} samples{sites}. Run it with: rumormill run {file}"
    terminal = Terminal(stderr=True)
    for note in found.notes:
        terminal.print(f"note: {note}", soft_wrap=True)
    terminal.print(said, soft_wrap=True)


def _asked(
    kind: Any, data: Path, target: str | None, text: str | None, site: str | None, others: Mapping[str, Any], asks: bool
) -> tuple[Any, ...]:
    """What is to be known of the data, with what was not given asked for."""
    from simulator.config.starter.own_data import columns_of

    if asks and kind == "table":
        known = columns_of(data, others)
        target = target or typer.prompt(f"Which column is to be predicted ({', '.join(known)})")
        if site is None and data.is_file():
            site = typer.prompt("Which column says the site of a row, or none", default=NONE)
    return kind, data, target, text, None if site == NONE else site, others


def _read_settings(given: Sequence[str]) -> dict[str, Any]:
    """Settings of the data set by name; values are read as YAML, single signs such as ``,`` and ``|`` as they are."""
    from simulator.config.yaml_file import read_value

    found = dict[str, Any]()
    for setting in given:
        name, _, value = setting.partition("=")
        if not (name and value):
            raise wrong("--setting", f"'{setting}' gives none.", "Write name=value, for example separator=';'.")
        is_sign = len(value) == 1 and not value.isalnum()
        found[name] = value if is_sign else read_value(value, f"--setting {name}")
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise wrong("--epsilon", f"'{text}' is no number.", "Give a number such as 8, or none.") from None
