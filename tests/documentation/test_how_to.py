"""What the how-to pages show does what they say, beside running at all."""

import re
import sys
from types import ModuleType

import numpy as np
import pytest
from reference.follower import Follower
from reference.markdown import page

from simulator import load_experiment, run
from simulator.testing import check_method

PARTS, ERRORS, SITES, REBUILT = (
    page(f"docs/how-to/{name}.md")
    for name in ("plug-in-parts", "stop-resume-sweep", "one-file-a-site", "rebuild-images")
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


@pytest.mark.slow
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
    assert str(caught.value).partition(": ")[2] == shown.partition(": ")[2].rstrip()


@pytest.mark.slow
def test_a_plan_says_who_can_compute_whose_updates(tmp_path, monkeypatch, capsys):
    """As the page has it behind its three commands."""
    assert all(said in REBUILT.of("sh")[0].text for said in ("16 of 2,800", "masked_sums: 0", "56 of 56"))
    Follower(tmp_path, monkeypatch).follow(REBUILT, lambda words: "plan.yaml" not in words)
    found = re.findall(r"Of ([\d,]+) .*?, ([\d,]+) can be computed exactly", capsys.readouterr().err)
    assert found == [("2,800", "16"), ("2,800", "0"), ("56", "56")]


@pytest.mark.slow
def test_of_the_three_runs_samples_are_rebuilt_as_the_page_says(tmp_path, monkeypatch, capsys):
    assert "identifies 31 of 32 samples of round 1, 2 of 256, and none" in " ".join(REBUILT.text.split())
    follower = Follower(tmp_path, monkeypatch)
    REBUILT.write_files(tmp_path)
    found = []
    for words in REBUILT.of("sh")[1].commands():
        if words[1] == "run":
            follower.type(words)
            follower.type(["rumormill", "audit", "RUN", "--audit", "reconstruction"])
            found += re.findall(r"(\d+ of \d+) samples identified|(no sample) was rebuilt", capsys.readouterr().err)
    assert ["".join(each) for each in found] == ["31 of 32", "2 of 256", "no sample"]
