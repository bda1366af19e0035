from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.config.parsing import load_part
from simulator.core.errors import InputError
from simulator.data.dataset import DATASETS, ArrayData
from simulator.data.kinds.table import Table
from simulator.data.tabular.doubts import numbered
from simulator.data.tabular.frames import as_labels, number
from simulator.data.tabular.table import TableFiles
from simulator.testing import check_dataset

# A byte order mark, several ways to say nothing, a colour that only site b has, gaps in whole numbers, yes and no.
PATIENTS = """\ufeffid,hospital,age,colour,smokes,visits,ill
p1,a,30,red,True,1,no
p1,a,31,blue,False,?,no
p2,a,NA,red,False,3,yes
p3,b,50,green,True,4,yes
p4,b,60,,True,5,no
p5,b,70,red,False,6,yes
"""
SETTINGS: dict[str, Any] = {"target": "ill", "site": "hospital", "group": "id", "missing": "impute", "test": None}


def read(root: Path, text: str = PATIENTS, **settings: Any) -> ArrayData:
    (root / "data.csv").write_text(text, encoding="utf-8")
    data = TableFiles(**{"path": Path("data.csv"), **SETTINGS, **settings}).load(root)
    data.validate()
    return data


def inputs(data: ArrayData, name: str) -> Any:
    assert not isinstance(data.x_train, np.ndarray)
    return data.x_train[name]


def same(one: ArrayData, other: ArrayData) -> bool:
    arrays = [(one.y_train, other.y_train), (one.sites, other.sites), (one.groups, other.groups)]
    parts = [(inputs(one, name), inputs(other, name)) for name in ("numbers", "codes")]
    facts = (one.kind, one.class_names, one.site_names) == (other.kind, other.class_names, other.site_names)
    return facts and all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in (*arrays, *parts))


def test_columns_are_what_they_are_in_all_rows_together(tmp_path: Path) -> None:
    data = read(tmp_path)
    assert data.kind == Table(
        ("age", "visits"), ("age", "visits"), (("colour", ("blue", "green", "red")), ("smokes", ("False", "True")))
    )
    assert inputs(data, "numbers").tolist()[0] == [30, 1]
    assert np.isnan(inputs(data, "numbers")).tolist() == [[r == 2, r == 1] for r in range(6)]
    assert inputs(data, "codes").tolist() == [[2, 1], [0, 0], [2, 0], [1, 1], [4, 1], [2, 0]]  # 3 would be another one
    assert (data.class_names, data.site_names) == (("no", "yes"), ("a", "b"))
    assert data.groups is not None
    assert data.groups.tolist() == [0, 0, 1, 2, 3, 4]
    assert data.notes == (
        "missing numbers are imputed with the mean of training rows, and marked: age (1), visits (1)",
        "missing categories are a category of their own: colour (1)",
        "ill: no, yes are classes 0 to 1, in this order",
    )


def test_parquet_gives_the_arrays_of_csv(tmp_path: Path) -> None:
    data = read(tmp_path)
    frame = pd.read_csv(tmp_path / "data.csv", encoding="utf-8-sig", na_values=["?"])
    assert frame["visits"].dtype == float
    assert frame["smokes"].dtype == bool
    frame.to_parquet(tmp_path / "data.parquet")
    frame.to_json(tmp_path / "data.jsonl", orient="records", lines=True)
    for name in ("data.parquet", "data.jsonl"):
        assert same(TableFiles(path=Path(name), **SETTINGS).load(tmp_path), data)


def test_numbers_are_those_that_the_csv_module_reads(tmp_path: Path) -> None:
    data = read(tmp_path)
    with (tmp_path / "data.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [
        [np.nan if row[name] in ("?", "NA") else float(row[name]) for name in ("age", "visits")] for row in rows
    ]
    assert np.array_equal(inputs(data, "numbers"), np.array(expected, dtype=np.float32), equal_nan=True)


def test_files_are_sites_of_one_schema(tmp_path: Path) -> None:
    header, *rows = PATIENTS.removeprefix("\ufeff").splitlines()
    (tmp_path / "sites").mkdir()
    for name, part in (("a", rows[:3]), ("b", rows[3:])):
        (tmp_path / "sites" / f"{name}.csv").write_text("\n".join([header, *part]))
    data = TableFiles(**SETTINGS | {"path": Path("sites"), "site": None, "drop": ["hospital"]}).load(tmp_path)
    assert same(data, read(tmp_path))
    (tmp_path / "sites" / "b.csv").write_text("id,age\n1,2")
    with pytest.raises(InputError, match=r"b\.csv and a\.csv do not have the same columns: colour, hospital"):
        TableFiles(**SETTINGS | {"path": Path("sites")}).load(tmp_path)


def test_declared_categories_keep_their_codes_and_others_are_told(tmp_path: Path) -> None:
    data = read(tmp_path, categories={"colour": ["red", "yellow"]})
    assert inputs(data, "codes")[:, 0].tolist() == [0, 2, 0, 2, 3, 0]
    assert "'colour' has categories that are not declared, and count as other: blue, green" in data.notes


def test_categories_that_differ_in_letters_or_spaces_are_asked_about(tmp_path: Path) -> None:
    data = read(tmp_path, categories={"colour": ["Red ", "green", "blue"]})
    (note,) = (note for note in data.notes if note.startswith("'colour' has"))
    assert note.endswith("count as other: red; is 'red' meant to be 'Red '?")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([7 * row + 3 for row in range(20)], True),
        ([7 * row + 3 for row in range(19)], False),
        ([*range(19), 3], False),
        ([row + 0.5 for row in range(20)], False),
    ],
)
def test_a_column_with_another_whole_number_in_each_row_is_told(
    values: list[float], told: bool, tmp_path: Path
) -> None:
    rows = [f"{value},{row % 3},{row % 2}" for row, value in enumerate(values)]
    data = read(tmp_path, "\n".join(["chart,x,y", *rows]), site=None, group=None, target="y", drop=[])
    found = [note for note in data.notes if "another whole number in each row" in note]
    assert [note.split("'")[1] for note in found] == ["chart"] * told
    dropped = read(tmp_path, "\n".join(["chart,x,y", *rows]), site=None, group=None, target="y", drop=["chart"])
    assert not dropped.notes


def test_what_is_infinite_is_looked_at_without_a_warning() -> None:
    assert len(list(numbered({"chart": np.array([*range(20), np.inf])}))) == 1


CODED = {"x": [-999.0, 0.5, None, 2.5], "colour": ["red", "", "-999", "blue"], "y": [0, 1, 0, 1]}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("spelt", [-999, -999.0, "-999", "-999.00"])
def test_a_number_that_stands_for_a_gap_does_so_beside_empty_cells(tmp_path: Path, suffix: str, spelt: Any) -> None:
    frame, file = pd.DataFrame(CODED), tmp_path / f"coded.{suffix}"
    if suffix == "jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    config = TableFiles.Config(path=file, target="y", test=None, missing="impute", missing_values=[spelt])
    assert TableFiles.Config(**config.model_dump(mode="json")) == config
    data = TableFiles(config).load(tmp_path)
    assert isinstance(data.kind, Table)
    assert data.kind.categories == (("colour", ("blue", "red")),)
    assert np.isnan(inputs(data, "numbers")[:, 0]).tolist() == [True, False, True, False]
    assert inputs(data, "codes")[:, 0].tolist() == [1, 3, 3, 0]


def test_codes_and_yes_and_no_are_no_numbers_that_stand_for_a_gap(tmp_path: Path) -> None:
    rows = [{"zip": "0999", "sure": True, "y": "a"}, {"zip": 999, "sure": 1, "y": "b"}]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings: dict[str, Any] = {"path": Path("data.jsonl"), "target": "y", "missing": "impute", "test": None}
    data = TableFiles(**settings, missing_values=[999, 1]).load(tmp_path)
    assert isinstance(data.kind, Table)
    assert data.kind.categories == (("zip", ("0999",)), ("sure", ("True",)))


def test_a_declared_category_is_no_gap(tmp_path: Path) -> None:
    text = "country,other,y\nNA,NA,0\nDE,a,1\n,b,0\n9,9,1"
    settings: dict[str, Any] = {"target": "y", "site": None, "group": None, "missing_values": [9]}
    data = read(tmp_path, text, categories={"country": ["DE", "NA", "9"]}, **settings)
    assert inputs(data, "codes").tolist() == [[1, 3], [0, 0], [4, 1], [2, 3]]


def test_rows_that_are_dropped_are_told_by_site(tmp_path: Path) -> None:
    data = read(tmp_path, missing="drop_rows")
    assert inputs(data, "numbers").tolist() == [[30, 1], [50, 4], [70, 6]]
    says = "3 of 6 rows are dropped, which lack age (1), colour (1), visits (1); by site: a 2, b 1"
    assert says in data.notes


def test_rows_without_a_site_are_told_as_such_and_some_row_must_stay(tmp_path: Path) -> None:
    text = "id,hospital,age,ill\n1,a,,no\n2,,30,yes\n"
    with pytest.raises(InputError, match=r"each of the 2 rows lacks something: hospital \(1\), age \(1\)"):
        read(tmp_path, text, missing="drop_rows")
    notes = read(tmp_path, f"{text}3,a,40,yes\n", missing="drop_rows").notes
    assert "2 of 3 rows are dropped, which lack hospital (1), age (1); by site: (no site) 1, a 1" in notes


def test_test_rows_are_a_share_of_whole_groups_or_a_file_of_their_own(tmp_path: Path) -> None:
    drawn = read(tmp_path, test=0.3)
    assert drawn.test_sites is not None
    assert sorted(set(drawn.test_sites.tolist())) == [0, 1]
    assert drawn.groups is not None
    assert len(np.unique(drawn.groups)) < 5
    header = PATIENTS.removeprefix("\ufeff").splitlines()[0]
    (tmp_path / "test.csv").write_text(f"{header}\np9,b,1,red,True,1,no")
    given = read(tmp_path, test="test.csv")
    assert (len(given.y_train), given.y_test.tolist(), given.test_sites.tolist()) == (6, [0], [1])
    (tmp_path / "test.csv").write_text(f"{header}\np1,b,1,red,True,1,no")
    with pytest.raises(InputError, match="1 groups have samples to train on and to test with: p1"):
        read(tmp_path, test="test.csv")


def test_targets_by_threshold_and_of_several_columns(tmp_path: Path) -> None:
    data = read(tmp_path, "id,y,z,x\n1,0,1,5\n2,3,0,6", site=None, group=None, target="y", threshold=1)
    assert (data.y_train.tolist(), data.class_names) == ([0, 1], ("y <= 1", "y > 1"))
    both = read(tmp_path, "id,y,z,x\n1,0,1,5\n2,3,0,6", site=None, group=None, target=["y", "z"])
    assert (both.y_train.tolist(), both.class_names) == ([[0, 1], [3, 0]], ("y", "z"))


def test_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    text = "zip,id,x,y\n00501,9007199254740993,1,0\n501,9007199254740992,2,1"
    data = read(tmp_path, text, site="zip", group="id", target="y")
    assert data.site_names == ("00501", "501")
    assert data.groups is not None
    assert len(np.unique(data.groups)) == 2


@pytest.mark.parametrize("name", ["05", "1_000", "9007199254740993", "-9007199254740993", 2**53, True])
def test_codes_and_what_a_float_does_not_keep_are_no_numbers(name: Any) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        number(name)


def test_whole_numbers_that_no_integer_holds_stay_fractions() -> None:
    assert as_labels(np.array([1.0, 1e300])).tolist() == [1.0, 1e300]


@pytest.mark.parametrize(
    ("settings", "where", "says"),
    [
        ({"missing": "refuse"}, "missing", r"of 6 rows, some lack age \(1\), colour \(1\), visits \(1\)\..*\n.*impute"),
        ({"target": "il"}, "target", r"no column 'il'.*\n.*Did you mean 'ill'"),
        ({"target": "colour", "missing": "refuse"}, "missing", r"some lack .*colour .*\n.*Only inputs can be imputed"),
        ({"target": "colour"}, "missing", r"some lack colour \(1\)\..*\n.*Only inputs can be imputed"),
        ({"drop": ["agee"]}, "drop", "no column 'agee'"),
        ({"columns": ["age", "id"]}, "columns", "'id' is the target, the site or the group"),
        ({"target": ["age", "colour"], "missing": "drop_rows"}, "target", "'colour' is text, and no numbers"),
        ({"target": ["age", "age"]}, "target", "'age' is named twice"),
        ({"target": "colour", "meaning": "quantity", "missing": "drop_rows"}, "", "no quantities, such as"),
        ({"columns": []}, "columns", "no column is left to predict from"),
        ({"path": "nothing.csv"}, "path", r"no file or folder .*nothing\.csv"),
        ({"path": "package:no_such_package/a.csv"}, "path", "no package 'no_such_package'"),
        ({"test": "nothing.csv"}, "test", r"no file or folder .*nothing\.csv"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(tmp_path: Path, settings: Any, where: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read(tmp_path, **settings)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert problem.advice


def test_a_setting_of_several_kinds_is_told_once() -> None:
    block = {"name": "table", "path": "a.csv", "target": "ill", "test": 1.5}
    with pytest.raises(InputError, match="input should be less than 1, or is not a valid path") as caught:
        load_part(DATASETS, block)
    assert [problem.where for problem in caught.value.problems] == ["test"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"y": 0}\n\n{y: 1}\n', r"data\.jsonl, line 3, column 2 is no JSON: Expecting"),
        ('[{"y": 0}, {"y": 1}]\n', r"data\.jsonl, line 1 is no object, .*\n.*a list of them is no JSON lines"),
    ],
)
def test_what_is_no_row_of_json_lines_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "data.jsonl").write_text(text)
    with pytest.raises(InputError, match=says):
        TableFiles(path=Path("data.jsonl"), target="y").load(tmp_path)


def test_the_laws_of_data_sets_hold(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(PATIENTS, encoding="utf-8")
    check_dataset(TableFiles(**SETTINGS | {"path": Path("data.csv"), "test": 0.3}), root=tmp_path)


def test_what_has_to_be_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"pandas, which is not installed\.\n.*pip install 'rumormill\[table\]'"):
        read(tmp_path)


def test_empty_columns_and_free_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"column 'b' is empty\.\n.*drop: \[b\]"):
        read(tmp_path, "y,b\n1,\n0,?", target="y", site=None, group=None)
    notes = "\n".join(f"{row % 2},note {row}" for row in range(101))
    with pytest.raises(InputError, match="column 'b' is text of 101 different values, such as 'note 0'"):
        read(tmp_path, f"y,b\n{notes}", target="y", site=None, group=None)
    spoilt = "\n".join(f"{row % 2},{row}{' mg' if row > 90 else ''}" for row in range(101))
    with pytest.raises(InputError, match=r"'b' is read as .* since 10 .* numbers \(100 mg, .*\)\.\n.*Write numbers"):
        read(tmp_path, f"y,b\n{spoilt}", target="y", site=None, group=None)
    commas = "\n".join(f'{row % 2},"{row},5"' for row in range(101))
    with pytest.raises(InputError, match=r"'b' is of numbers that are spelt .* '0,5', .*\.\n.*or set decimal"):
        read(tmp_path, f"y,b\n{commas}", target="y", site=None, group=None)
    dates = "\n".join(f"{row % 2},{row % 28 + 1}.{row // 28 + 1}.2026" for row in range(101))
    with pytest.raises(InputError, match=r"'b' is of dates, such as '1\.1\.2026', .*\.\n.*Leave the column out"):
        read(tmp_path, f"y,b\n{dates}", target="y", site=None, group=None)
    pd.DataFrame({"y": [0, 1], "b": [[1], [2, 3]]}).to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(InputError, match="column 'b' holds ndarray"):
        TableFiles(path=Path("lists.parquet"), target="y").load(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("y,x,x\n0,1,2", "two columns of data.csv are called 'x'"),
        ("y,x\n0,1,2\n1,2,3", "rows of data.csv have more values than its first line has names"),
        ("y;x\n0;1\n1;2", "(?s)has one column when it is cut at ',', and its name has ';' in it.*separator: \";\""),
        ("y\tx\n0\t1,5\n1\t2,5", r"(?s)and its name has '\\t' in it.*separator: .\\t"),
        (",y,x\n0,0,1\n1,1,2", "a column has no name"),
        ("y,x\n", "data.csv has no rows"),
        ("", "data.csv cannot be read"),
    ],
)
def test_what_pandas_would_let_pass_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(tmp_path, text, target="y", site=None, group=None)


def test_other_separators_and_decimals_are_declared(tmp_path: Path) -> None:
    data = read(tmp_path, "y;x\n0;1,5\n1;-2", target="y", site=None, group=None, separator=";", decimal=",")
    assert inputs(data, "numbers").tolist() == [[1.5], [-2]]


@pytest.mark.slow
def test_the_health_insurance_experiment() -> None:
    data = TableFiles(
        path=Path("package:statsmodels/datasets/randhie/src/randhie.csv"),
        target="mdvis",
        threshold=0,
        site="site",
        group="zper",
        missing="impute",
    ).load(Path())
    data.validate()
    assert data.sites is not None
    assert data.test_sites is not None
    assert data.groups is not None
    sizes = np.bincount(data.sites) + np.bincount(data.test_sites)
    assert sizes.tolist() == [4462, 4036, 2436, 3090, 2595, 3571]
    assert data.y_train is not None
    assert data.y_test is not None
    labels, sites = np.concatenate([data.y_train, data.y_test]), np.concatenate([data.sites, data.test_sites])
    assert [round(labels[sites == site].mean(), 3) for site in range(6)] == [0.747, 0.747, 0.759, 0.762, 0.529, 0.549]
    assert any("ghindx (5,223)" in note for note in data.notes)
    assert data.groups.max() == 5912 - 1
    assert (np.bincount(data.test_sites) / sizes).round(2).tolist() == [0.2] * 6
