"""Data for recipes in tests: random images and a few short documents, in the place of large ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WORDS = ("the", "people", "of", "these", "States", "have", "a", "right", "to", "peace", "and", "plenty")
NAMES = ("Ann", "Bob", "Cyd", "Dee")


def needs(content: Mapping[str, Any]) -> None:
    """Skip the test where a package or an extra is not there that the experiment reads from."""
    packages = [part.split("/")[0].strip("\"' ,}") for part in json.dumps(content).split("package:")[1:]]
    extras = {"huggingface": ["transformers", "peft"], "timm": ["timm"]}.get(content["model"]["name"], [])
    extras += ["pandas"] if content["data"]["dataset"]["name"] in ("table", "text") else []
    missing = [name for name in (*packages, *extras) if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def picture_folder(folder: Path) -> dict[str, Any]:
    """The data set of 120 random images of two classes, as files."""
    rng = np.random.default_rng(0)
    for number in range(120):
        path = folder / ("test" if number < 8 else "train") / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return {"name": "image_folder", "path": str(folder), "size": 16}


def documents(dataset: Mapping[str, Any], sites: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """The data set ``text`` with its own settings, of 12 short documents by each of ``sites``, or of four authors."""
    rng, names = np.random.default_rng(0), sites or NAMES
    rows = [
        {
            "text": " ".join(rng.choice(WORDS, 20)),
            "president_full": name,
            "sotu_type": ("spoken", "written")[(number + place) % 2],
        }
        for place, name in enumerate(names)
        for number in range(12)
    ]
    path = folder / "documents.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return {**dataset, "path": str(path), "text": "text", "text_file": None, "length": 8}


def site_tables(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The data set of 60 random rows a site, in pairs that belong together, by the experiment's own schema."""
    rng, dataset, sites = np.random.default_rng(0), content["data"]["dataset"], content["data"]["sites"]
    columns = sites["data_schema"]["columns"]
    for name in sites["names"]:
        lines = [",".join([*(column["name"] for column in columns), dataset["target"], dataset["group"]])]
        for row in range(60):
            cells = [rng.choice(each["categories"]) if each["categories"] else rng.normal() for each in columns]
            lines.append(",".join(map(str, [*cells, rng.integers(2), row // 2])))
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return {**dataset, "path": str(folder)}


def in_place_of(content: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """A small data set of the kind that the experiment has, where it is one of text, tables or image files."""
    dataset, partition = content["data"]["dataset"], content["data"]["partition"]
    if content["data"]["sites"]:
        return site_tables(content, folder)
    if dataset["name"] == "image_folder":
        return picture_folder(folder)
    if dataset["name"] == "table":  # small as it is
        return dict(dataset)
    return documents(dataset, partition.get("sites", ()), folder) if dataset["name"] == "text" else None


def divided_as(content: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment's partition where it is by sites, which the data name, and else equal random parts."""
    partition: dict[str, Any] = content["data"]["partition"]
    return partition if partition["name"] == "by_site" else {"name": "iid"}
