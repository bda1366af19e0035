"""Masked neighbour sums: exact averages, messages that are noise, and sums that are whole or not used."""

import dataclasses

import numpy as np
import pytest
import torch
from reference.experiments import small
from reference.graphs import over_time
from reference.marks import first
from reference.network import quadratics, sgd

from simulator import run
from simulator.core.errors import InputError, RunError
from simulator.core.message import MASKED
from simulator.core.seeding import keystream
from simulator.mixers.fixed_point import LARGEST, decoded, encoded
from simulator.mixers.gossip import Gossip
from simulator.mixers.masked_sums import MaskedSums
from simulator.runs.run import Run
from topologies import Topology

TORUS = {"graph": "torus", "nodes": 9}
DP = {"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0, "max_epsilon": 9.0}


class FixedPointGossip(Gossip):
    """Gossip of plain messages whose average is taken in the whole numbers of `masked_sums`."""

    def mix(self, node, inbox):
        terms = {message.sender: message.parts["parameters"] for message in inbox} | {node.id: self._sent}
        total = sum(np.round(terms[j].numpy() * (2.0**44 * node.weights[j])).astype(np.int64) for j in terms)
        node.parameters.copy_(torch.from_numpy(total / 2.0**44))


def network(topology, mixer=MaskedSums, size=1000, **options):
    rng = np.random.default_rng(0)
    targets, start = rng.normal(size=(2, topology.num_nodes, size))
    return quadratics(topology, targets, start, sgd(0.2), mixer=lambda: mixer(mixer.Config()), **options)


@pytest.mark.parametrize("graph", ["ring", "away", *first(["torus", "complete"], by_default=0)])
def test_the_average_is_that_of_plain_gossip_in_fixed_point_to_the_bit(graph):
    topology = Topology.build("torus" if graph == "away" else graph, 9)
    links = over_time(topology, failures={"absences": ((4, 2, 3),)} if graph == "away" else None)
    masked, plain = (network(topology, mixer).run_over(links, 5) for mixer in (MaskedSums, FixedPointGossip))
    np.testing.assert_array_equal(masked, plain)
    gossip = network(topology, Gossip).run_over(links, 5)
    np.testing.assert_allclose(masked, gossip, rtol=0, atol=1e-12)


def test_messages_are_noise_and_each_receiver_and_round_has_its_own():
    ring = network(Topology.build("ring", 6))
    first, second = ring.round(), ring.round()
    texts = [message.parts[MASKED].numpy() for message in (*first, *second)]
    for text in texts:  # uniform over all 64-bit numbers, so that nothing of terms of at most 2^45 is left
        assert abs(text / 2.0**63).mean() == pytest.approx(0.5, abs=0.05)
    related = np.corrcoef(np.stack(texts).astype(np.float64))
    opposite = np.sort(related[np.triu_indices(24, 1)])
    np.testing.assert_array_less(opposite[:12], -0.3)  # of two numbers mod 2^64 that add up to almost 0
    np.testing.assert_array_less(np.abs(opposite[12:]), 0.15)


def test_the_stream_of_masks_is_known_to_whoever_has_the_secret_and_nobody_else():
    assert keystream(7, "a", 1, 16) == keystream(7, "a", 1, 32)[:16]
    assert len({keystream(*key, 16) for key in ((7, "a", 1), (8, "a", 1), (7, "b", 1), (7, "a", 2))}) == 4


def test_of_an_incomplete_sum_nothing_is_used_and_the_node_says_so():
    ring = network(Topology.build("ring", 5))
    messages = [message for message in ring.work() if (message.sender, message.receiver) != (1, 2)]
    trained = ring.parameters
    ring.programs[2].lose([1])
    ring.absorb(messages)
    assert np.array_equal(ring.parameters[2], trained[2])
    assert all((ring.parameters[node] != trained[node]).any() for node in (0, 1, 3, 4))
    assert [(metric.name, node.id) for node in ring.nodes for metric in node.metrics] == [("masked_sums/discarded", 2)]


def test_masks_that_do_not_cancel_are_found_out():
    ring = network(Topology.build("ring", 5))
    before = {(message.sender, message.receiver): message.parts for message in ring.round()}
    messages = [
        dataclasses.replace(message, parts=before[1, 2]) if (message.sender, message.receiver) == (1, 2) else message
        for message in ring.work()
    ]
    with pytest.raises(RunError, match="node 2, round 2: the masks of what it hears do not"):
        ring.absorb(messages)


def test_what_fixed_point_cannot_hold_is_refused():
    for value in (2 * LARGEST, -2 * LARGEST, float("inf"), float("nan")):
        with pytest.raises(OverflowError):
            encoded(torch.tensor([1.0, value]), 0.3)
    full = torch.tensor([LARGEST, -LARGEST])
    assert torch.equal(decoded(3 * encoded(full, 0.25) + encoded(full, 0.25)), full.double())
    with pytest.raises(OverflowError):
        decoded(torch.tensor([2**63 - 1]))
    ring = network(Topology.build("ring", 5))
    ring.nodes[3].parameters[0] = 1e9
    with pytest.raises(RunError, match=r"node 3, round 1: masked_sums was given.*\n.*Lower the learning rate"):
        ring.work()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"topology": {"graph": "chain", "nodes": 4}}, "node 0 hears node 1 alone, and the sum of one message"),
        ({"topology": {"graph": "ring", "nodes": 4, "failures": {"absences": [[1, 3, 4]]}}}, "alone in round 3"),
        ({"topology": {"graph": "exponential", "nodes": 8, "schedule": "one_peer_exponential"}}, "alone in round 1"),
        ({"topology": {**TORUS, "failures": {"links": 0.1}}}, "failures.links nobody knows beforehand"),
        ({"topology": {**TORUS, "failures": {"nodes": 0.1}}}, "failures.nodes nobody knows beforehand"),
        ({"methods": [{"name": "gradient_tracking"}]}, "gradient_tracking sends parts of its own or reads"),
        ({"methods": [{"name": "idkd", "first_round": 3}]}, "idkd sends parts of its own or reads"),
        ({"methods": [{"name": "trend", "bits": [1, 2, 1, 2], "share": "same_bits"}]}, "exchange no parameters"),
        ({"methods": [DP], "training": {"batch_size": 8}}, "dp_sgd may let a node leave"),
        ({"mode": "asynchronous", "clock": {"step_seconds": 0.1}}, "masked_sums needs rounds in step"),
        ({"model": {"name": "reference.stateful:BatchNet"}, "buffers": "mixed"}, "travel beside what masked_sums"),
    ],
)
def test_what_does_not_go_with_masks_is_refused_by_name(changes, complaint, tmp_path):
    with pytest.raises(InputError, match=complaint):
        run(small(**{"mixer": "masked_sums", **changes}), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_number_of_threads_does_not_change_a_bit(tmp_path):
    models = []
    for workers in (1, 3):
        experiment = small(mixer="masked_sums", backend={"name": "local", "workers": workers}, topology=TORUS)
        models.append(Run.open(run(experiment, tmp_path / str(workers)).path).models(6))
    np.testing.assert_array_equal(*models)
