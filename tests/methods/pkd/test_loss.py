"""What is trained on what: losses by hand, what rests, and the laws of methods."""

import numpy as np
import pytest
import torch
from reference.multi_exit import NETWORK, samples
from reference.network import Network, sgd
from torch.nn.functional import cross_entropy

from methods.pkd import PKD
from methods.pkd.method import soft_cross_entropy
from simulator.core.samples import Batch
from simulator.testing import laws
from topologies import Topology

DATA = [samples(seed) for seed in range(3)]
STREAMS = ("mv", "residual", "iframe")


def network(rounds=6, methods=None, **settings):
    settings = {"first_round": 3, "share": 0.25, **settings}
    return Network(
        Topology.build("ring", 3),
        NETWORK,
        DATA,
        sgd(0.1, batch_size=8, momentum=0.9, weight_decay=0.01),
        methods=methods or (lambda node: [PKD(PKD.Config(**settings))]),
        rounds=rounds,
    )


def losses(round, **settings):
    """Of the method, and what exits say, on one batch of node 0."""
    net = network(**settings)
    node, rows = net.nodes[0], torch.arange(5)
    node.finished, node.under_way = round, True
    images = node.data.preparation(node.data.train.inputs_at(rows), torch.float64)
    batch = Batch(images, node.data.train.targets_at(rows), rows)
    with node.using(net.module):
        found = node.methods[0].per_sample_loss(node, batch, None, torch.zeros(5, dtype=torch.float64))
        exits = {name: list(node.model.module.walk(images, name)) for name in STREAMS}
    return found.detach(), exits, batch.targets


def test_soft_cross_entropy_by_hand():
    teacher, student = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    e = np.e
    confident, wrong = e / (1 + e), -np.log(e / (1 + e))
    by_hand = [confident * (wrong + 1) + (1 - confident) * wrong, np.log(2)]
    np.testing.assert_allclose(soft_cross_entropy(teacher, student, 1.0), by_hand, rtol=1e-6)
    halved = soft_cross_entropy(teacher / 2, student / 2, 1.0)
    np.testing.assert_allclose(soft_cross_entropy(teacher, student, 2.0), halved, rtol=1e-6)


def test_the_teacher_has_no_gradient():
    teacher, student = (torch.randn(2, 3, requires_grad=True) for _ in "ts")
    soft_cross_entropy(teacher, student, 1.0).sum().backward()
    assert teacher.grad is None
    torch.testing.assert_close(student.grad, student.softmax(1).detach() - teacher.softmax(1).detach())


def test_before_distillation_each_stream_learns_from_the_labels():
    found, exits, targets = losses(round=1)
    each = [cross_entropy(exits[name][-1], targets, reduction="none") for name in STREAMS]
    torch.testing.assert_close(found, torch.stack(each).mean(0).detach())


@pytest.mark.parametrize(
    ("round", "settings", "teachers"),
    [
        (2, {}, ("mv",) * 3),
        (3, {"temperature": 2.0}, ("residual",) * 3),
        (4, {}, ("iframe",) * 3),
        (5, {}, ("iframe",) * 3),
        (2, {"teachers": ("iframe", "residual", "mv")}, ("iframe",) * 3),
        (5, {"teachers": ("mv", "own")}, STREAMS),
    ],
)
def test_internal_classifiers_learn_from_the_teacher_of_the_round(round, settings, teachers):
    found, exits, _ = losses(round, **settings)
    temperature = settings.get("temperature", 1.0)
    total = sum(
        -((exits[teacher][-1] / temperature).softmax(1) * (student / temperature).log_softmax(1)).sum(1)
        for name, teacher in zip(STREAMS, teachers, strict=True)
        for student in exits[name][:-1]
    )
    torch.testing.assert_close(found, total.detach())


def test_without_teachers_they_learn_from_the_labels():
    found, exits, targets = losses(3, teachers=())
    total = sum(cross_entropy(z, targets, reduction="none") for name in STREAMS for z in exits[name][:-1])
    torch.testing.assert_close(found, total.detach())


def test_what_is_not_trained_rests_in_each_phase():
    """Momentum and weight decay, too, leave it alone; mixing goes on."""
    net = network()
    mask = torch.zeros_like(net.module.initial)
    for name, view in net.module.named_views(mask).items():
        view.fill_(float(name in net.module.module.internal_parameters()))
    internal = mask.bool().numpy()
    for round in range(6):
        before = net.parameters
        messages = net.work()
        moved = net.parameters != before
        resting = ~internal if round >= 2 else internal
        assert not moved[:, resting].any()
        assert moved[:, ~resting].mean() > 0.5
        net.absorb(messages)


@pytest.mark.parametrize(
    "law",
    [
        laws.is_deterministic,
        laws.leaves_global_generators_alone,
        laws.does_not_depend_on_the_order_of_arrival,
        laws.survives_saving_and_loading,
        lambda build: laws.survives_pickling(lambda node: node.methods[0], build),
    ],
)
@pytest.mark.slow
def test_it_keeps_the_laws_of_methods_in_both_phases(law):
    law(network)


def test_a_loss_depends_on_its_own_sample_only():
    net = network()
    node = net.nodes[0]
    node.finished, node.under_way = 3, True
    images = node.data.preparation(node.data.train.inputs_at(torch.arange(4)), torch.float64)
    with node.using(net.module):
        hook = node.methods[0].per_sample_loss
        first, second = (
            hook(node, Batch(x, torch.zeros(len(x), dtype=torch.int64)), None, torch.zeros(len(x)).double())
            for x in (images, images[:2])
        )
    torch.testing.assert_close(first[:2], second, rtol=1e-12, atol=1e-12)
