"""What the README shows, runs."""

import re
from pathlib import Path

import pytest

from simulator import load_experiment, run
from simulator.config.yaml_file import recipes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = [block for block in PYTHON if "load_experiment" in block]
    exec(example, {})
    assert "quickstart-s1" in capsys.readouterr().out


def test_the_method_in_30_lines_is_one(register, tmp_path):
    (example,) = [block for block in PYTHON if "class Proximal" in block]
    assert len(example.splitlines()) <= 30
    names = {}
    exec(example, names)
    register("methods", "proximal", names["Proximal"])
    changes = ["rounds=3", "evaluate.every=3"]
    pulled = run(load_experiment("quickstart", [*changes, "methods=[{name: proximal, mu: 1}]"]), tmp_path / "pulled")
    plain = run(load_experiment("quickstart", [*changes, "methods=[]"]), tmp_path / "plain")
    movement = [metric.value for metric in pulled.metrics() if metric.name == "proximal/movement"]
    assert len(movement) == 3 * 8
    assert (pulled.nodes[0].parameters != plain.nodes[0].parameters).any()


def test_the_error_shown_is_the_one_given(tmp_path):
    shown = re.search(r"^ring.yaml:14: (.*?)```", README, re.DOTALL | re.MULTILINE).group(1)
    with pytest.raises(Exception, match="temprature") as caught:
        load_experiment("quickstart", ["methods.1={name: idkd, start_round: 120, temprature: 2}"])
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
