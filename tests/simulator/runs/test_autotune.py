"""What is left to the program: trainer, device, workers. Decided before the run, once, and written down."""

from collections import Counter

import pytest
import torch
from reference.experiments import METHODS, nodes_of, results, small

from simulator import resume, run
from simulator.backends import local
from simulator.core.backend import Order
from simulator.core.errors import InputError
from simulator.core.samples import moved
from simulator.runs import autotune
from simulator.runs.build import Simulation
from simulator.training.probe import milliseconds_a_node_step

MOMENTUM = {"batch_size": 8, "optimizer": {"lr": 0.1, "momentum": 0.9}}


def automatic(**changes):
    return small(training={"trainer": "auto", **MOMENTUM}, **changes)


@pytest.fixture
def measured(monkeypatch):
    """Say what the probe shall find, in ms by trainer."""

    def find(**times):
        for module in (autotune, local):
            monkeypatch.setattr(module, "milliseconds_a_node_step", lambda name, blueprint: times[name])

    return find


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({"sequential": 2.0, "stacked": 1.0}, "stacked"),
        ({"sequential": 1.0, "stacked": 2.0}, "sequential"),
        ({"sequential": 9.0}, "sequential"),  # nothing to gain, so stacking is not even tried
    ],
)
def test_the_faster_trainer_is_taken(times, chosen, measured):
    measured(**times)
    simulation = Simulation.of(automatic())

    assert simulation.experiment.training.trainer == chosen
    expected = {"chosen": chosen, "device": "cpu", "milliseconds_a_node_step": times}
    assert simulation.autotuned == {"trainer": expected}


def test_what_is_given_is_not_measured(measured):
    measured()

    assert Simulation.of(small()).autotuned == {}


def test_the_choice_is_part_of_the_run(tmp_path, measured):
    measured(sequential=2.0, stacked=1.0)
    done = run(automatic(backend={"name": "local", "workers": 1}), tmp_path)

    assert done.directory.experiment["training"]["trainer"] == "stacked"
    assert done.directory.read_json("provenance.json")["autotuned"]["trainer"]["chosen"] == "stacked"


def test_a_resumed_run_keeps_the_first_choice(tmp_path, measured):
    changes = {"checkpoint": {"every": 2, "keep": "all"}, "backend": {"name": "local", "workers": 1}}
    measured(sequential=2.0, stacked=1.0)
    straight = results(run(automatic(**changes), tmp_path / "straight").path)
    stopped = run(automatic(**changes), tmp_path / "stopped")
    measured(sequential=1.0, stacked=2.0)
    resumed = resume(stopped.path, round=2)

    assert results(resumed.path) == straight
    assert resumed.directory.read_json("provenance.json")["autotuned"]["trainer"]["chosen"] == "stacked"


@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
def test_measuring_touches_neither_nodes_nor_generators(trainer):
    experiment = small(methods=METHODS, training={"local_steps": 2, "batch_size": 8})
    blueprint = Simulation.of(experiment).blueprint
    nodes = blueprint.nodes(range(4))
    before, generator = [node.state_dict() for node in nodes], torch.get_rng_state()

    class Held:
        topology, module = blueprint.topology, staticmethod(blueprint.module)

        @staticmethod
        def nodes(ids):
            return [nodes[id] for id in ids]

    assert milliseconds_a_node_step(trainer, Held()) > 0
    assert torch.equal(torch.get_rng_state(), generator)
    for node, state in zip(nodes, before, strict=True):
        after = node.state_dict()
        assert after.keys() == state.keys()
        assert all(torch.equal(after[name], state[name]) for name in state)
        assert not node.metrics


@pytest.mark.parametrize(("taken", "workers"), [(0.5, 1), (5.0, 3)])
def test_local_takes_a_worker_a_core_for_long_steps(taken, workers, measured, monkeypatch):
    measured(sequential=taken)
    monkeypatch.setattr(local, "cores", lambda: 3)
    simulation = Simulation.of(small(backend={"name": "local", "workers": "auto"}))
    with simulation.started():
        assert simulation.backend.workers() == (workers, workers)
    expected = {"chosen": workers, "cores": 3, "milliseconds_a_node_step": taken}
    assert simulation.backend.autotuned == {"workers": expected}


@pytest.mark.parametrize(("taken", "workers"), [(0.9, 1), (1.1, 3)])
def test_of_stacked_nodes_all_that_a_worker_trains_at_once_count(taken, workers, measured, monkeypatch):
    """Of four nodes and three cores two."""
    measured(stacked=taken)
    monkeypatch.setattr(local, "cores", lambda: 3)
    simulation = Simulation.of(small("training.trainer=stacked", backend={"name": "local", "workers": "auto"}))
    with simulation.started():
        assert simulation.backend.workers() == (workers, workers)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(InputError, match=r"training\.device: no CUDA device"):
        Simulation.of(small("training.device=cuda"))

    assert Simulation.of(small("training.device=auto")).experiment.training.device == "cpu"


def test_data_moves_once_and_stays_shared():
    data = [node.data for node in nodes_of(small())]
    there = moved(data, torch.device("meta"))

    assert Counter(id(node.train.inputs) for node in there) == {id(there[0].validation.inputs): len(data)}
    assert all(node.test is there[0].test and node.preparation is there[0].preparation for node in there)
    assert there[0].train.inputs.device.type == there[0].preparation.mean.device.type == "meta"
    assert all(mine.train.index is theirs.train.index for mine, theirs in zip(data, there, strict=True))
    assert moved(data, torch.device("cpu")) == data


@pytest.mark.gpu
@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
@pytest.mark.parametrize("model", [{"name": "mlp", "hidden": [16]}, {"name": "cnn", "width": 4}], ids=["mlp", "cnn"])
def test_a_gpu_computes_the_same(model, trainer, tmp_path):
    def final(place, **changes):
        training = {"batch_size": 16, "precision": "fp64", **changes, "optimizer": MOMENTUM["optimizer"]}
        done = run(small(rounds=20, model=model, training=training), tmp_path / place)
        return torch.stack([node.parameters for node in done.nodes])

    torch.testing.assert_close(final("cuda", device="cuda", trainer=trainer), final("cpu"), rtol=1e-8, atol=1e-9)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["sign", "qsgd", "top_k", "random_k"])
def test_compressed_messages_and_checkpoints_on_a_gpu(kind, tmp_path):
    mixer = {"name": "choco", "compression": {"name": kind}}
    changes = {"mixer": mixer, "rounds": 4, "checkpoint": {"every": 2}}
    training = {"device": "cuda", "trainer": "stacked", **MOMENTUM}
    straight = run(small(training=training, **changes), tmp_path)
    before = results(straight.path)

    assert results(resume(straight.path, round=2).path) == before


@pytest.mark.gpu
def test_evaluations_leave_the_gpu():
    simulation = Simulation.of(small("training.device=cuda"))
    with simulation.started():
        replies = simulation.backend.superstep(Order(evaluate=True, snapshot=True))()

    assert all(reply.evaluation.parameters.device.type == "cpu" for reply in replies.values())
    assert all(tensor.device.type == "cpu" for reply in replies.values() for tensor in reply.state.values())
