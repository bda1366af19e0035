"""Nodes of one modality each: who sends which labels when, what they are learnt as, and whether that helps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.experiments import At, results
from reference.multi_exit import CLIPS, ONE_EACH, clips, one_modality, one_stream, samples
from reference.multi_exit import PKD as ACTIVE
from reference.network import Network, sgd

from methods.pkd import PKD
from methods.pkd.exchange import LABELS, mean_labels
from methods.pkd.report import sections
from simulator import resume, run
from simulator.core.errors import InputError
from simulator.core.multi_exit import exit_logits
from simulator.core.samples import Samples
from simulator.data.modalities import dealt
from simulator.testing import laws
from topologies import Topology

HELD = ("mv", "residual", "iframe")
RING = Topology.build("ring", 6)
CHAIN = Topology.build("chain", 3)
NEUTRAL = {"name": "pkd", "first_round": None}
EXCHANGE = ACTIVE | {"temperature": 2.0}


def network(topology=RING, by_node=HELD, **settings):
    settings = {"first_round": 3, "share": 0.25, "temperature": 2.0, **settings}
    return one_modality(topology, by_node, lambda node: [PKD(PKD.Config(**settings))])


def teachers(messages):
    return {(message.sender, message.receiver) for message in messages if LABELS in message.parts}


def public_labels(net, node):
    """softmax(z / 2) of the public samples, of the node as it is now."""
    with node.using(net.module):
        return (node.outputs(node.data.public) / 2).softmax(dim=1)


def test_teachers_send_labels_to_all_neighbours_in_the_round_before_their_turn():
    """Turns begin in rounds 2, 3 and 4; nodes i and i + 3 hold the same, so on this ring no parameters travel."""
    net, sent = network(), []
    for _ in range(6):
        sent.append(net.round())
    taught = [teachers(messages) for messages in sent]
    to_neighbours = [{(i, (i + step) % 6) for i in (k, k + 3) for step in (1, -1)} for k in range(3)]
    assert taught == [set(), *to_neighbours, set(), set()]
    assert {name for messages in sent for message in messages for name in message.parts} == {LABELS}
    sizes = {message.envelope.bytes_by_part[LABELS] for messages in sent for message in messages}
    assert sizes == {10 * 3 * 8}  # public samples, classes, double precision


def test_a_turns_labels_are_the_mean_of_the_teachers_in_sight():
    """Nodes 1, 2 and 3 hear motion, 2 from both sides; 1 and 3 teach also themselves, and 0 sees no teacher but 1."""
    net = network(Topology.build("chain", 5), ("iframe", "mv", "residual", "mv", "iframe"))
    net.round()
    sent = net.work()  # round 1
    said = [public_labels(net, node) for node in net.nodes]
    net.absorb(sent)
    expected = [said[1], said[1], (said[1] + said[3]) / 2, said[3], said[3]]
    for node, labels in zip(net.nodes, expected, strict=True):
        torch.testing.assert_close(node.training_set.public_targets, labels)
        assert torch.equal(node.training_set.public_positions, torch.arange(10))
        assert len(node.training_set.private_positions) == 0
    heard = [next(metric.value for metric in node.metrics if metric.name == "pkd/teachers") for node in net.nodes]
    assert heard == [1, 0, 2, 0, 1]


def test_a_node_out_of_sight_of_the_teacher_learns_from_itself():
    net = network(CHAIN)
    net.round()
    sent = net.work()
    said = [public_labels(net, node) for node in net.nodes]
    net.absorb(sent)
    torch.testing.assert_close(net.nodes[2].training_set.public_targets, said[2])
    torch.testing.assert_close(net.nodes[1].training_set.public_targets, said[0])


def test_own_sends_nothing_and_no_teachers_train_on_private_labels():
    alone, labelled = network(teachers=("own",)), network(teachers=())
    assert not any(alone.round() or labelled.round() for _ in range(3))
    assert len(alone.nodes[0].training_set.public_positions) == 10
    assert len(labelled.nodes[0].training_set.public_positions) == 0


def test_the_loss_is_cross_entropy_to_the_labels_at_the_temperature():
    """- sum_c q_c log softmax(z / 2)_c over the internal classifiers, by hand, with q the labels heard."""
    net = network(CHAIN)
    net.run(2)
    node = net.nodes[1]
    node.under_way = True  # as in the third round
    with node.using(net.module):
        batch = node.training_set.next_batch(8, node.rng, node.rng("augmentation"))
        found = node.methods[0].per_sample_loss(node, batch, None, torch.zeros(8, dtype=torch.float64))
        *internal, _ = net.module.module.walk(batch.inputs, "own")
    rows = batch.positions - len(node.data.train)
    heard = node.training_set.public_targets[rows]
    by_hand = sum(-(heard * (z / 2).log_softmax(dim=1)).sum(dim=1) for z in internal)
    torch.testing.assert_close(found, by_hand)


def test_the_mean_does_not_depend_on_who_came_first():
    tables = {node: torch.rand(4, 3) for node in (5, 1, 3)}
    assert torch.equal(mean_labels(tables), mean_labels(dict(reversed(tables.items()))))
    torch.testing.assert_close(mean_labels(tables), sum(tables.values()) / 3)


@pytest.mark.parametrize(
    "law",
    [
        laws.is_deterministic,
        laws.leaves_global_generators_alone,
        laws.does_not_depend_on_the_order_of_arrival,
        laws.survives_saving_and_loading,
        lambda build: laws.survives_pickling(lambda node: node.methods[0], build),
        laws.sends_are_never_written_to,
    ],
)
@pytest.mark.slow
def test_it_keeps_the_laws_of_methods(law):
    law(lambda: network(Topology.build("complete", 4)))


@pytest.mark.slow
def test_internal_classifiers_learn_what_neighbours_of_another_modality_know():
    """The I-frame node has three private samples, and a neighbour that knows all classes."""
    with_exchange, without = (_internal_accuracy(teachers) for teachers in (("mv",), ("own",)))
    assert with_exchange > 0.9
    assert with_exchange > without + 0.2


def _internal_accuracy(teachers):
    def data(rows, seed):
        """In pictures of every modality, a class is the upper half brightened, the left one, or neither."""
        rng = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 120, (rows, 8, 8, 16), dtype=torch.uint8, generator=rng)
        labels = torch.randint(0, 3, (rows,), generator=rng)
        images[labels == 0, :4] += 120
        images[labels == 1, :, :4] += 120
        return Samples(images, labels, torch.arange(rows))

    common = {"public": replace(data(60, 9), targets=None), "test": data(60, 8)}
    nodes = [replace(samples(), train=data(rows, seed), **common) for seed, rows in ((1, 60), (2, 3))]
    net = Network(
        Topology.build("complete", 2),
        lambda: one_stream((8, 16)),
        dealt(nodes, ("mv", "iframe")),
        sgd(0.05, batch_size=16, momentum=0.9, local_steps=4),
        methods=lambda node: [PKD(PKD.Config(first_round=16, teachers=teachers))],
        rounds=27,
    )
    net.run(27)
    node = net.nodes[1]
    with node.using(net.module):
        said = exit_logits(node.model, node.data.test, node.data.preparation)
    right = said[:-1].argmax(dim=2) == node.data.test.targets
    return right.double().mean().item()


@pytest.mark.slow
def test_neutral_settings_are_bit_identical_to_no_method(tmp_path):
    used, unused = (run(clips(data=ONE_EACH, methods=m), tmp_path / str(len(m))) for m in ([NEUTRAL], []))
    assert results(used.path) == results(unused.path)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.ray
def test_ray_gives_the_bits_of_local(tmp_path):
    local = run(clips(data=ONE_EACH, methods=[EXCHANGE]), tmp_path / "local")
    ray = run(clips(data=ONE_EACH, methods=[EXCHANGE], backend={"name": "ray", "workers": 2}), tmp_path / "ray")
    left, right = (
        {name: content for name, content in results(done.path).items() if not name.endswith(".jsonl")}
        for done in (local, ray)
    )
    assert left == right


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    experiment = clips("checkpoint.every=1", data=ONE_EACH, methods=[EXCHANGE])
    straight = run(experiment, tmp_path / "straight")
    stopped = run(experiment, tmp_path / "stopped", [At(3, _interrupt)])
    assert stopped.status == "interrupted"
    assert results(resume(stopped.path).path) == results(straight.path)


def _interrupt():
    raise KeyboardInterrupt


def test_a_run_tells_the_bytes_and_what_they_reveal(tmp_path):
    done = run(clips(data=ONE_EACH, methods=[EXCHANGE]), tmp_path)
    sent = [message for message in done.directory.messages() if message["parts"]]
    assert [message["parts"] for message in sent] == [{LABELS: 21 * 7 * 8}] * 6  # three teachers, two neighbours each
    assert sum(done.directory.series("bytes/sent")[1][-1]) == 6 * 21 * 7 * 8
    assert np.isnan(done.directory.series("pkd/accuracy/residual/1")[1][-1]).tolist() == [True, False, True]
    (section,) = sections(PKD.Config(**EXCHANGE), done.directory)
    assert [row[0] for row in section.tables[0].rows] == [name for name in HELD for _ in (1, 2)]
    assert [row[1:] for row in section.tables[1].rows] == [(pytest.approx(2 / 3), 1)] * 3
    assert section.tables[2].rows[0][0] == LABELS


@pytest.mark.parametrize(
    ("data", "settings", "problem"),
    [
        (ONE_EACH, {"teachers": ["mw"]}, r"pkd\.teachers: no node holds modality 'mw'"),
        pytest.param(
            ONE_EACH | {"modality_by_node": ["mv", "iframe"]},
            {},
            r"pkd\.teachers: no node holds modality 'residual'",
            marks=pytest.mark.slow,
        ),
        (ONE_EACH | {"public": []}, {}, r"data\.public: nodes hold one modality each, and there are no public samples"),
        (ONE_EACH, {"first_round": 1}, r"pkd\.first_round: .* teachers send their labels in the round before"),
        (
            CLIPS["data"] | {"modality_by_node": ["mw"]},
            {},
            r"data\.modality_by_node: .* no modality 'mw'",
        ),
    ],
)
def test_what_cannot_be_taught_is_refused_before_any_work(data, settings, problem, tmp_path):
    with pytest.raises(InputError, match=problem):
        run(clips(data=data, methods=[ACTIVE | settings]), tmp_path)
    assert not list(tmp_path.iterdir())
