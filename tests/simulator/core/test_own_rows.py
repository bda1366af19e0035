"""What is carried to a machine: its nodes' samples under the numbers that they had, and no others."""

from dataclasses import replace

import pytest
import torch
from reference.experiments import SMALL, small

from simulator.backends.worker import Worker
from simulator.core.backend import Order
from simulator.core.errors import InputError
from simulator.runs.build import Simulation

OWN = {"test": "both", "own_test": 0.2, "verified": {"share": 0.1}, "held_out": 0.2}


def blueprint(**data):
    return Simulation.of(small(data={**SMALL["data"], **data})).blueprint


def sets(data):
    found = {name: getattr(data, name) for name in ("train", "validation", "held_out", "test", "public", "own_test")}
    if data.verified:
        found |= {"fit": data.verified.fit, "select": data.verified.select}
    return {name: samples for name, samples in found.items() if samples is not None}


def content(samples):
    everything = torch.arange(len(samples))
    inputs = samples.inputs_at(everything)
    return samples.index, inputs, samples.targets_at(everything) if samples.targets is not None else inputs[:0]


@pytest.mark.parametrize("data", [{}, OWN], ids=["common test set", "all kinds of sets"])
def test_a_node_has_all_of_its_samples_elsewhere_and_arrays_hold_no_others(data):
    made = blueprint(**data)
    carried = made.for_workers([1, 3])
    for id in (1, 3):
        there, here = sets(carried.data.nodes[id]), sets(made.data.nodes[id])
        assert there.keys() == here.keys()
        for name, samples in here.items():
            assert all(map(torch.equal, content(there[name]), content(samples))), name

    train = carried.data.nodes[1].train
    private = {int(row) for id in (1, 3) for name in sets(made.data.nodes[id]) for row in rows_of(made, id, name)}
    assert len(train.inputs) <= len(private) + 4, "and those on which a network is tried"
    assert len(train.inputs) == len(train.targets) < len(made.data.nodes[1].train.inputs)


def rows_of(made, id, name):
    """The rows of a set that are in the array of training samples."""
    samples = sets(made.data.nodes[id])[name]
    return samples.index if samples.inputs is made.data.nodes[id].train.inputs else ()


def test_what_nodes_share_they_share_elsewhere():
    first, second, *_ = blueprint().for_workers([0, 1]).data.nodes

    assert first.train.inputs is second.train.inputs is first.validation.inputs
    assert first.test is second.test
    assert first.public is second.public


def test_samples_of_other_nodes_are_not_there():
    made = blueprint(**OWN)
    carried = made.for_workers([1])
    private = [samples for name, samples in sets(carried.data.nodes[0]).items() if name not in ("test", "public")]
    assert not any(map(len, private))
    assert carried.data.truth is None

    train = carried.data.nodes[1].train
    asked = replace(train, index=made.data.nodes[2].train.index[-1:])
    with pytest.raises(IndexError):
        asked.inputs_at(torch.tensor([0]))


@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
def test_nodes_made_elsewhere_train_to_the_same_bits(trainer):
    made = Simulation.of(small(f"training.trainer={trainer}", topology={"graph": "ring", "nodes": 6})).blueprint
    order = Order(begin=True, train=True, send=1, evaluate=True)
    replies = [Worker(each, [1, 4]).superstep(order)[0] for each in (made, made.for_workers([1, 4, 5]))]

    for node, reply in replies[0].items():
        assert reply.evaluation.scores == replies[1][node].evaluation.scores
    sent = [Worker(each, [1, 4]).superstep(order)[1] for each in (made, made.for_workers([1, 4, 5]))]
    for mine, theirs in zip(*sent, strict=True):
        assert torch.equal(mine.parts["parameters"], theirs.parts["parameters"])


def test_a_machine_that_leads_workers_with_gpus_needs_none():
    backend = {"name": "ray", "gpus_per_worker": 0.5}
    simulation = Simulation.of(small("training.device=auto", "training.trainer=auto", backend=backend))
    training = simulation.experiment.training

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU itself")
    assert (training.device, simulation.blueprint.module().device.type) == ("cuda", "cpu")
    assert training.trainer == "sequential"
    assert "cannot be asked" in simulation.autotuned["trainer"]["because"]
    with pytest.raises(InputError, match=r"training\.device: no CUDA device can be used on"):
        simulation.blueprint.for_workers(None).module()
