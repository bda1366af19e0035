"""TREND in runs: what nodes see, whose parameters mix, what travels, and what is refused."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from reference.experiments import small
from reference.network import Network, random_data, seeded, sgd

from auditing.membership.audit import MembershipAudit
from auditing.network_privacy.audit import NetworkPrivacyAudit
from methods.trend import Trend
from methods.trend.quantizers import Uniform
from simulator import run
from simulator.core.errors import InputError
from simulator.models.small import MLP
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report
from simulator.testing.network import of_images
from topologies import Topology

MODEL = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))
DATA = [random_data(seed=node) for node in range(6)]


def network(**config):
    def methods(node):
        return [Trend(Trend.Config(**config))] if config else []

    return Network(Topology.build("ring", 6), MODEL, DATA, sgd(0.3, batch_size=8), rounds=5, methods=methods)


def with_trend(*more, **config):
    return small(methods=[{"name": "trend", **config}, *more])


def test_a_node_trains_and_is_tested_on_what_its_quantizer_leaves():
    node = network(bits=(None, 2)).nodes[1]
    batch = node.training_set.next_batch(8, node.rng, node.rng("augmentation"))

    assert node.data.preparation.transform == Uniform(2)
    assert len(batch.inputs.unique()) <= 4
    assert network(bits=(None, 2)).nodes[0].data.preparation.transform is None


@pytest.mark.parametrize("bits", [(8,), pytest.param((None,), marks=pytest.mark.slow)])
def test_neutral_bits_change_nothing(bits, tmp_path):
    one = run(with_trend(bits=bits, share="same_bits"), tmp_path / "one")
    other = run(small(methods=[]), tmp_path / "other")

    assert torch.equal(one.models(6), other.models(6))
    assert one.metrics() == other.metrics()


def test_stacked_nodes_see_their_own_quantizers(tmp_path):
    experiment = with_trend(bits=[None, 1, 3])
    stacked = experiment.model_copy(update={"training": experiment.training.model_copy(update={"trainer": "stacked"})})
    one, other = run(experiment, tmp_path / "one"), run(stacked, tmp_path / "other")

    torch.testing.assert_close(one.models(6), other.models(6))
    np.testing.assert_allclose([m.value for m in one.metrics()], [m.value for m in other.metrics()], rtol=1e-6)


def test_nodes_that_share_nothing_train_as_if_alone():
    apart, alone = network(share="nothing", bits=(None, 2)), network(bits=(None, 2))
    for node in alone.nodes:
        node.weights, node.receivers = {node.id: 1.0}, ()

    assert np.array_equal(apart.run(3), alone.run(3))
    assert apart.work() == []


def test_parameters_mix_among_equal_bits_only_and_weights_go_back():
    ring = network(bits=(1, 1, 2), share="same_bits")  # 0-1, 3-4 are equal; 2 and 5 are alone
    sent = ring.round()

    assert {(message.sender, message.receiver) for message in sent} == {(0, 1), (1, 0), (3, 4), (4, 3)}
    matrix = np.zeros((6, 6))
    for node in ring.nodes:
        for j, weight in node.weights.items():
            matrix[node.id, j] = weight
    np.testing.assert_allclose(matrix.sum(axis=0), 1)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert matrix[2, 2] == 1


def test_weights_go_back_under_links_that_change(tmp_path):
    topology = {"graph": "complete", "nodes": 5, "schedule": "random_matching"}
    done = run(with_trend(bits=[1, 2], share="same_bits").model_copy(update=_topology(topology)), tmp_path)

    assert done.status == "finished"
    pairs = {(message["sender"] - message["receiver"]) % 2 for message in done.directory.messages()}
    assert pairs == {0}


def _topology(settings):
    return {"topology": small(topology=settings).topology}


def test_logits_travel_where_parameters_do_not(tmp_path):
    idkd = {"name": "idkd", "first_round": 3, "every": 2, "threshold": "none"}
    done = run(with_trend(idkd, bits=[None, 2], share="nothing"), tmp_path)
    parts = {part for message in done.directory.messages() for part in message["parts"]}

    assert parts == {"idkd.positions", "idkd.labels"}
    assert done.directory.artifacts("idkd")


def test_messages_can_be_recorded_where_some_carry_no_parameters(tmp_path):
    experiment = small(methods=[{"name": "trend", "bits": [1, 1, 2, 2], "share": "same_bits"}], record={"every": 3})

    assert run(experiment, tmp_path).status == "finished"


@pytest.mark.parametrize(("bits", "refused"), [((None, 1), True), ((2,), False)])
def test_membership_is_not_judged_through_another_nodes_quantizer(bits, refused, tmp_path):
    done = run(small("data.held_out=0.3", methods=[{"name": "trend", "bits": bits}]), tmp_path)

    with pytest.raises(InputError, match="different input transforms") if refused else nullcontext():
        audit(done.path, MembershipAudit.Config(signals=("loss",), resamples=2))


def test_links_without_parameters_are_not_accounted_as_if_they_had_them(tmp_path):
    methods = [{"name": "trend", "share": "nothing"}, {"name": "node_dp", "noise_multiplier": 1.0, "clip": 0.1}]
    done = run(small(methods=methods, topology={"graph": "ring", "nodes": 4}), tmp_path)

    with pytest.raises(InputError, match="keeps parameters from travelling"):
        audit(done.path, NetworkPrivacyAudit.Config())


def test_the_report_tells_accuracy_by_quantizer(tmp_path):
    done = run(with_trend(bits=[None, 1, "halftone"]), tmp_path)
    text = write_run_report(done.directory).read_text()

    assert "Input quantizers" in text
    assert all(name in text for name in ("none", "1 bit", "halftone"))


@pytest.mark.parametrize("bits", [[0], [9], [None, -1], ["dither"], []])
def test_other_quantizers_are_refused(bits):
    with pytest.raises(InputError, match=r"methods\[0\]\.bits"):
        with_trend(bits=bits)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"mixer": {"name": "choco", "compression": {"name": "top_k", "keep": 0.2}}},
            r"methods\[0\]\.share: some links",
        ),
        ({"methods": [{"name": "trend", "share": "nothing"}, {"name": "gradient_tracking"}]}, "mixes trackers"),
        ({"methods": [{"name": "trend"}, {"name": "trend"}]}, "named twice"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, complaint):
    with pytest.raises(InputError, match=complaint):
        small(**{"methods": [{"name": "trend", "share": "nothing"}], **changes})
