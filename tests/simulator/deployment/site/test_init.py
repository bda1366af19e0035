"""`deploy init` where nodes are sites: made where no site's data are, and each host's owner says where its own lie."""

import sys

import pytest
import yaml
from reference.sites import SCHEMA, SIZES, content_of

from simulator.__main__ import main
from simulator.deployment.node_folder import NodeFolder


@pytest.fixture
def init(tmp_path, monkeypatch, capsys):
    content = content_of("/nowhere")
    content["data"]["sites"]["data_schema"] = "schema.yaml"
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(SCHEMA, sort_keys=False))

    def make(*options):
        arguments = ["rumormill", "deploy", "init", str(tmp_path / "experiment.yaml"), str(tmp_path / "out"), *options]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err, tmp_path / "out"

    return make


def test_no_data_are_needed_and_the_schema_goes_with_the_experiment(init):
    code, _, out = init("--data", "oslo=/srv/o.parquet")
    assert code in (0, None)
    for node, name in enumerate(SIZES):
        folder = NodeFolder.read(out / "nodes" / f"node-{node}")
        assert folder.data == {"path": "/srv/o.parquet" if name == "oslo" else None}
        own = folder.experiment().data.sites
        assert [column.name for column in own.data_schema.columns] == ["age", "ward", "dose"]
    assert "rumormill site check node-N" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("osl=/x", "--data: there is no site 'osl'.\n    Did you mean 'oslo'?"),
        ("oslo", "--data: 'oslo' is no SITE=PATH"),
    ],
)
def test_paths_of_unknown_sites_are_refused_before_anything_is_written(init, data, problem):
    code, told, out = init("--data", data)
    assert code == 2
    assert problem in told
    assert not out.exists()
