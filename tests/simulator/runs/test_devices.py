"""Nothing that is made on the CPU is mixed with what is on a GPU: tried on one that is pretended, so none is needed.

Its kernels compute what the CPU's do, so that runs leave the same behind, to the last byte.
"""

from contextlib import nullcontext

import pytest
import torch
from reference.experiments import results, simulate, small
from reference.marks import MANY
from reference.pretended_gpu import MixedDevicesError, is_on_gpu, pretended_gpu
from reference.recipes import shrunk

from simulator import load_experiment, resume, run
from simulator.config.recipe_files import recipes
from simulator.core.method import Method
from simulator.core.traits import Traits

MOMENTUM = {"optimizer": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}, "batch_size": 16}
SIX = {"topology": {"graph": "complete", "nodes": 6}, "rounds": 3}
CHANGES = {
    "cnn": {"model": {"name": "cnn", "width": 4}},
    "statistics": {"model": {"name": "cnn", "width": 4, "norm": "batch"}, "buffers": "mixed"},
    "augmented": {"data": {"dataset": "digits", "partition": "iid", "augment": {"crop": 1, "flip": True}}},
    "recorded": {"record": {"rounds": [1, 2]}},
    "canaries": {
        "data": {"dataset": "digits", "partition": "iid", "canaries": {"number": 8, "kind": "direction"}},
        "methods": [{"name": "dp_sgd", "noise_multiplier": 1.0, "accountant": "rdp"}],
    },
    "choco": {"mixer": {"name": "choco", "compression": "qsgd"}},
    "heard": {**SIX, "adversaries": [{"nodes": [3], "knowledge": "heard", "attack": "mimic"}]},
    "omniscient": {**SIX, "adversaries": [{"nodes": [3], "knowledge": "omniscient", "attack": "ipm"}]},
    "poisoned": {**SIX, "adversaries": [{"nodes": [3], "attack": "backdoor"}, {"nodes": [4], "attack": "label_flip"}]},
}


def left_by(device, folder, training, **changes):
    """What a run leaves behind that one seed determines."""
    with pretended_gpu() if device == "cuda" else nullcontext():
        return results(run(small(training={**training, "device": device}, **changes), folder / device).path)


def assert_alike(folder, training, **changes):
    on_gpu, on_cpu = (left_by(device, folder, training, **changes) for device in ("cuda", "cpu"))
    assert on_gpu.keys() == on_cpu.keys()
    assert [name for name in on_gpu if on_gpu[name] != on_cpu[name]] == []


@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
def test_a_run_is_the_same(trainer, tmp_path):
    assert_alike(tmp_path, {**MOMENTUM, "trainer": trainer})


def test_what_is_left_open_is_found_out_there(tmp_path):
    experiment = small(training={**MOMENTUM, "device": "auto", "trainer": "auto"}, backend={"name": "local"})
    with pretended_gpu():
        done = run(experiment, tmp_path)
    figures = done.directory.read_json("provenance.json")["autotuned"]["trainer"]
    assert figures["device"] == "cuda"
    assert figures["milliseconds_a_node_step"].keys() == {"sequential", "stacked"}


@pytest.mark.slow
@pytest.mark.parametrize("trainer", [pytest.param("sequential", marks=pytest.mark.exhaustive), "stacked"])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=list(CHANGES))
def test_other_runs_are_too(changes, trainer, tmp_path):
    assert_alike(tmp_path, {**MOMENTUM, "trainer": trainer}, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
def test_bfloat16_is_the_same(trainer, tmp_path):
    assert_alike(tmp_path, {**MOMENTUM, "trainer": trainer, "precision": "bf16"}, rounds=2)


@pytest.mark.slow
def test_a_run_goes_on_from_a_checkpoint(tmp_path):
    training = {**MOMENTUM, "trainer": "stacked", "device": "cuda"}
    with pretended_gpu():
        straight = run(small(training=training, rounds=4, checkpoint={"every": 2}), tmp_path)
        before = results(straight.path)
        assert results(resume(straight.path, round=2).path) == before


@pytest.mark.parametrize("name", [pytest.param(name, marks=MANY) for name in recipes()])
def test_every_recipe_runs_on_it(name, tmp_path):
    content = shrunk(name, tmp_path).to_dict()
    content["training"]["device"] = "cuda"
    with pretended_gpu():
        assert run(load_experiment(content), tmp_path).status == "finished"


class Careless(Method):
    """Forgets about devices at one of its hooks."""

    def __init__(self, hook):
        super().__init__(None)
        self._hook = hook

    @classmethod
    def traits(cls, config):
        return Traits(stackable=True)

    def per_sample_loss(self, node, batch, logits, losses):
        return losses * torch.ones(len(losses)) if self._hook == "per_sample_loss" else losses

    def before_step(self, node, batch):
        if self._hook == "before_step":
            node.gradient.add_(torch.ones(len(node.gradient)))

    def after_mixing(self, node):
        if self._hook == "after_mixing":
            assert is_on_gpu(node.parameters)
            node.parameters[torch.tensor([0, 2])] = 1.0  # indices may be anywhere
            node.parameters.copy_(torch.zeros(len(node.parameters)))  # and copies from anywhere
            node.parameters.mul_(torch.tensor(2.0))  # and numbers
            torch.arange(3)[torch.zeros(1, dtype=torch.int64, device=node.parameters.device)]


@pytest.mark.parametrize("trainer", ["sequential", pytest.param("stacked", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("hook", "kernel"), [("per_sample_loss", "mul"), ("before_step", "add_"), ("after_mixing", "index")]
)
def test_a_tensor_of_the_cpu_among_them_is_noticed(hook, kernel, trainer, tmp_path):
    experiment = small(training={**MOMENTUM, "trainer": trainer, "device": "cuda"})
    with pretended_gpu(), pytest.raises(Exception, match=rf"aten\.{kernel}\.Tensor: "):
        simulate(experiment, tmp_path, lambda node: node.methods.append(Careless(hook)))


def test_below_vmap_and_in_backward_passes_it_is_noticed_too():
    with pretended_gpu():
        x, elsewhere = torch.ones(3, 2, device="cuda", requires_grad=True), torch.ones(2)
        with pytest.raises(MixedDevicesError):
            torch.func.vmap(lambda row: row @ elsewhere)(x)
        with pytest.raises(MixedDevicesError):
            torch.autograd.grad(_Careless.apply(x).sum(), x)
        with pytest.raises(TypeError, match="on the GPU"):
            x.detach().numpy()


class _Careless(torch.autograd.Function):
    """Gives a gradient that is no better than its method."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(torch.full((3, 2), 2.0))
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0]
