"""What the README shows, runs."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from simulator import load_experiment, run
from simulator.config.yaml_file import recipes
from simulator.testing import check_method

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = [block for block in PYTHON if "load_experiment" in block]
    exec(example, {})
    assert "quickstart-s1" in capsys.readouterr().out


@pytest.mark.slow
def test_the_six_sites_have_a_file_each_and_their_recipe_runs(tmp_path, monkeypatch):
    for package in ("pandas", "statsmodels"):
        pytest.importorskip(package)
    monkeypatch.setenv("HOME", str(tmp_path))
    (example,) = [block for block in PYTHON if "health-sites" in block]
    exec(example, {})
    done = run(load_experiment("sites-table", ["rounds=1", "record={}"]), tmp_path)
    assert np.bincount(done.directory.partition()["train_node"]).sum() > 10_000


def test_the_method_in_30_lines_is_one(tmp_path):
    (example,) = [block for block in PYTHON if "class Proximal" in block]
    assert len(example.splitlines()) <= 30
    (tmp_path / "my_method.py").write_text(example)
    (shown,) = re.findall(r"^methods: (.*my_method.py.*)$", README, re.MULTILINE)
    changes, mine = ["rounds=3", "evaluate.every=3"], shown.replace("0.01", "1")
    pulled = run(load_experiment("quickstart", [*changes, f"methods={mine}"], folder=tmp_path), tmp_path / "pulled")
    plain = run(load_experiment("quickstart", [*changes, "methods=[]"]), tmp_path / "plain")
    movement = [metric.value for metric in pulled.metrics() if metric.name == "proximal/movement"]
    assert len(movement) == 3 * 8
    assert (pulled.nodes[0].parameters != plain.nodes[0].parameters).any()


def test_the_method_is_handed_over_in_python_and_holds_the_laws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = ModuleType("notebook_of_the_readme")
    monkeypatch.setitem(sys.modules, notebook.__name__, notebook)
    for block in (block for block in PYTHON if "Proximal" in block):
        exec(block, vars(notebook))
    assert [path.name.rpartition("-mine-")[2] for path in (tmp_path / "runs").glob("*")] == ["s0"]
    check_method(notebook.Proximal(mu=0.1))


def test_the_error_shown_is_the_one_given(tmp_path):
    shown = re.search(r"^ring.yaml:14: (.*?)```", README, re.DOTALL | re.MULTILINE).group(1)
    with pytest.raises(Exception, match="temprature") as caught:
        load_experiment("quickstart", ["methods.1={name: idkd, first_round: 121, temprature: 2}"])
    assert str(caught.value).partition(": ")[2].partition(": ")[2] == shown.partition(": ")[2].rstrip()


def test_the_file_tree_is_that_of_the_repository():
    (tree,) = re.findall(r"```\n(pyproject.toml.*?)```", README, re.DOTALL)
    folder = ROOT
    for line in tree.splitlines():
        name = line.split()[0]
        if line.startswith("   " * 3):
            continue
        if not line.startswith(" "):
            folder = ROOT / name if name.endswith("/") else ROOT
            assert (ROOT / name).exists(), name
        else:
            assert (folder / name).exists(), name


def test_every_recipe_named_exists():
    assert {"quickstart", "ring-idkd-fashion", "torus-qgm-fashion", "ring-idkd-cifar10"} <= set(recipes())
    for name in re.findall(r"rumormill run ([a-z][a-z0-9-]+)", README):
        assert name in recipes(), name
