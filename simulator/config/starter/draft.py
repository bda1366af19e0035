"""The text of an experiment for somebody's own data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from simulator.config.editor import FILE_NAME, modeline
from simulator.config.starter.own_data import OwnData
from simulator.core.errors import wrong

NO_NAME, LONGEST = re.compile(r"[^A-Za-z0-9._-]+"), 100  # of what an experiment may be called
NODES = 8  # where the data name no sites
BATCH = 16  # at most
MODELS = {
    "images": {"name": "cnn", "width": 16},
    "table": {"name": "mlp", "hidden": [64]},
    "text": {"name": "transformer_text", "layers": 1, "heads": 4, "width": 64},
}


@dataclass(frozen=True)
class Wishes:
    """What somebody has chosen; None is left to what suits the data.

    Attributes:
        file: the name of the experiment's file, without a folder.
        methods: by name, with their own defaults.
        epsilon: a promise of differential privacy for each sample, kept by DP-SGD.
    """

    file: str
    nodes: int | None = None
    graph: str = "ring"
    task: str | None = None
    methods: Sequence[str] = ()
    epsilon: float | None = None
    rounds: int = 60


def draft(data: OwnData, wishes: Wishes) -> str:
    """A commented experiment, as YAML.

    Raises:
        InputError: the number of nodes is not that of the sites.
    """
    if data.sites and wishes.nodes not in (None, len(data.sites)):
        what = f"{wishes.nodes} nodes are asked for, and the data name {len(data.sites)} sites."
        raise wrong("--nodes", what, "Leave it out: each site is a node.")
    nodes = len(data.sites) or wishes.nodes or NODES
    environment = Environment(
        loader=PackageLoader("simulator.config.starter", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"], environment.filters["line"] = _as_yaml, _on_a_line
    return environment.get_template("experiment.yaml").render(
        modeline=modeline(FILE_NAME),
        name=NO_NAME.sub("-", Path(wishes.file).stem).strip("-._")[:LONGEST] or "own-data",
        data=data,
        wishes=wishes,
        nodes=nodes,
        task=wishes.task or _task(data),
        model=MODELS[data.kind],
        batch=max(1, min(BATCH, data.samples // nodes // 2)),
        rate=0.03 if data.kind == "text" else 0.05,
        every=max(1, wishes.rounds // 6),
    )


def _task(data: OwnData) -> str:
    if data.kind == "text" and not data.classes:
        return "next_token"
    if data.fractional:
        return "regression"
    return "binary" if data.kind == "table" and len(data.classes) == 2 else "classification"


def _on_a_line(text: str) -> str:
    """For a comment, which ends with its line: names are data, and data set nothing."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _as_yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=inf, sort_keys=False, allow_unicode=True).strip()
    return text.removesuffix("...").strip()
