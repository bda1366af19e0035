"""Experiments put together in Python: own data and own network in a line each, results as tables and figures."""

import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pandas
import pytest
import torch
from matplotlib.figure import Figure
from reference.experiments import small
from torch import nn

from simulator import Experiment, Run, audit, run
from simulator.core.errors import InputError
from simulator.results.run_directory import RunDirectory

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebooks" / "own_data_and_network.ipynb"
SCRIPT = '''
import torch
from torch import nn

from simulator import Experiment, run


class Points(torch.utils.data.Dataset):
    """Two clouds."""

    def __init__(self):
        self.y = torch.arange(240) % 2
        self.x = torch.randn(240, 5, generator=torch.Generator().manual_seed(0)) + 2.0 * self.y[:, None]

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], int(self.y[i])


class Net(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, 8), nn.ReLU(), nn.Linear(8, classes))

    def forward(self, x):
        return self.layers(x)


if __name__ == "__main__":
    ring = {"graph": "ring", "nodes": 4}
    done = run(Experiment(name="mine", rounds=6, topology=ring, data=Points, model=Net, training={"local_steps": 4}))
    print(len(done.nodes[0].parameters), done.path)
'''


@pytest.mark.slow
def test_a_script_runs_its_own_data_and_network_and_the_run_is_read_back(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    size, path = done.stdout.split()
    assert int(size) == 5 * 8 + 8 + 8 * 2 + 2
    frame = Run.open(tmp_path / path).metrics().to_dataframe()
    last = frame[(frame["name"] == "test/accuracy") & (frame["round"] == 6)]
    assert last["node"].tolist() == [0, 1, 2, 3]
    assert last["value"].mean() > 0.9
    assert frame[frame["name"] == "test/accuracy/mean"]["node"].isna().all()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run, read back from its path."""
    return Run.open(run(small(), tmp_path_factory.mktemp("finished")).path)


def test_metrics_are_plotted_by_name(finished):
    figure = finished.plot()
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_ylabel() == "test accuracy, %"
    (line,) = figure.axes[0].get_lines()
    _, values = finished.directory.series("test/accuracy")
    assert line.get_ydata() == pytest.approx(100 * values.mean(axis=1))
    assert finished.plot("bytes/sent").axes[0].get_lines()
    with pytest.raises(InputError, match=r"no metric 'test/acuracy'\.\n.*test/accuracy"):
        finished.plot("test/acuracy")


@pytest.mark.parametrize("path_type", [str, Path])
def test_a_run_is_opened_by_its_path_as_text_or_as_a_path(finished, path_type):
    path = path_type(finished.path)
    assert Run.open(path).path == RunDirectory.open(path).path == Path(finished.path)
    with pytest.raises(InputError, match="is not a run directory"):
        Run.open(path_type("nowhere"))


def test_an_audit_is_asked_for_by_name_and_gives_its_results(experiment, tmp_path):
    done = run(experiment("data.held_out=0.3"), tmp_path)
    found = audit(done, "membership", signals=["loss"], views=["final_model"], resamples=5)
    assert found.metrics()["final_model/loss/threshold/auc"] == pytest.approx(0.5, abs=0.3)
    assert found.result()["settings"]["signals"] == ["loss"]
    with pytest.raises(InputError, match="signal"):
        audit(done, "membership", signal=["loss"])
    with pytest.raises(InputError, match="membership"):
        audit(done.path, "membreship")


def test_what_is_no_part_is_told_where_it_stands():
    with pytest.raises(InputError, match="model"):
        Experiment(name="x", rounds=1, topology={"graph": "ring", "nodes": 3}, data={"dataset": "digits"}, model=7)


class Rows(torch.utils.data.Dataset):
    def __init__(self, path="rows"):
        self.path = path


class Net(nn.Module):
    def __init__(self, outputs, width=3):
        super().__init__()


TENSORS = torch.utils.data.TensorDataset(torch.zeros(9, 2), torch.arange(9) % 2)
MADE = {
    "network": (
        {"model": Net(2)},
        r"model: is a Net that has been made.*\n +Write model=\{'name': Net, 'width': \.\.\.\}",
    ),
    "network by name": ({"model": {"name": Net(2)}}, r"model: is a Net that has been made"),
    "layers": (
        {"model": nn.Sequential()},
        r"model: is a Sequential .*\n +Write class Net\(torch\.nn\.Sequential\): and ",
    ),
    "function": ({"model": lambda: Net(2)}, r"model: is a function,.*\n +Write class Net\(torch\.nn\.Module\): and "),
    "items": (
        {"data": Rows()},
        r"data\.dataset: is a Rows .*\n +Write .*\{'name': Rows, 'arguments': \{'path': \.\.\.\}\}",
    ),
    "tensors": ({"data": TENSORS}, r"data\.dataset: is a TensorDataset that has been made.*\n +numpy\.savez"),
    "loader": ({"data": torch.utils.data.DataLoader(TENSORS)}, r"data\.dataset: is a DataLoader.*\n.* numpy\.savez"),
    "arrays": ({"data": (np.zeros((9, 2)), np.zeros(9))}, r"data\.dataset: is a list in memory.*\n +numpy\.savez"),
    "frame": (
        {"data": pandas.DataFrame({"a": [1]})},
        r"data\.dataset: is a DataFrame in memory.*\n +to_csv\(.*'table'",
    ),
}


@pytest.mark.parametrize("case", MADE)
def test_for_an_object_that_has_been_made_the_line_to_write_instead_is_told(case):
    given, says = MADE[case]
    usual = {"topology": {"graph": "ring", "nodes": 3}, "data": {"dataset": "digits"}, "model": "mlp"}
    with pytest.raises(InputError, match=says):
        Experiment(name="x", rounds=1, **(usual | given))


@pytest.mark.slow
def test_the_notebook_runs_and_shows_how_the_run_gets_on(tmp_path):
    book = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    text = str([cell.get("outputs") for cell in book.cells])
    assert "round 6/6" in text
    assert "final_model/loss/threshold/auc" in text
