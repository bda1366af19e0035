"""JSON without NaN and Infinity: what is written is valid, and read back as it was."""

import json

import numpy as np
import pytest
from reference import pages
from reference.experiments import small

from simulator import run
from simulator.core.observer import Speed
from simulator.core.report import Metric
from simulator.core.strict_json import dumps, loads
from simulator.results.comparison import as_markdown, compare, find_runs
from simulator.results.recorder import Recorder
from simulator.results.run_directory import RunDirectory
from simulator.runs.report import write_run_report


def strict(text):
    """As a reader other than Python's reads it."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


CONTENT = {"a": [float("inf"), -float("inf"), 1.5], "b": {"c": (np.float64("inf"), "x", None, True, 3)}}


@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_written_is_json_and_comes_back(indent):
    text = dumps(CONTENT, indent)
    assert strict(text)["a"] == ["Infinity", "-Infinity", 1.5]
    assert loads(text) == {"a": [np.inf, -np.inf, 1.5], "b": {"c": [np.inf, "x", None, True, 3]}}
    assert np.isnan(loads(dumps([float("nan")]))[0])


def test_older_files_with_bare_names_can_be_read():
    assert loads('{"value": Infinity}') == {"value": np.inf}
    assert np.isnan(loads("[NaN]")[0])


def test_finite_content_is_written_as_ever():
    content = {"a": [1, 2.5, "Inf", None], "b": {"c": "NaNs"}}
    assert dumps(content, 2) == json.dumps(content, indent=2)
    assert loads(dumps(content)) == content


def test_a_run_writes_json_whatever_its_numbers_and_reads_it_back(tmp_path):
    done = run(small("rounds=1", "data.public=[]"), tmp_path)
    recorder = Recorder(done.path)
    recorder.started(None)
    odd = [Metric(1, node, "privacy/epsilon", value) for node, value in enumerate((np.inf, np.nan, -np.inf, 2.5))]
    recorder.evaluated(1, [*odd, Metric(1, None, "privacy/epsilon/max", np.inf)], Speed(1, np.inf, 1, 4, 1, 1))
    recorder.finished("finished")
    for file in done.path.glob("*.json*"):
        for text in file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]:
            strict(text)
    directory = RunDirectory.open(done.path)
    np.testing.assert_array_equal(directory.series("privacy/epsilon")[1], [[np.inf, np.nan, -np.inf, 2.5]])
    assert directory.network_series("privacy/epsilon/max")[1].tolist() == [np.inf]
    assert directory.timing()[-1]["seconds"] == np.inf
    assert "Infinity" not in pages.page(write_run_report(directory).read_text())
    assert "∞" in as_markdown(compare(find_runs([directory.path]), ["privacy/epsilon/max"]))
