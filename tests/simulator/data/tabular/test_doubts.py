"""What may be meant otherwise is told, and what is plain is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.config.parsing import load_part
from simulator.data.dataset import DATASETS
from simulator.data.tabular.doubts import apart, extremes, telling

ROWS = 24
CELLS = {
    "some words among numbers": lambda row: "unknown" if row % 6 == 0 else row / 2,
    "thousands": lambda row: f'"1,{100 + row}"',
    "percent": lambda row: f"{row}%",
    "money": lambda row: f"$ {row}.50",
    "decimal comma": lambda row: f'"{row},5"',
    "dates": lambda row: f"2026-01-{row + 1:02}",
    "dates that recur": lambda row: f"{row % 4 + 1:02}.02.2026 10:00",
    "units": lambda row: f"{row} mg",
    "units that recur": lambda row: f"{row % 4}mg",
    "several units": lambda row: f"{row} {'mg' if row % 2 else 'g'}",
    "stages": lambda row: f"{row % 3}{'ab'[row % 2]}",
    "the target": lambda row: "alive" if row % 2 else "dead",
    "the target as numbers": lambda row: 3 + row % 2,
    "names": lambda row: f"patient {row}",
    "words": lambda row: ("low", "middle", "high")[row % 3],
    "numbers": lambda row: row / 7,
    "codes": lambda row: f"A{row % 3}",
    "a gap's code": lambda row: -999 if row % 6 == 0 else row / 7,
    "a slip": lambda row: 1e30 if row == 3 else row / 7,
    "a long tail": lambda row: 2.0 ** (row / 2),
    "few numbers among words": lambda row: row if row % 4 == 0 else ("low", "high")[row % 2],
}


def notes(folder: Path, cells: str, target: object = None, **settings: object) -> list[str]:
    """Those on a table with one column of such ``cells``, but for the order of classes."""
    rows = [
        f"{CELLS[cells](row)},{target(row) if callable(target) else 'no' if row % 2 else 'yes'}" for row in range(ROWS)
    ]
    (folder / "table.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    block = {"name": "table", "path": "table.csv", "target": "y", "test": None} | settings
    found = DATASETS.build(load_part(DATASETS, block, [])).load(folder).notes
    return [note for note in found if "in this order" not in note]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ("some words among numbers", "'x' is read as 21 categories, since 4 of its 24 values are no numbers (unknown)"),
        ("thousands", "'x' is of numbers that are spelt as no number is here, such as '1,100', and read as 24"),
        ("percent", "'x' is of numbers that are spelt as no number is here, such as '0%'"),
        ("money", "'x' is of numbers that are spelt as no number is here, such as '$ 0.50'"),
        ("decimal comma", "'x' is of numbers that are spelt as no number is here, such as '0,5'"),
        ("dates", "'x' is of dates, such as '2026-01-01', each of 24 a category of its own: leave the column out"),
        ("dates that recur", "'x' is of dates, such as '01.02.2026 10:00', each of 4 a category of its own"),
        (
            "units",
            "'x' is of numbers with a unit, such as '0 mg', and read as 24 categories: if it is a quantity",
        ),
        ("units that recur", "'x' is of numbers with a unit, such as '0mg', and read as 4 categories"),
        (
            "several units",
            "'x' has 24 different texts in 24 rows, each a category of its own: if they name rows, leave",
        ),
        ("names", "'x' has 24 different texts in 24 rows"),
        ("a gap's code", "of 24 values of 'x', 4 are -999, and all others from 0.142857 to 3.28571: if it stands"),
        ("a slip", "of 24 values of 'x', 1 are 1e+30, and all others from 0 to 3.28571"),
    ],
)
def test_a_column_that_may_be_meant_otherwise_is_told(tmp_path: Path, cells: str, told: str) -> None:
    (note,) = notes(tmp_path, cells)
    assert note.startswith(told)
    assert not notes(tmp_path, cells, categorical=["x"])


@pytest.mark.parametrize("cells", ["words", "numbers", "codes", "stages", "few numbers among words"])
def test_nothing_is_said_of_what_is_plain(tmp_path: Path, cells: str) -> None:
    assert not notes(tmp_path, cells)


def test_what_it_advises_helps(tmp_path: Path) -> None:
    assert not notes(tmp_path, "some words among numbers", missing="impute", missing_values=["unknown"])[1:]
    assert not notes(tmp_path, "decimal comma", decimal=",")


def test_a_target_that_is_no_class_is_told(tmp_path: Path) -> None:
    (note,) = notes(tmp_path, "numbers", lambda row: 7 * row)
    assert note.startswith("y has 24 classes for 24 samples; if it is a quantity")
    assert not notes(tmp_path, "numbers", lambda row: 7 * row, meaning="quantity")


@pytest.mark.parametrize("codes", [[-999.0], [-999.0, -998.0], [-999.0, 999.0], [-9999.0, -999.0, 9999.0]])
def test_codes_do_not_hide_each_other(codes: list[float]) -> None:
    values = np.array([*np.linspace(18, 80, 60), *codes * 4])
    (doubt,) = extremes({"age": values})
    assert doubt.advice.endswith(f"missing_values: [{', '.join(f'{code:g}' for code in codes)}]")
    assert all(f"4 are {code:g}" in doubt.what for code in codes)
    assert "all others from 18 to 80" in doubt.what


def test_a_long_tail_whose_values_recur_with_their_rows_has_no_codes() -> None:
    tails = [np.repeat(np.random.default_rng(seed).lognormal(0, 2, 40), 3) for seed in range(20)]
    far = np.repeat([*range(1, 41), 400.0], 3)
    assert not list(extremes({str(number): values for number, values in enumerate([*tails, far])}))
    assert list(extremes({"x": np.array([*far, 400.0])}))


@pytest.mark.parametrize("settings", [{"meaning": "quantity"}, {"threshold": 5}])
def test_a_target_of_numbers_is_looked_at_too(tmp_path: Path, settings: dict[str, object]) -> None:
    told = notes(tmp_path, "words", lambda row: -999 if row % 6 == 0 else row + 0.5, **settings)
    assert [note.split(", and")[0] for note in told] == ["of 24 values of the target 'y', 4 are -999"]


@pytest.mark.parametrize("cells", ["the target", "the target as numbers"])
def test_a_column_that_is_the_target_in_other_words_is_told(tmp_path: Path, cells: str) -> None:
    (note,) = notes(tmp_path, cells)
    assert note.startswith("'x' has one value for each of 'y', and tells it: if it is the target in other words, leave")


def far_apart(at_b: NDArray[np.float64], others: NDArray[np.float64]) -> list[str]:
    homes = np.repeat(["a", "b", "c"], [30, len(at_b), 30])
    return [str(doubt) for doubt in apart({"x": np.concatenate([others, at_b, others])}, homes, "at {}", "elsewhere")]


def test_a_column_in_another_unit_at_one_site_is_told() -> None:
    pressure = np.linspace(90, 160, 30)
    assert far_apart(pressure / 7.5, pressure) == [
        "'x' is from 12 to 21.3333 at b, and from 90 to 160 elsewhere: if one of them is in another unit, convert it"
    ]
    assert far_apart(np.append(pressure / 7.5, np.nan), pressure)
    assert not far_apart(pressure + 30, pressure)  # people differ
    assert not far_apart(pressure[:10] / 7.5, pressure)  # too few to say
    assert not far_apart(np.full(30, 3.0), pressure)  # a number of the site itself


def test_rows_to_test_with_in_another_unit_are_told(tmp_path: Path) -> None:
    for name, scale in (("table", 1), ("test", 12)):
        rows = [f"{scale * (20 + row)},{'no' if row % 3 else 'yes'}" for row in range(ROWS)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    block = {"name": "table", "path": "table.csv", "target": "y", "test": "test.csv"}
    found = DATASETS.build(load_part(DATASETS, block, [])).load(tmp_path).notes
    assert any("'x' is from 240 to 516 in the rows to test with, and from 20 to 43 in the others" in n for n in found)


def test_numbers_that_hardly_recur_tell_no_target() -> None:
    rows = np.arange(30.0)
    assert not list(telling({"x": rows}, {"y": rows}))
    assert list(telling({"x": rows // 3}, {"y": -(rows // 3)}))
    assert not list(telling({"x": rows // 3}, {"y": rows // 6}))
