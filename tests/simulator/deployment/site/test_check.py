"""`rumormill site`: a schema from examples, and what a host's owner is told of the data; others are told nothing."""

import sys

import numpy as np
import pytest
import yaml
from PIL import Image
from reference.deployment import Deployment
from reference.experiments import small
from reference.sites import SCHEMA, SIZES, rows_of, sites, write_sites, write_table

from simulator.__main__ import main
from simulator.core.errors import InputError, Problem
from simulator.data.sites.schema import SCHEMAS
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.site.check import examined
from simulator.deployment.site.example import schema_file
from simulator.deployment.site.untold import Untold, at_the_gate

OSLO = list(SIZES).index("oslo")
SECRET = "49.123456"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sites")
    return Deployment(sites(write_sites(folder / "data")), folder)


@pytest.fixture
def host(deployment, tmp_path):
    """Oslo's host: its folder of the deployment, and a file of its own that a test may spoil."""

    def with_rows(rows):
        write_table(tmp_path / "own.csv", rows)
        folder = deployment.node_folder(OSLO).folder
        settings = yaml.safe_load((folder / "node.yaml").read_text())
        text = yaml.safe_dump(settings | {"data": {"path": str(tmp_path / "own.csv")}})
        for file in folder.iterdir():
            if file.is_file():
                (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "node.yaml").write_text(text)
        return tmp_path

    return with_rows


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["rumormill", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_a_site_that_can_take_part_is_told_its_counts_and_what_is_doubtful(host, monkeypatch, capsys):
    assert command(monkeypatch, "site", "check", host(rows_of("oslo"))) in (0, None)
    told = capsys.readouterr().out
    assert "samples in train       14" in told
    assert "no sample to train on is of the class unclear" in told
    assert "It can take part" in told


def test_a_site_that_cannot_is_told_why_and_exits_with_1(host, monkeypatch, capsys):
    rows = [{**row, "ages": row["age"]} for row in rows_of("oslo")]
    for row in rows:
        del row["age"]
    assert command(monkeypatch, "site", "check", host(rows)) == 1
    told = capsys.readouterr().out
    assert "there is no column 'age'" in told
    assert "Did you mean 'ages'" in told
    assert "It cannot take part" in told


@pytest.mark.parametrize("spoil", ["text", "class", "gone", "unreadable", "few"])
def test_what_a_node_says_to_others_of_its_data_quotes_nothing(deployment, host, spoil):
    rows = rows_of("oslo")
    rows[0]["age"] = f"about {SECRET}" if spoil == "text" else SECRET
    if spoil == "class":
        rows[0]["outcome"] = f"case {SECRET}"
    folder = host(rows[:2] if spoil == "few" else rows)
    file = folder / "own.csv"
    if spoil == "gone":
        file.unlink()
    if spoil == "unreadable":
        file.write_bytes(b"\xff\xfe" + SECRET.encode())
    found = examined(folder)
    assert found.problems
    node = NodeFolder.read(folder)
    with pytest.raises(Untold) as caught, at_the_gate(node):
        node.peer(deployment.manifest, deployment.gate(0))
    assert str(caught.value).startswith(f"node {node.node} cannot go on (SiteDataError): errors.log in its folder")
    assert caught.value.__suppress_context__
    if spoil in ("text", "class"):
        assert SECRET in " ".join(map(str, found.problems))  # the owner is told
        assert SECRET in (folder / "errors.log").read_text()


def test_what_strangers_say_does_nothing_to_the_terminal_that_shows_it(deployment, capsys):
    node = deployment.node_folder(0)
    with pytest.raises(Untold), at_the_gate(node):
        raise InputError(Problem("run", "'\x1b[2J\ud800' is no name of a run."))
    for said in (capsys.readouterr().out, (node.folder / "errors.log").read_text()):
        assert "run: '?[2J?' is no name of a run." in said


def test_a_host_whose_owner_has_named_no_data_is_told_where_to(deployment, tmp_path):
    assert deployment.node_folder(1).data_path().name == "lyon.csv"
    for given in (None, {}, {"path": None}):
        folder = NodeFolder(tmp_path, 1, "a:1", {}, given)
        with pytest.raises(InputError, match=r"node.yaml: data.path: is not filled in(.|\n)*/srv/data"):
            folder.data_path()
    assert NodeFolder(tmp_path, 1, "a:1", {}, {"path": "x.csv"}).data_path() == tmp_path / "x.csv"


def test_where_data_are_one_pool_there_is_no_site_to_check(tmp_path):
    deployment = Deployment(small(), tmp_path)
    with pytest.raises(InputError, match="whose data are one pool"):
        examined(deployment.node_folder(0).folder)


def drafted(*given):
    plain = yaml.safe_load(schema_file(list(map(str, given))))
    return SCHEMAS[plain["kind"]].model_validate(plain)


def test_a_schema_is_drafted_from_examples_of_tables(tmp_path):
    folder = write_sites(tmp_path)
    files = [folder / f"{name}.csv" for name in SIZES]
    schema = drafted(*files, "target=outcome", "group=patient", "missing=impute")
    assert schema.target.classes == ("no", "unclear", "yes")
    by_name = {column.name: column for column in schema.columns}
    assert set(by_name) == {column["name"] for column in SCHEMA["columns"]}
    assert by_name["ward"].categories == ("a", "b", "c")
    assert (by_name["age"].may_miss, by_name["dose"].may_miss) == (False, True)
    ages = [float(row["age"]) for name in SIZES for row in rows_of(name)]
    assert by_name["age"].mean == pytest.approx(np.mean(ages), rel=1e-5)
    assert by_name["age"].std == pytest.approx(np.std(ages), rel=1e-5)
    names = {"names": list(SIZES), "data_schema": schema}
    assert sites(folder, sites=names).data.sites.data_schema == schema  # as it stands, it can be used


def test_what_is_doubtful_in_examples_stands_in_the_draft(tmp_path):
    rows = [f"{7 * row},{row % 3},{row % 2}" for row in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["chart,age,outcome", *rows]))
    text = schema_file([str(tmp_path / "a.csv"), "target=outcome"])
    assert "# Note: 'chart' has another whole number in each row" in text
    assert "chart" not in schema_file([str(tmp_path / "a.csv"), "target=outcome", "drop=[chart]"])


def test_a_schema_is_drafted_from_arrays_and_images(tmp_path):
    labels = np.array([3, 5])
    np.savez(tmp_path / "a.npz", x_train_m=np.zeros((2, 3), np.float32), x_train_n=np.ones((2,), int), y_train=labels)
    schema = drafted(tmp_path / "a.npz")
    assert schema.target.classes == ("3", "5")
    assert [(part.name, part.shape, part.dtype) for part in schema.arrays] == [
        ("m", (3,), "float32"),
        ("n", (), "int64"),
    ]
    for name, shade in (("dark", 0), ("light", 255)):
        (tmp_path / "f" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), (shade,) * 3).save(tmp_path / "f" / name / "1.png")
    schema = drafted(tmp_path / "f", "size=8")
    assert (schema.target.classes, schema.height, schema.mean) == (("dark", "light"), 8, (0.5,) * 3)


def test_examples_that_are_none_are_refused(tmp_path):
    for given, problem in (
        ([], "EXAMPLE: there is none"),
        (["a.csv"], "target: is missing"),
        (["a.csv", "b.npz"], "are not files of one kind"),
    ):
        with pytest.raises(InputError, match=problem):
            schema_file(given)
