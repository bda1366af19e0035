"""Parts without packaging: from files, from Python; on every backend, kept with the run, and never another text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from reference.experiments import results, small
from torch import nn

from simulator import Experiment, load_experiment, resume, run
from simulator.core.errors import InputError
from simulator.core.method import METHODS, Method
from simulator.core.registry import PartSettings
from simulator.core.user_code.files import KNOWN
from simulator.runs.audit import audit, audit_settings
from simulator.runs.launch import branch
from simulator.runs.report import write_run_report
from simulator.runs.run import Run
from simulator.sweep import load_sweep

LAYERS = """
from torch import nn
class Block(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(nn.Flatten(), nn.Linear(inputs, outputs), nn.ReLU())
"""
NET = """
from torch import nn
from my_layers import Block
class Net(nn.Module):
    def __init__(self, classes, shape, width: int = 8, activation=nn.ReLU):
        super().__init__()
        height, width_, depth = shape
        self.layers = nn.Sequential(Block(height * width_ * depth, width), nn.Linear(width, classes))
    def forward(self, images):
        return self.layers(images)
"""
METHOD = """
from simulator.core.method import Method
from simulator.core.registry import PartSettings
class Mine(Method):
    class Config(PartSettings):
        mu: float = 0.1
    def before_round(self, node):
        self.start = node.parameters.clone()
    def before_step(self, node, batch):
        node.gradient.add_(node.parameters - self.start, alpha=self.config.mu)
"""
CONTENT = {
    "name": "outside",
    "rounds": 4,
    "topology": {"graph": "ring", "nodes": 4},
    "data": {"dataset": "digits", "partition": "iid", "train_samples": 200, "test_samples": 50},
    "model": {"name": "my_net.py:Net", "width": 6},
    "methods": ["my_method.py:Mine"],
    "training": {"batch_size": 8, "optimizer": {"lr": 0.1}, "trainer": "sequential"},
    "evaluate": {"every": 2},
    "checkpoint": {"every": 2, "keep": "all"},
}


@pytest.fixture
def folder(tmp_path):
    """A folder of a user's, with an experiment and the files that it names."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in (("my_layers", LAYERS), ("my_net", NET), ("my_method", METHOD)):
        (folder / f"{name}.py").write_text(text)
    (folder / "exp.yaml").write_text(yaml.safe_dump(CONTENT))
    return folder


def edit(folder):
    (folder / "my_method.py").write_text(METHOD.replace("alpha=self", "alpha=-5 * self"))


@pytest.mark.slow
def test_a_run_keeps_the_files_and_goes_on_with_them_when_they_have_been_edited(folder, tmp_path):
    experiment = load_experiment(folder / "exp.yaml")
    whole = run(experiment, tmp_path / "runs")
    assert (whole.path / "code" / "my_layers.py").read_text() == LAYERS
    code = whole.directory.provenance()["code"]
    assert sorted(code) == ["my_layers.py", "my_method.py", "my_net.py"]
    assert experiment.methods[0].name == f"my_method.py@{code['my_method.py']['hash']}:Mine"

    before = results(whole.path)
    edit(folder)
    again = _elsewhere(whole.path, f"from simulator import resume; resume(Path({str(whole.path)!r}), 2)")
    assert again.returncode == 0, again.stderr
    assert results(whole.path) == before
    assert write_run_report(whole.directory).exists()
    assert load_experiment(folder / "exp.yaml").digest() != experiment.digest(), "another text is another experiment"


@pytest.mark.slow
def test_a_run_whose_copy_was_edited_is_refused_with_what_to_do(folder, tmp_path):
    done = run(load_experiment(folder / "exp.yaml"), tmp_path / "runs")
    edit(done.path / "code")
    refused = _elsewhere(done.path, f"from simulator import resume; resume(Path({str(done.path)!r}), 2)")

    assert "my_method.py: has been changed" in refused.stderr
    assert "Put the text back" in refused.stderr


def test_a_branch_takes_its_file_along(folder, tmp_path):
    trunk = run(load_experiment(folder / "exp.yaml"), tmp_path / "runs")
    other = load_experiment(folder / "exp.yaml", ["methods.0.mu=0.5"])
    branched, straight = branch(trunk.path, 0 + 2, other, tmp_path / "b"), run(other, tmp_path / "s")

    assert (branched.path / "code" / "my_method.py").exists()
    assert straight.directory.experiment["methods"][0]["mu"] == branched.directory.experiment["methods"][0]["mu"] == 0.5


def test_paths_begin_at_the_file_that_they_stand_in_or_else_here(folder, tmp_path, monkeypatch):
    (tmp_path / "my_method.py").write_text(METHOD.replace("0.1", "0.7"))
    monkeypatch.chdir(tmp_path)
    in_file = load_experiment(folder / "exp.yaml")
    overridden = load_experiment(folder / "exp.yaml", ["methods=[my_method.py:Mine]"])
    plain = load_experiment({**CONTENT, "model": "mlp"})
    (folder / "sweep.yaml").write_text(
        yaml.safe_dump({"experiment": "exp.yaml", "arms": {"a": {"methods.0": "my_method.py:Mine"}}})
    )
    (swept,) = load_sweep(folder / "sweep.yaml").runs

    assert [each.methods[0].mu for each in (in_file, overridden, plain, swept.experiment)] == [0.1, 0.7, 0.7, 0.1]


def test_settings_of_a_plain_network_are_those_of_its_constructor(folder):
    with pytest.raises(InputError) as caught:
        load_experiment(folder / "exp.yaml", ["model={name: my_net.py:Net, widht: 6}", "methods=[]"], folder=folder)
    assert "has no setting 'widht'" in str(caught.value)
    assert "Did you mean 'width'? Known settings: name, width." in str(caught.value), "no classes, shape, activation"
    with pytest.raises(InputError, match=r"model\.width: .*valid integer"):
        load_experiment(folder / "exp.yaml", ["model.width=wide"])


AUDIT = """
from simulator.runs.audit import Audit
from simulator.core.report import Section
class Mine(Audit):
    def conduct(self, run, folder):
        return {"found": 1}
    @classmethod
    def sections(cls, folder):
        return [Section("Found by an audit of mine", "Nothing.")]
"""


def test_an_audit_of_ones_own_is_kept_with_the_run_and_tells_in_its_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_audit.py").write_text(AUDIT)
    done = run(small(rounds=1), tmp_path / "runs")
    settings = audit_settings("my_audit.py:Mine", {})
    audit(done.path, settings)
    (tmp_path / "my_audit.py").unlink()
    monkeypatch.delitem(KNOWN, settings.name[12:28])  # as in a later process

    assert "Found by an audit of mine" in write_run_report(done.directory).read_text()


class Net(nn.Module):
    def __init__(self, classes, shape, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1], width), nn.Linear(width, classes))

    def forward(self, images):
        return self.layers(images)


class Mine(Method):
    class Config(PartSettings):
        mu: float = 0.1

    def before_step(self, node, batch):
        node.gradient.mul_(self.config.mu)


@pytest.mark.slow
def test_classes_and_objects_are_parts_in_python(tmp_path):
    given = {key: value for key, value in CONTENT.items() if key not in ("model", "methods")}
    made = Experiment(**given, model={"name": Net, "width": 6}, methods=[Mine(mu=0.5)])
    read = load_experiment(
        {**given, "model": {"name": Net, "width": 6}, "methods": (Mine(mu=0.1),)}, ["methods.0.mu=0.5"]
    )
    assert made == read
    assert made.digest() == read.digest()
    assert made.methods[0].name.endswith(":Mine")

    done = run(made, tmp_path)
    assert Run(done.directory, "finished").nodes[0].methods[0].config.mu == 0.5
    (kept,) = (done.path / "code").glob("Mine-*.txt")
    assert kept.read_text().startswith("class Mine(Method):")
    assert done.directory.provenance()["code"][made.methods[0].name]["source"] == f"code/{kept.name}"


def test_what_cannot_be_a_part_is_told_in_python():
    given = {key: value for key, value in CONTENT.items() if key not in ("model", "methods")}
    with pytest.raises(InputError, match=r"model: is a Net that has been made"):
        Experiment(**given, model=Net(2, (8, 8, 1)))
    with pytest.raises(InputError, match=r"methods\[0\]\.name: .* is no class of a part"):
        Experiment(**given, model=Net, methods=[Net])
    with pytest.raises(InputError, match=r"methods\[0\].*needs public data"):
        run(Experiment(**given, model=Net, methods=[{"name": "idkd", "first_round": 2, "every": 2}]))


def test_the_text_of_an_added_class_counts_for_the_digest(register):
    register("methods", "mine", Mine)
    first = small(methods=["mine"]).digest()
    METHODS.remove("mine")
    register("methods", "mine", type("Mine", (Method,), {"__module__": __name__, "Config": Mine.Config}))

    assert small(methods=[]).digest() != first
    assert METHODS.load("mine") is not Mine


@pytest.mark.slow
def test_a_run_of_a_class_that_is_nowhere_says_what_to_do(tmp_path):
    class Local(Mine):
        """Known to this test alone."""

    done = run(small(rounds=1, methods=[Local(mu=0.5)]), tmp_path)
    refused = _elsewhere(done.path, f"from simulator import resume; resume(Path({str(done.path)!r}))")

    assert "Local' was handed over from Python, and its code was not kept" in refused.stderr
    assert "start anew with the class in a file" in refused.stderr
    assert resume(done.path).status == "finished", "here it is known"


SCRIPT = f"""
from simulator import Experiment, run
{NET.replace("from my_layers import Block", LAYERS)}
{METHOD}
import sys
settings = { ({key: value for key, value in CONTENT.items() if key not in ("model", "methods")})!r}
given = dict(model={{"name": Net, "width": 6}}, methods=[Mine(mu=0.1)])
for backend in sys.argv[2:]:
    print(run(Experiment(**settings, **given, backend=backend), sys.argv[1]).path)
"""


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.ray
def test_files_and_classes_of_main_give_the_same_bytes_on_local_and_on_ray(folder, tmp_path):
    """Four runs in three processes: what is executed is the same text, so all of them end in the same bytes."""
    paths = []
    for backend in ("local", "ray"):
        command = [sys.executable, "-m", "simulator", "run", "exp.yaml", f"backend={{name: {backend}}}"]
        done = subprocess.run([*command, "--out", str(tmp_path / "runs")], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        paths.append(folder / done.stdout.splitlines()[-1])
    command = [sys.executable, "-", str(tmp_path / "runs"), "local", "ray"]
    done = subprocess.run(command, input=SCRIPT, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    paths += map(Path, done.stdout.splitlines())

    local, *others = (_tensors(path) for path in paths)
    assert len(local) >= 4
    assert len(others) == 3
    assert all(other == local for other in others)
    told = json.loads((paths[2] / "provenance.json").read_text())["code"]
    assert all("not kept" in each["source"] for each in told.values()), "standard input has no text to be found"


def _tensors(path):
    return {name: content for name, content in results(path).items() if not name.endswith("json")}


def _elsewhere(path, code):
    """``code`` in a process of its own, in another folder."""
    code = f"from pathlib import Path\n{code}"
    return subprocess.run([sys.executable, "-c", code], cwd=path.parent.parent, capture_output=True, text=True)
