"""Metrics are called as they are listed: those that parts log, and those of runs."""

import ast
import re
from pathlib import Path

import pytest

import simulator
from simulator import run
from simulator.results.metric_names import METRIC_NAMES

ROOT = Path(simulator.__file__).parents[1]
ATTACKED = {
    "adversaries": [{"nodes": [1], "attack": {"name": "backdoor", "target": 0}}],
    "mixer": {"name": "trimmed_mean", "byzantine": 1},
    "topology": {"graph": "complete", "nodes": 6, "failures": {"links": 0.2}},
    "clock": {"step_seconds": 0.1, "bandwidth": 1e7},
}
OTHERS = {
    "methods": [{"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0}],
    "evaluate": {"every": 2, "tested_nodes": 3},
}


def listed_as(name):
    """The listed names, without parts that stand for whatever a method measures, that ``name`` may be one of."""
    patterns = {each: re.sub("<[^>]+>", "[^/]+(/[^/]+)*", each) for each in METRIC_NAMES}
    return [each for each, pattern in patterns.items() if re.fullmatch(pattern, name)]


def logged():
    """What stands in ``node.log(...)`` in the code of parts, with a word for what is filled in."""
    for file in sorted([*(ROOT / "methods").rglob("*.py"), *(ROOT / "simulator" / "mixers").rglob("*.py")]):
        for call in ast.walk(ast.parse(file.read_text())):
            match call:
                case ast.Call(func=ast.Attribute(attr="log", value=ast.Name(id="node")), args=[ast.Constant(name), _]):
                    yield name
                case ast.Call(func=ast.Attribute(attr="log", value=ast.Name(id="node")), args=[ast.JoinedStr(), _]):
                    parts = call.args[0].values
                    yield "".join(part.value if isinstance(part, ast.Constant) else "any" for part in parts)


def test_what_parts_log_is_listed():
    names = set(logged())
    assert {"idkd/threshold", "ltc/kept", "any/rejected"} <= names
    assert len(names) > 15
    assert {name for name in names if not listed_as(name)} == set()


@pytest.mark.parametrize("changes", [ATTACKED, OTHERS], ids=["attacked", "private"])
def test_metrics_of_a_run_are_listed(experiment, tmp_path, changes):
    done = run(experiment("rounds=2", **changes), tmp_path)
    names = {metric.name for metric in done.metrics()}
    expected = {"attack/weight", "honest/drift", "clock/seconds", "network/links_lost", "attack/backdoor_success"}
    assert (expected if changes is ATTACKED else {"privacy/epsilon", "privacy/epsilon/max"}) <= names
    assert {name for name in names if not listed_as(name)} == set()
    if changes is OTHERS:
        assert "test/accuracy/standard_error" in names
