"""Names that people would read as one are told, wherever they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simulator.config.parsing import load_part
from simulator.data.alike import pairs
from simulator.data.dataset import DATASETS
from simulator.data.loading import load
from simulator.deployment.site.example import schema_file

ROWS = "ward,patient,smoker,ill\nA,p1,yes,Sick\nB,P2,Yes,well\na,P1,no,sick\nb,p3,no,well\n"


def notes(root: Path, **settings: object) -> list[str]:
    return list(load(load_part(DATASETS, settings, []), root, "data.dataset").notes)


def alike(root: Path, **settings: object) -> list[str]:
    return [note.split(" differ ")[0] for note in notes(root, **settings) if "differ in case" in note]


def test_those_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "ward.csv").write_text(ROWS)
    settings = {"path": "ward.csv", "target": "ill", "test": None, "site": "ward", "group": "patient"}
    assert alike(tmp_path, name="table", **settings) == [
        "groups 'P1' and 'p1'",
        "classes 'Sick' and 'sick'",
        "sites 'A' and 'a'",
        "sites 'B' and 'b'",
        "categories of 'smoker': 'Yes' and 'yes'",
    ]


def test_folders_of_images(tmp_path: Path) -> None:
    for name in ("Cat", "cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / name / "one.png")
    assert alike(tmp_path, name="image_folder", path=str(tmp_path)) == ["classes 'Cat' and 'cat'"]


def test_the_draft_of_a_schema_says_so(tmp_path: Path) -> None:
    (tmp_path / "ward.csv").write_text(ROWS)
    drafted = schema_file([str(tmp_path / "ward.csv"), "target=ill"])
    assert "# Note: classes 'Sick' and 'sick' differ in" in drafted
    assert "# Note: categories of 'smoker': 'Yes' and 'yes' differ in" in drafted


@pytest.mark.parametrize(
    "names", [["yes", "no"], ["type 1", "type1"], ["1.05", "1.5"], ["1,05", "1,5"], ["0", "00.5"], []]
)
def test_nothing_is_said_of_names_that_differ(names: list[str]) -> None:
    assert not list(pairs("classes", names))


@pytest.mark.parametrize("names", [["7", "07"], ["P1", "p001"], ["ward 0", "ward 00"], ["A", " a"]])
def test_names_that_people_read_as_one_are_told(names: list[str]) -> None:
    (note,) = pairs("groups", names)
    assert note.startswith(f"groups {names[0]!r} and {names[1]!r} differ in case, spaces or leading zeros alone")


def test_of_many_some_are_told() -> None:
    names = [form for number in range(9) for form in (f"p{number}", f"P{number}", f" p{number}")]
    first, *others = pairs("groups", names)
    assert first.startswith("groups 'p0' and 'P0' and ' p0' differ")
    assert len(others) == 4
