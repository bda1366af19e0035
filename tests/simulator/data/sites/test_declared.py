"""What one site's files become by a schema: value by value, and every deviation is named."""

import json

import numpy as np
import pytest
from PIL import Image
from reference.sites import SCHEMA, content_of, rows_of, sites, write_table

from simulator import load_experiment
from simulator.core.errors import InputError
from simulator.data.dataset import DATASETS
from simulator.data.image_folder import ImageFolder
from simulator.data.npz import Npz
from simulator.data.sites.schema import ArraySchema, ImageSchema, TableSchema, TokenSchema
from simulator.data.tabular.table import TableFiles

TABLE = TableSchema.model_validate(SCHEMA)
CLASSES = {"classes": ("no", "yes")}


def read(file, **settings):
    config = TableFiles.Config(path=file.parent, target="outcome", test=None, **settings)
    return DATASETS.build(config).of_site(file, TABLE)


def changed(rows, **columns):
    return [{**row, **columns} for row in rows]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"target": {}}, "either classes or quantities"),
        ({"target": {"classes": ["no", "yes"], "quantities": ["dose"]}}, "either classes or quantities"),
        ({"target": {"classes": ["no", "yes", "no"]}}, "two of them have the same name"),
        ({"columns": [{"name": "age"}, {"name": "age"}]}, "two columns have the same name"),
        ({"columns": [{"name": "age", "mean": 1.0}]}, "declare both mean and std"),
        ({"columns": [{"name": "age", "range": [1.0, 1.0]}]}, "the smaller one first"),
        ({"columns": [{"name": "ward", "categories": ["a", "b", "a"]}]}, "a category stands there twice"),
        ({"columns": [{"name": "ward", "categories": ["a"], "range": [0.0, 1.0]}]}, "no mean, no std and no range"),
        ({"columns": [{"name": "ward", "categories": ["a"], "mean": 0.0, "std": 1.0}]}, "no mean, no std and no range"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        TableSchema.model_validate({**SCHEMA, **change})


def test_so_are_channels_and_arrays_that_do_not_fit():
    image = {"height": 4, "width": 4, "target": CLASSES}
    with pytest.raises(ValueError, match="mean and std are 3 numbers, one a channel"):
        ImageSchema(**image, channels=3, mean=(0.5,), std=(0.2,))
    with pytest.raises(ValueError, match="declare both mean and std"):
        ImageSchema(**image, channels=1, mean=(0.5,))
    part = {"shape": (3,), "dtype": "float32"}
    for other in "", "x":
        with pytest.raises(ValueError, match="each needs a name of its own"):
            ArraySchema(arrays=[part | {"name": "x"}, part | {"name": other}], target=CLASSES)


def test_codes_and_classes_are_those_of_the_schema_whichever_the_site_has(tmp_path):
    rows = [row for row in rows_of("lyon") if row["ward"] == "c" and row["outcome"] == "unclear"]
    data = read(write_table(tmp_path / "lyon.csv", rows))
    assert set(data.y_train) == {2}
    assert set(data.x_train["codes"][:, 0]) == {2}


def test_order_and_further_columns_do_not_matter_and_are_told(tmp_path):
    rows = rows_of("lyon")
    plain = read(write_table(tmp_path / "a.csv", rows))
    turned = read(write_table(tmp_path / "b.csv", [dict(reversed({**row, "id": "7"}.items())) for row in rows]))
    assert np.array_equal(plain.x_train["numbers"], turned.x_train["numbers"], equal_nan=True)
    assert any("columns that the schema does not know are not read: id" in note for note in turned.notes)
    assert any("another order" in note for note in turned.notes)


def test_the_same_rows_from_csv_json_lines_and_parquet_are_the_same(tmp_path):
    pandas = pytest.importorskip("pandas")
    rows = rows_of("lyon")
    typed = [{**row, "age": float(row["age"]), "dose": float(row["dose"]) if row["dose"] else None} for row in rows]
    (tmp_path / "j.jsonl").write_text("\n".join(map(json.dumps, typed)))
    pandas.DataFrame(typed).to_parquet(tmp_path / "p.parquet")
    found = [read(write_table(tmp_path / "c.csv", rows)), read(tmp_path / "j.jsonl"), read(tmp_path / "p.parquet")]
    for other in found[1:]:
        assert np.array_equal(found[0].x_train["numbers"], other.x_train["numbers"], equal_nan=True)
        assert np.array_equal(found[0].x_train["codes"], other.x_train["codes"])
        assert np.array_equal(found[0].y_train, other.y_train)


def test_all_deviations_of_a_table_are_told_at_once(tmp_path):
    rows = changed(rows_of("lyon"), ward="z")
    rows[0] |= {"age": "old", "outcome": "maybe"}
    rows = [{("Dose" if key == "dose" else key): value for key, value in row.items()} for row in rows]
    with pytest.raises(InputError) as caught:
        read(write_table(tmp_path / "lyon.csv", rows))
    told = str(caught.value)
    assert "lyon.csv: there is no column 'dose'" in told
    assert "Did you mean 'Dose'" in told
    assert "column 'age': 1 of 46 values are no numbers, such as 'old'" in told
    assert "column 'outcome': 1 of 46 labels are none of the classes that are declared: maybe" in told


def test_numbers_in_another_unit_than_is_declared_are_told(tmp_path):
    rows = rows_of("lyon")
    months = [{**row, "age": 12 * float(row["age"])} for row in rows]
    (told,) = (n for n in read(write_table(tmp_path / "m.csv", months)).notes if n.startswith("half of the values of"))
    assert "'age' are above" in told
    assert "are declared: if this site's are in another unit, convert them" in told
    assert not any("half of the values" in note for note in read(write_table(tmp_path / "a.csv", rows)).notes)
    columns = [{"name": "age", "range": [90, 99]}, {"name": "dose", "range": [-99, 99], "may_miss": True}]
    ranged = TableSchema.model_validate({**SCHEMA, "columns": columns})
    config = TableFiles.Config(path=tmp_path, target="outcome", test=None)
    notes = DATASETS.build(config).of_site(tmp_path / "m.csv", ranged).notes
    assert any("and the range from 90 to 99 is declared" in note for note in notes)


def test_undeclared_categories_count_as_other_and_gaps_as_the_schema_says(tmp_path):
    rows = rows_of("lyon")
    data = read(write_table(tmp_path / "lyon.csv", changed(rows, ward="z")))
    assert set(data.x_train["codes"][:, 0]) == {3}
    assert any("46 values are not declared, and count as other: z" in note for note in data.notes)
    rows[3]["age"] = ""
    with pytest.raises(InputError, match=r"some lack what may not miss: age \(1\)"):
        read(write_table(tmp_path / "lyon.csv", rows))
    assert len(read(tmp_path / "lyon.csv", missing="drop_rows").y_train) == 45
    rows = rows_of("lyon")
    rows[3]["outcome"] = ""
    with pytest.raises(InputError, match=r"the target \(1\)") as caught:
        read(write_table(tmp_path / "lyon.csv", rows))
    assert "may_miss" not in str(caught.value), "a target never may"


def test_a_row_needs_its_group_and_a_site_some_rows_that_lack_nothing(tmp_path):
    rows = rows_of("lyon")
    rows[3]["patient"] = ""
    file = write_table(tmp_path / "lyon.csv", rows)
    with pytest.raises(InputError, match=r"some lack what may not miss: patient \(1\)"):
        read(file, group="patient")
    assert len(read(file, group="patient", missing="drop_rows").groups) == 45
    write_table(file, changed(rows, patient=""))
    with pytest.raises(InputError, match=r"some lack what may not miss: patient \(46\)"):
        read(file, group="patient", missing="drop_rows")


def test_what_stands_for_a_gap_does_beside_empty_cells_and_not_where_it_is_declared(tmp_path):
    rows = rows_of("lyon")
    rows[3]["age"], rows[4]["age"] = "-999.0", ""
    file = write_table(tmp_path / "lyon.csv", changed(rows[:5], ward="9"))
    with pytest.raises(InputError, match=r"some lack what may not miss: age \(2\), ward \(5\)"):
        read(file, missing_values=[-999, 9])
    schema = json.loads(json.dumps(SCHEMA).replace('"c"', '"9"'))
    config = TableFiles.Config(path=file, target="outcome", test=None, missing="drop_rows", missing_values=[-999, 9])
    data = TableFiles(config).of_site(file, TableSchema.model_validate(schema))
    assert data.x_train["codes"][:, 0].tolist() == [2, 2, 2]


def test_what_a_site_should_look_at_again_is_told(tmp_path):
    doses = ["", *["-999"] * 4, *(f"{number / 7}" for number in range(41))]
    rows = [
        {**row, "age": str(number), "ward": "A", "dose": dose}
        for number, (row, dose) in enumerate(zip(rows_of("lyon"), doses, strict=True))
    ]
    told = read(write_table(tmp_path / "lyon.csv", rows)).notes
    for begin in (
        "column 'ward': 46 values are not declared, and count as other: A; is 'A' meant to be 'a'?",
        "column 'dose': 1 of 46 values are missing: the mean, and marked",
        "'age' has another whole number in each row",
        "of 45 values of 'dose', 4 are -999",
    ):
        assert sum(note.startswith(begin) for note in told) == 1


def test_every_file_of_a_site_must_have_the_columns(tmp_path):
    rows = rows_of("lyon")
    write_table(tmp_path / "lyon" / "1.csv", rows)
    write_table(tmp_path / "lyon" / "2.csv", [{"ward": row["ward"], "outcome": "no", "dose": ""} for row in rows])
    with pytest.raises(InputError) as caught:
        read(tmp_path / "lyon")
    assert [(each.where, each.what) for each in caught.value.problems] == [("2.csv", "there is no column 'age'.")]


def test_a_file_without_rows_is_refused(tmp_path):
    (tmp_path / "lyon.csv").write_text("age,ward,dose,outcome\n")
    with pytest.raises(InputError, match="there are no rows"):
        read(tmp_path / "lyon.csv")


def test_targets_that_are_numbers_are_cut_at_a_threshold_or_taken_together(tmp_path):
    numbers = [("1", "5"), ("2", "6"), ("", "7"), ("3", "8"), ("4", "")]
    rows = [{**row, "outcome": one, "score": two} for row, (one, two) in zip(rows_of("lyon"), numbers, strict=False)]
    file = write_table(tmp_path / "lyon.csv", rows)

    def targets(target, declared, **settings):
        schema = TableSchema.model_validate({**SCHEMA, "target": declared})
        config = TableFiles.Config(path=file, target=target, test=None, missing="drop_rows", **settings)
        return TableFiles(config).of_site(file, schema).y_train.tolist()

    assert targets("outcome", {"classes": ["outcome <= 2", "outcome > 2"]}, threshold=2) == [0, 0, 1, 1]
    assert targets(("outcome", "score"), {"quantities": ["outcome", "score"]}) == [[1, 5], [2, 6], [3, 8]]


@pytest.mark.parametrize(
    ("settings", "declared", "told"),
    [
        ({"target": "outcome"}, {"classes": ["no", "yes"]}, []),
        ({"target": "outcome", "threshold": 2}, {"classes": ["outcome <= 2", "outcome > 2"]}, []),
        ({"target": "outcome", "threshold": 2}, {"classes": ["no", "yes"]}, ["is outcome <= 2, outcome > 2, and the"]),
        ({"target": "outcome"}, {"quantities": ["outcome"]}, []),
        ({"target": "outcome"}, {"quantities": ["score"]}, ["is outcome, and the schema has score for its target"]),
        ({"target": ("a", "b")}, {"quantities": ["a", "b"]}, []),
        ({"target": ("a", "b")}, {"quantities": ["b", "a"]}, ["is a, b, and the schema has b, a for its target"]),
        ({"target": "dose", "group": "ward"}, {"classes": ["no", "yes"]}, ["'dose' is a column", "'ward' is a column"]),
    ],
)
def test_target_and_group_are_the_schemas_and_no_inputs(settings, declared, told):
    schema = TableSchema.model_validate({**SCHEMA, "target": declared})
    found = list(TableFiles.site_problems(TableFiles.Config(path="sites", test=None, **settings), schema))
    assert len(found) == len(told)
    assert all(problem.what.startswith(begin) for problem, begin in zip(found, told, strict=True))


def test_a_target_of_numbers_that_has_a_gaps_code_is_told(tmp_path):
    rows = [{**row, "outcome": "-999" if number < 4 else number / 7} for number, row in enumerate(rows_of("lyon"))]
    schema = TableSchema.model_validate({**SCHEMA, "target": {"quantities": ["outcome"]}})
    config = TableFiles.Config(path=tmp_path, target="outcome", test=None)
    found = TableFiles(config).of_site(write_table(tmp_path / "lyon.csv", rows), schema)
    assert any(note.startswith("of 46 values of the target 'outcome', 4 are -999") for note in found.notes)


def test_a_class_may_be_called_what_stands_for_a_gap_elsewhere(tmp_path):
    rows = [{**row, "outcome": "NA" if row["outcome"] == "unclear" else row["outcome"]} for row in rows_of("lyon")]
    schema = TableSchema.model_validate(json.loads(json.dumps(SCHEMA).replace("unclear", "NA")))
    file, config = tmp_path / "lyon.csv", TableFiles.Config(path=tmp_path, target="outcome", test=None)
    assert 2 in TableFiles(config).of_site(write_table(file, rows), schema).y_train


def test_groups_that_people_would_read_as_one_are_told(tmp_path):
    rows = rows_of("lyon")
    rows[3]["patient"] = "LYON-7 "
    told = [note for note in read(write_table(tmp_path / "lyon.csv", rows), group="patient").notes if "groups" in note]
    assert [note.split(" differ")[0] for note in told] == ["groups 'LYON-7' and 'lyon-7'"]


def test_arrays_must_have_the_declared_types_and_shapes(tmp_path):
    schema = ArraySchema(target=CLASSES, arrays=[{"shape": (3,), "dtype": "float32"}])
    labels = np.array(["no", "yes", "yes"])

    def saved(x, y=labels):
        np.savez(tmp_path / "a.npz", x_train=x, y_train=y)
        return Npz(Npz.Config(path=tmp_path)).of_site(tmp_path / "a.npz", schema)

    assert saved(np.zeros((3, 3), dtype=np.float32)).y_train.tolist() == [0, 1, 1]
    with pytest.raises(InputError, match=r"x_train: is float32 of shape \(3, 4\), and the schema has float32"):
        saved(np.zeros((3, 4), dtype=np.float32))
    with pytest.raises(InputError, match="x_train: is float64"):
        saved(np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"y_train: 3 of 3 labels are none of the classes"):
        saved(np.zeros((3, 3), dtype=np.float32), np.arange(3))


@pytest.mark.parametrize(
    ("targets", "says"), [(np.zeros((3, 2)), r"float64 of shape \(3, 2\)"), (np.array(["1", "2", "3"]), "<U1 of shape")]
)
def test_quantities_beside_arrays_are_one_number_a_sample(tmp_path, targets, says):
    schema = ArraySchema(target={"quantities": ("dose",)}, arrays=[{"shape": (3,), "dtype": "float32"}])
    np.savez(tmp_path / "a.npz", x_train=np.zeros((3, 3), dtype=np.float32), y_train=targets)
    with pytest.raises(InputError, match=rf"y_train: holds {says}.*schema has 1 quantities"):
        Npz(Npz.Config(path=tmp_path)).of_site(tmp_path / "a.npz", schema)


def test_bright_or_dark_images_are_the_same_kind_at_every_site(tmp_path):
    schema = ImageSchema(height=4, width=4, channels=1, mean=(0.5,), std=(0.2,), target=CLASSES)
    np.savez(tmp_path / "a.npz", x_train=np.ones((2, 4, 4), dtype=np.uint8), y_train=np.array(["no", "no"]))
    data = Npz(Npz.Config(path=tmp_path)).of_site(tmp_path / "a.npz", schema)
    assert data.x_train.shape == (2, 4, 4, 1)
    np.savez(tmp_path / "a.npz", x_train=np.ones((2, 4, 4), dtype=np.float32), y_train=np.array(["no", "no"]))
    with pytest.raises(InputError, match="x_train: is float32"):
        Npz(Npz.Config(path=tmp_path)).of_site(tmp_path / "a.npz", schema)


def test_tokens_of_a_declared_vocabulary(tmp_path):
    schema = TokenSchema(length=5, vocabulary=9, target=CLASSES)
    np.savez(tmp_path / "a.npz", x_train=np.full((2, 5), 8), y_train=np.array(["no", "yes"]), lengths_train=[2, 5])
    data = Npz(Npz.Config(path=tmp_path)).of_site(tmp_path / "a.npz", schema)
    assert data.x_train["lengths"].tolist() == [2, 5]
    data.validate()


def test_a_folder_of_images_need_not_have_all_classes_and_may_have_no_others(tmp_path):
    schema = ImageSchema(height=8, width=8, channels=3, mean=(0.5,) * 3, std=(0.2,) * 3, target=CLASSES)
    (tmp_path / "yes").mkdir()
    Image.new("RGB", (10, 9)).save(tmp_path / "yes" / "1.png")
    part = ImageFolder(ImageFolder.Config(path=tmp_path, size=8))
    assert part.of_site(tmp_path, schema).y_train.tolist() == [1]
    (tmp_path / "Yes?").mkdir()
    Image.new("RGB", (10, 9)).save(tmp_path / "Yes?" / "1.png")
    with pytest.raises(InputError, match=r"there is no class 'Yes\?'(.|\n)*Did you mean 'yes'"):
        part.of_site(tmp_path, schema)


def test_the_schema_may_be_a_file_beside_the_experiment_and_is_told_by_its_own_lines(tmp_path):
    yaml = pytest.importorskip("yaml")
    content = content_of(tmp_path)
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(SCHEMA, sort_keys=False))
    content["data"]["sites"]["data_schema"] = "schema.yaml"
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(content))
    experiment = load_experiment(file)
    assert experiment.data == sites(tmp_path).data
    assert load_experiment(experiment.to_dict(), recorded=True) == experiment
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(SCHEMA, sort_keys=False).replace("mean: 0.5", "maen: 0.5"))
    with pytest.raises(
        InputError, match=r"data.sites.data_schema: schema.yaml:\d: columns\[0\].maen: there is no setting"
    ):
        load_experiment(file)
    content["data"]["sites"]["data_schema"] = "absent.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"absent.yaml is no file(.|\n)*rumormill site schema"):
        load_experiment(file)


def test_order_of_columns_makes_another_experiment(tmp_path):
    turned = {**SCHEMA, "columns": SCHEMA["columns"][::-1]}
    names = list(sites(tmp_path).data.sites.names)
    assert sites(tmp_path).digest() != sites(tmp_path, sites={"names": names, "data_schema": turned}).digest()
