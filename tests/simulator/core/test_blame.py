"""What a stranger's part gets wrong is told by its name and hook, and not as a traceback of ours."""

import re

import pytest
import torch
from reference.experiments import small
from torch import nn

from simulator import run
from simulator.core.blame import blame, blaming_parts
from simulator.core.errors import InputError, RunError, wrong
from simulator.core.method import METHODS, Method
from simulator.core.model import Model
from simulator.core.registry import PartSettings
from simulator.data.dataset import Dataset


class Clumsy(Method):
    class Config(PartSettings):
        name: str = "clumsy"
        at: str = "before_step"

    def setup(self, node):
        self._stumble("setup")

    def before_step(self, node, batch):
        self._stumble("before_step")

    def after_mixing(self, node):
        self._stumble("after_mixing")

    def _stumble(self, where):
        if where == self.config.at:
            raise ZeroDivisionError("division by nothing")


class Careful(Method):
    class Config(PartSettings):
        name: str = "careful"

    def before_round(self, node):
        raise wrong("methods.careful", "there is nothing to be careful about.")


@pytest.mark.parametrize(
    ("hook", "where"),
    [("setup", r"at node 0 in round 1"), ("before_step", "at node 0 in round 1"), ("after_mixing", "in round 1")],
)
def test_a_hook_that_raises_is_named_with_its_part_its_node_and_its_round(register, tmp_path, hook, where):
    register("methods", "clumsy", Clumsy)
    with pytest.raises(RunError, match=rf"method clumsy \(.*test_blame:Clumsy\) failed in {hook}, .*{where}") as caught:
        run(small(methods=[{"name": "clumsy", "at": hook}]), tmp_path)

    told = str(caught.value)
    assert "ZeroDivisionError: division by nothing" in told
    assert "in _stumble" in told, "the author needs the line"
    assert "sequential.py" not in told, "and not ours"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_what_a_part_says_on_purpose_passes_as_it_is(register, tmp_path):
    register("methods", "careful", Careful)
    with pytest.raises(InputError, match=r"^methods\.careful: there is nothing to be careful about\.$"):
        run(small(methods=["careful"]), tmp_path)


class Lopsided(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, images):
        return self.layer(images)


class LopsidedModel(Model):
    class Config(PartSettings):
        name: str = "lopsided"

    def build(self, inputs, outputs):
        return Lopsided()


class Weary(nn.Module):
    """Fails as soon as it is trained."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, images):
        outputs = self.layer(images.flatten(1))
        return outputs.view(-1, 7, 9) if self.training else outputs


def test_a_network_that_raises_is_named(tmp_path):
    with pytest.raises(RunError, match=r"the network .*test_blame:Weary failed in forward: RuntimeError"):
        run(small(model=Weary), tmp_path)


def test_a_network_that_samples_do_not_fit_is_refused_before_the_run_in_its_own_lines(register, tmp_path):
    register("models", "lopsided", LopsidedModel)
    with pytest.raises(InputError) as caught:
        run(small(model="lopsided"), tmp_path)
    told = str(caught.value)
    assert re.match(r"model: the network is given 2 samples \(float64 \[2, 1, 8, 8\]\), and cannot take them: ", told)
    assert re.search(r"the network .*test_blame:Lopsided failed in forward: RuntimeError: mat1", told)
    assert told.count("File ") == 1  # no lines of torch's
    assert "constructor called shape" in told
    assert not list(tmp_path.iterdir())


def test_a_network_of_a_file_is_called_as_an_experiment_calls_it(tmp_path):
    (tmp_path / "lopsided.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Linear(3, 2)\n\n    def forward(self, images):\n        return self.layer(images)\n"
    )
    with pytest.raises(
        InputError, match=r'the network lopsided\.py:Net failed in forward(.|\n)*File "lopsided\.py", line'
    ):
        run(small(model={"name": f"{tmp_path / 'lopsided.py'}:Net"}), tmp_path / "runs")


class Missing(Dataset):
    class Config(PartSettings):
        name: str = "missing"

    def load(self, root):
        return self.nowhere


def test_any_kind_of_part_is_named():
    told = r"dataset missing \(.*test_blame:Missing\) failed in load: AttributeError"
    with pytest.raises(RunError, match=told), blaming_parts():
        Missing(Missing.Config()).load(None)


def test_a_fault_of_ours_is_nobody_elses():
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) @ torch.zeros(3)
    assert blame(caught.value) is None


class Forgetful(Method):
    def before_step(self, node):
        """Without the batch that it will be given."""


class Generous(Method):
    def before_step(self, node, batch, more=None, *others):
        """With more than it will be given."""


def test_a_hook_that_cannot_be_called_is_refused_when_it_is_given(register):
    with pytest.raises(InputError, match=r"Forgetful\.before_step takes \(self, node\), and is called with \(self, "):
        register("methods", "forgetful", Forgetful)


def test_a_hook_may_take_more_than_it_is_given(register):
    register("methods", "generous", Generous)
    assert METHODS.load("generous") is Generous


@pytest.mark.parametrize(
    ("name", "meant"),
    [("before_steps", "before_step"), ("after_mix", "after_mixing"), ("on_outgoing", "outgoing"), ("trait", "traits")],
)
def test_a_function_that_reads_like_a_hook_is_refused_with_the_hook(register, name, meant):
    mistaken = type("Mistaken", (Method,), {name: lambda self, *given: None})
    with pytest.raises(InputError, match=rf"Mistaken\.{name} is no hook(.|\n)*Call it {meant} if that is meant"):
        register("methods", "mistaken", mistaken)
    register("methods", "private", type("Private", (Method,), {f"_{name}": lambda self, *given: None}))
    register("methods", "both", type("Both", (Method,), {name: lambda self: None, meant: getattr(Method, meant)}))


def test_functions_of_ones_own_are_no_slips(register):
    own = {"momentum": lambda self: 0, "teach": lambda self: 0, "loss_of": lambda self: 0, "labels": lambda self: 0}
    register("methods", "own", type("Own", (Method,), own))


def test_the_signatures_of_all_built_in_parts_fit():
    for name in METHODS.names():
        METHODS.load(name)
