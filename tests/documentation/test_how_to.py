"""What the how-to pages show does what they say, beside running at all."""

import re
import sys
from types import ModuleType

import numpy as np
import pytest
from reference.pages import page

from simulator import load_experiment, run
from simulator.testing import check_method

PARTS, ERRORS, SITES = (
    page(f"docs/how-to/{name}.md") for name in ("plug-in-parts", "stop-resume-sweep", "one-file-a-site")
)


@pytest.mark.slow
def test_the_six_sites_have_a_file_each_and_their_recipe_runs(tmp_path, monkeypatch):
    for package in ("pandas", "statsmodels"):
        pytest.importorskip(package)
    monkeypatch.setenv("HOME", str(tmp_path))
    (example,) = [block.text for block in SITES.of("python") if "health-sites" in block.text]
    exec(example, {})
    done = run(load_experiment("sites-table", ["rounds=1", "record={}"]), tmp_path)
    assert np.bincount(done.directory.partition()["train_node"]).sum() > 10_000


def test_the_method_in_30_lines_is_one(tmp_path):
    (example,) = [block.text for block in PARTS.of("python") if "class Proximal" in block.text]
    assert len(example.splitlines()) <= 30
    (tmp_path / "my_method.py").write_text(example)
    (shown,) = re.findall(r"^methods: (.*my_method.py.*)$", PARTS.text, re.MULTILINE)
    changes, mine = ["rounds=3", "evaluate.every=3"], shown.replace("0.01", "1")
    pulled = run(load_experiment("quickstart", [*changes, f"methods={mine}"], folder=tmp_path), tmp_path / "pulled")
    plain = run(load_experiment("quickstart", [*changes, "methods=[]"]), tmp_path / "plain")
    movement = [metric.value for metric in pulled.metrics() if metric.name == "proximal/movement"]
    assert len(movement) == 3 * 8
    assert (pulled.nodes[0].parameters != plain.nodes[0].parameters).any()


def test_the_method_is_handed_over_in_python_and_holds_the_laws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = ModuleType("notebook_of_the_page")
    monkeypatch.setitem(sys.modules, notebook.__name__, notebook)
    for block in PARTS.of("python"):
        exec(block.text, vars(notebook))
    assert [path.name.rpartition("-mine-")[2] for path in (tmp_path / "runs").glob("*")] == ["s0"]
    check_method(notebook.Proximal(mu=0.1))


def test_the_error_shown_is_the_one_given():
    shown = re.search(r"^ring.yaml:14: (.*?)```", ERRORS.text, re.DOTALL | re.MULTILINE).group(1)
    with pytest.raises(Exception, match="temprature") as caught:
        load_experiment("quickstart", ["methods.1={name: idkd, first_round: 121, temprature: 2}"])
    assert str(caught.value).partition(": ")[2].partition(": ")[2] == shown.partition(": ")[2].rstrip()
