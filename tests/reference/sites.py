"""Tables of four sites of very different sizes, one of which has no sample of one class, and an experiment on them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from simulator import load_experiment
from simulator.config.experiment import Experiment

SIZES = {"berlin": 130, "lyon": 46, "oslo": 24, "turin": 61}
WARDS = ("a", "b", "c")
SCHEMA = {
    "kind": "table",
    "columns": [
        {"name": "age", "mean": 0.5, "std": 2.0},
        {"name": "ward", "categories": list(WARDS)},
        {"name": "dose", "mean": -1.0, "std": 0.5, "may_miss": True},
    ],
    "target": {"classes": ["no", "yes", "unclear"]},
}


def rows_of(site: str) -> list[dict[str, str]]:
    """What the site has written down, of groups of two rows; at oslo, no case is unclear."""
    return _rows(site, list(SIZES).index(site), SIZES[site], 2 if site == "oslo" else 3)


def example_rows() -> list[dict[str, str]]:
    """Rows like the sites', of nobody."""
    return _rows("example", len(SIZES), 40, 3)


def _rows(name: str, seed: int, size: int, classes: int) -> list[dict[str, str]]:
    rng, found = np.random.default_rng(seed), []
    for number in range(size):
        outcome = int(rng.integers(classes))
        dose = "" if rng.random() < 0.1 else f"{rng.normal() - outcome:.4f}"
        found.append({
            "patient": f"{name}-{number // 2}",
            "age": f"{rng.normal() + outcome:.4f}",
            "ward": WARDS[rng.integers(3)],
            "dose": dose,
            "outcome": SCHEMA["target"]["classes"][outcome],  # type: ignore[index]
        })  # fmt: skip
    return found


def write_table(file: Path, rows: list[dict[str, str]]) -> Path:
    """A CSV file of these rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def write_sites(folder: Path, sites: Any = tuple(SIZES)) -> Path:
    """The folder with a file for each of ``sites``."""
    for site in sites:
        write_table(folder / f"{site}.csv", rows_of(site))
    return folder


def content_of(folder: Path, **data: Any) -> dict[str, Any]:
    """An experiment on the sites in ``folder``, as plain data."""
    return {
        "name": "sites",
        "rounds": 6,
        "topology": {"graph": "ring", "nodes": len(SIZES)},
        "data": {
            "dataset": {"name": "table", "path": str(folder), "target": "outcome", "group": "patient"},
            "sites": {"names": list(SIZES), "data_schema": SCHEMA},
            "test": "own",
            "validation": 0.1,
            "held_out": 0.2,
            **data,
        },
        "model": {"name": "mlp", "hidden": [8]},
        "training": {"batch_size": 8, "precision": "fp64", "trainer": "sequential", "optimizer": {"lr": 0.1}},
        "backend": {"name": "local", "workers": 1},
        "evaluate": {"every": 2},
    }


def sites(folder: Path, *overrides: str, **data: Any) -> Experiment:
    """The experiment on the sites in ``folder``."""
    return load_experiment(content_of(folder, **data), overrides)
