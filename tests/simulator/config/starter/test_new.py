"""What is made for somebody's own data runs as it is, and what cannot be made is refused with a reason."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from simulator import load_experiment, run
from simulator.config.editor import experiment_schema
from simulator.config.yaml_file import read_experiment


def table(rows, seed):
    rng = np.random.default_rng(seed)
    ages, weights = rng.integers(20, 80, rows), rng.normal(70, 10, rows)
    sick = ["yes" if age + weight > 120 else "no" for age, weight in zip(ages, weights, strict=True)]
    lines = zip(ages, weights, rng.choice(["north", "south"], rows), sick, strict=True)
    return "age,weight,region,sick\n" + "".join(f"{a},{w:.2f},{r},{s}\n" for a, w, r, s in lines)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Folders of somebody's own: clinics with a table each, one table, images, and texts."""
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own"
    for seed, name in enumerate(("ada", "bob", "eve")):
        (own / "clinics").mkdir(parents=True, exist_ok=True)
        (own / "clinics" / f"{name}.csv").write_text(table(60 + 20 * seed, seed))
    (own / "one.csv").write_text(table(160, 7))
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (own / "pictures" / kind).mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(own / "pictures" / kind / f"{number}.png")
    (own / "empty").mkdir()
    (own / "texts").mkdir()
    for number in range(20):
        (own / "texts" / f"{number}.txt").write_text(" ".join(rng.choice(["one", "two", "three"], 120)))
    return own


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--data", "own/clinics", "--target", "sick"], {"nodes": 3, "task": "binary", "model": "mlp"}),
        (["--data", "own/one.csv", "--target", "sick", "--site", "region"], {"nodes": 2, "task": "binary"}),
        pytest.param(
            ["--data", "own/one.csv", "--target", "weight", "--nodes", "3", "--graph", "complete"],
            {"nodes": 3, "task": "regression", "graph": "complete"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [
                *("--data", "own/one.csv", "--target", "region", "--nodes", "2", "--task", "classification"),
                *("--method", "quasi_global_momentum", "--epsilon", "8"),
            ],
            {"nodes": 2, "task": "classification", "methods": ["quasi_global_momentum", "dp_sgd"]},
            marks=pytest.mark.slow,
        ),
        (["--data", "own/pictures", "--nodes", "2"], {"nodes": 2, "task": "classification", "model": "cnn"}),
        pytest.param(
            ["--data", "own/texts", "--nodes", "2"],
            {"nodes": 2, "task": "next_token", "model": "transformer_text"},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["sites by file", "sites by column", "quantity", "private", "images", "texts"],
)
def test_what_is_made_runs_and_editors_allow_it(rumormill, data, options, settings):
    code, out, err = rumormill("new", "mine.yaml", *options)
    assert (code, out) == (0, f"{Path('mine.yaml')}\n"), err
    assert "rumormill run mine.yaml" in err
    first, *_ = Path("mine.yaml").read_text().splitlines()
    assert first == "# yaml-language-server: $schema=rumormill.schema.json"
    schema = Draft202012Validator(experiment_schema())
    assert list(schema.iter_errors(read_experiment("mine.yaml").content)) == []

    made = load_experiment("mine.yaml")
    found = {"nodes": made.topology.nodes, "graph": made.topology.graph, "task": made.task.name}
    found |= {"model": made.model.name, "methods": [method.name for method in made.methods]}
    assert {name: found[name] for name in settings} == settings
    assert run(load_experiment("mine.yaml", ["rounds=1", "evaluate.every=1", "record.every=1"])).status == "finished"


def test_on_a_terminal_it_asks_for_what_is_not_given(rumormill, data, monkeypatch):
    answers = io.StringIO("own/one.csv\nsick\nnone\n4\n8\n")
    answers.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", answers)
    code, out, err = rumormill("new", "mine.yaml")
    assert code == 0, err
    assert "Which column is to be predicted (age, weight, region, sick)" in out + err
    made = load_experiment("mine.yaml")
    assert (made.topology.nodes, made.data.dataset.target) == (4, "sick")
    assert [(method.name, method.target_epsilon) for method in made.methods] == [("dp_sgd", 8.0)]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], "--data: is missing"),
        (["--data", "missing"], "--data: there is no "),
        (["--data", "own/empty"], "holds neither images in folders"),
        (["--data", "own/one.csv"], "--target: is missing: which column is to be predicted?\n    Columns: age, weight"),
        (["--data", "own/one.csv", "--target", "sik"], "'sik'"),
        (["--data", "own/clinics", "--target", "sick", "--nodes", "4"], "--nodes: 4 nodes are asked for"),
        (["--data", "own/pictures", "--kind", "image"], "Did you mean 'images'?"),
        (["--data", "own/pictures", "--site", "file"], "--site: of images"),
        (["--data", "own/pictures", "--graph", "rnig"], "Did you mean 'ring'?"),
        (["--data", "own/pictures", "--method", "ikdk"], "Did you mean 'idkd'?"),
    ],
)
def test_what_cannot_be_made_is_told_and_nothing_is_left(rumormill, data, options, shown):
    code, _, err = rumormill("new", "mine.yaml", *options)
    assert code == 2
    assert shown in err
    assert "Traceback" not in err
    assert not Path("mine.yaml").exists()


def test_tables_of_another_spelling_are_read_by_their_settings(rumormill, data):
    rows = (line.split(",") for line in table(160, 7).splitlines())
    spelt = (";".join([age, weight.replace(".", ","), *rest]) for age, weight, *rest in rows)
    (data / "one.csv").write_text("\n".join(spelt))
    settings = ["--setting", "separator=;", "--setting", "decimal=,", "--setting", "missing=impute"]
    given = ["mine.yaml", "--data", "own/one.csv", "--target", "sick", "--site", "region"]
    code, _, err = rumormill("new", *given, *settings)
    assert code == 0, err
    dataset = load_experiment("mine.yaml").data.dataset
    assert (dataset.separator, dataset.decimal, dataset.missing) == (";", ",", "impute")
    assert Path("mine.yaml").read_text().count("missing:") == 1
    code, _, err = rumormill("new", "other.yaml", "--data", "own/one.csv", *settings[:4])
    assert "Columns: age, weight, region, sick." in err


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("seperator=;", "seperator: table has no setting 'seperator'.\n    Did you mean 'separator'?"),
        ("separator", "--setting: 'separator' gives none.\n    Write name=value"),
        ("categories=[1", "--setting categories: is not YAML"),
    ],
)
def test_settings_that_are_none_are_told(rumormill, data, setting, shown):
    code, _, err = rumormill("new", "mine.yaml", "--data", "own/one.csv", "--target", "sick", "--setting", setting)
    assert code == 2
    assert shown in err


def test_what_is_doubtful_about_the_data_is_told(rumormill, data):
    text = table(160, 7).replace("south", "South", 1)
    (data / "one.csv").write_text(text)
    code, _, err = rumormill("new", "mine.yaml", "--data", "own/one.csv", "--target", "sick", "--site", "region")
    assert code == 0, err
    assert "note: sites 'South' and 'south' differ in case" in err
    (data / "pictures" / "Cat").mkdir()
    Image.new("RGB", (12, 12)).save(data / "pictures" / "Cat" / "one.png")
    code, _, err = rumormill("new", "pictures.yaml", "--data", "own/pictures", "--nodes", "2")
    assert code == 0, err
    assert "note: classes 'Cat' and 'cat' differ in case" in err


def test_no_file_is_overwritten(rumormill, data):
    Path("mine.yaml").write_text("mine")
    code, _, err = rumormill("new", "mine.yaml", "--data", "own/pictures")
    assert code == 2
    assert "is there already" in err
    assert Path("mine.yaml").read_text() == "mine"


def test_names_in_the_data_set_nothing(rumormill, data):
    text = table(160, 7).replace("south", '"south\n  public: {name: digits}"')
    (data / "one.csv").write_text(text)
    assert rumormill("new", "e.yaml", "--data", "own/one.csv", "--target", "sick", "--site", "region")[0] == 0
    assert not load_experiment("e.yaml").data.public
    assert "# each site is a node: north, south public: {name: digits}" in Path("e.yaml").read_text()
