"""The schema of experiment files: whatever can be run is allowed, and what is mistyped is marked where it stands."""

import copy
import json

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from reference.experiments import METHODS, SMALL

from simulator import load_experiment
from simulator.config.editor import experiment_schema, modeline
from simulator.config.recipe_files import recipes
from simulator.config.yaml_file import read_experiment
from simulator.core.errors import InputError

SITES = {
    "dataset": {"name": "table", "path": "x", "target": "sick", "test": None},
    "sites": {
        "names": ["a", "b"],
        "data_schema": {"kind": "table", "target": {"classes": ["no", "yes"]}, "columns": [{"name": "age"}]},
    },
}


@pytest.fixture(scope="module")
def schema():
    found = experiment_schema()
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def changed(place, value):
    """`SMALL` with ``value`` at the dotted ``place``; `None` in the place of a value takes the setting away."""
    tree = copy.deepcopy(dict(SMALL))
    *parents, last = place.split(".")
    holder = tree
    for key in parents:
        holder = holder.setdefault(key, {})
    holder[last] = value
    return {key: each for key, each in tree.items() if each is not None}


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_allowed(schema, name):
    assert list(schema.iter_errors(read_experiment(name).content)) == []


@pytest.mark.parametrize("name", ["quickstart", "byzantine-digits", "ring-async-digits", "pkd-ring", "dp-ring"])
def test_what_a_run_writes_down_is_allowed(schema, name):
    assert list(schema.iter_errors(json.loads(json.dumps(load_experiment(name).to_dict())))) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("methods", METHODS),
        ("methods", ["idkd", "my_file.py:Mine", {"name": "my_file.py:Mine", "anything": 1}]),
        ("model", "package.module:Net"),
        ("topology", {"graph": "torus", "nodes": 4, "rows": 2}),
        ("topology.schedule", "one_peer_exponential"),
        ("topology.schedule", {"name": "random_regular", "degree": 2}),
        ("topology.failures", {"trace": "phones.csv", "round_seconds": 60}),
        ("buffers", "local"),
        ("buffers", {"policy": "frozen", "freeze_after": 3}),
        ("mixer", {"name": "choco", "compression": "sign"}),
        ("data.public", {"dataset": "digits", "samples": 3}),
        ("data.canaries", 20),
        ("data.corruption", {"labels": None}),
        ("data", SITES),
        ("data", {**SITES, "sites": {"names": ["a"], "data_schema": "schema.yaml", "statistics": "agreed"}}),
        ("clock", {"step_seconds": 0.1, "devices": "package:some/devices.csv"}),
    ],
)
def test_every_form_of_a_setting_is_allowed(schema, place, value):
    assert list(schema.iter_errors(changed(place, value))) == []


MISTAKES = [
    ("roundz", 3, ""),
    ("rounds", None, ""),
    ("rounds", "many", "rounds"),
    ("rounds", 0, "rounds"),
    ("mode", "async", "mode"),
    ("model", "mpl", "model"),
    ("model", {"name": "mlp", "hiden": [3]}, "model"),
    ("methods", "idkd", "methods"),
    ("methods", [{"name": "idkd", "temprature": 2}], "methods.0"),
    ("adversaries", [{"count": 1}], "adversaries.0"),
    ("adversaries", [{"count": 1, "attack": "sign_flap"}], "adversaries.0.attack"),
    ("mixer", {"name": "choco", "compression": "zip"}, "mixer"),
    ("buffers", "locale", "buffers"),
    ("training.optimizer.lr", -1, "training.optimizer.lr"),
    ("evaluate.evry", 2, "evaluate"),
    ("topology.graph", "rnig", "topology.graph"),
    ("topology.noedes", 4, "topology"),
    ("topology.rows", 2, "topology"),
    ("topology.weights", "metropolis", "topology.weights"),
    ("topology.schedule", "statik", "topology.schedule"),
    ("topology.schedule", {"name": "random_regular", "degre": 3}, "topology.schedule"),
    ("topology.schedule", {"degree": 3}, "topology.schedule"),
    ("data.partition", {"name": "dirichlet"}, "data.partition"),
    ("data.partition", {"name": "dirichlet", "alpha": "much"}, "data.partition"),
    ("data.dataset", {"name": "npz"}, "data.dataset"),
    ("data.validation", 2, "data.validation"),
    ("data.canaries", -1, "data.canaries"),
    ("backend", {"name": "ray", "wokers": 2}, "backend"),
]


@pytest.mark.parametrize(("place", "value", "marked"), MISTAKES)
def test_mistakes_are_marked_where_they_stand(schema, place, value, marked):
    found = [".".join(map(str, error.absolute_path)) for error in schema.iter_errors(changed(place, value))]
    assert found == [marked]
    with pytest.raises(InputError):
        load_experiment(changed(place, value))


def test_settings_are_explained(schema):
    definitions = schema.schema["$defs"]
    idkd = definitions["methods.idkd"]
    assert idkd["description"].startswith("Nodes teach each other on the public samples that look like their own data.")
    assert idkd["properties"]["first_round"]["description"] == "the first round of the first exchange, counted from 1."
    assert definitions["EvaluateSettings"]["properties"]["every"]["description"] == "each round that it divides."
    torus = next(each["then"] for each in definitions["TopologySettings"]["allOf"] if "torus" in str(each["if"]))
    assert torus["properties"]["rows"]["description"].startswith("number of rows; left out, it follows from")


def test_parts_of_installed_packages_are_in_it(declare):
    code = """
from simulator.core.method import Method
from simulator.core.registry import PartSettings

class Thing(Method):
    "Does much."

    class Config(PartSettings):
        name: str = "theirs"
        much: int
"""
    declare("methods", "theirs", code)
    found = Draft202012Validator(experiment_schema())
    assert list(found.iter_errors(changed("methods", [{"name": "theirs", "much": 1}]))) == []
    assert best_match(found.iter_errors(changed("methods", [{"name": "theirs", "much": "x"}])))


def test_it_is_printed_or_written_with_the_line_that_editors_read(rumormill, tmp_path):
    code, printed, _ = rumormill("schema")
    assert code == 0
    code, out, err = rumormill("schema", "--out", tmp_path / "s.json")
    assert (code, out) == (0, f"{tmp_path / 's.json'}\n")
    assert (tmp_path / "s.json").read_text() == printed
    assert json.loads(printed) == experiment_schema()
    assert modeline("s.json") in err
    code, _, err = rumormill("schema", "--out", tmp_path / "missing" / "s.json")
    assert code == 2
    assert "cannot be written" in err
