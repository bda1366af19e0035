"""The noise of Zip-DL: it cancels in one mixing, has the covariance accounted, and is refused where it cannot."""

import itertools

import numpy as np
import pytest
import torch
from reference.deployment import Deployment
from reference.experiments import small
from reference.graphs import over_time
from reference.network import quadratics, sgd

from auditing.network_privacy.linear_gossip import Adversary
from auditing.network_privacy.linear_rounds import rounds_of
from auditing.network_privacy.link_noise import LinkNoise, heard
from methods.differential_privacy.zip_dl import ZipDL
from simulator import run
from simulator.core.errors import InputError
from simulator.core.method import Method
from simulator.core.plan import Plan
from simulator.mixers.gossip import Gossip
from simulator.results.recordings import Recordings
from topologies import Links, Topology

RING = {"graph": "ring", "nodes": 4}


@pytest.fixture(autouse=True)
def _installed(register):
    register("methods", "zip_dl", ZipDL)


class Still(Method):
    """No gradient at all."""

    def before_step(self, node, batch):
        node.gradient.zero_()


def noisy(topology, size, still=True, lr=0.1, **settings):
    """Nodes that stand at 0 and are drawn to 1."""
    config, start = ZipDL.Config(**settings), np.zeros((topology.num_nodes, size))
    return quadratics(topology, start + 1, start, sgd(lr), methods=lambda node: [*[Still(None)] * still, ZipDL(config)])


@pytest.mark.parametrize(("graph", "nodes"), [("ring", 5), ("florentine", None), ("complete", 4)])
def test_what_a_node_adds_cancels_in_one_mixing_and_the_mean_pays_nothing(graph, nodes):
    topology = Topology.build(graph, nodes)
    network = noisy(topology, 50, clip=2.0, noise_multiplier=1.5)
    for program in network.programs:
        program.begin()
        noise = program.node.methods[-1].noise(program.node)
        weighted = sum(topology.weights[j, program.node.id] * part for j, part in noise.items())
        assert min(part.norm() for part in noise.values()) > 1
        torch.testing.assert_close(weighted, torch.zeros(50, dtype=torch.float64), rtol=0, atol=1e-13)
    network = noisy(topology, 50, clip=2.0, noise_multiplier=1.5)
    links = over_time(topology, failures={"absences": ((1, 2, 2),)})
    np.testing.assert_allclose(network.run_over(links, 3).mean(1), 0, atol=1e-12)
    assert np.abs(network.parameters).max() > 0.5


def test_messages_have_the_covariance_that_is_accounted():
    """Of all messages of two rounds on a ring of 4, of which each says the noise of the first in the second, too."""
    topology, size = Topology.build("ring", 4), 40_000
    network, sent = noisy(topology, size, clip=2.0, noise_multiplier=1.5), []
    for _ in range(2):
        sent += [message.parts["parameters"].numpy() for message in sorted(network.round(), key=lambda m: m.sender)]
    signals, sources = heard(rounds_of(topology, 2), LinkNoise(3.0), Adversary.everywhere())
    expected = sources @ sources.T
    np.testing.assert_allclose(np.cov(sent), expected, atol=5 * np.sqrt(2 / size) * expected.max())
    np.testing.assert_allclose(signals[8:, 0], np.repeat(topology.weights, 2, axis=0))  # of the first round's updates
    np.testing.assert_allclose(signals[8:, 1], np.repeat(np.eye(4), 2, axis=0))


@pytest.mark.parametrize(("lr", "moved"), [(1.0, 0.3), (0.05, 0.05 * 5)])
def test_an_update_is_clipped_to_the_norm(lr, moved):
    network = noisy(Topology.build("ring", 4), 25, still=False, lr=lr, clip=0.3, noise_multiplier=0.0)
    assert np.linalg.norm(network.round()[0].parts["parameters"]) == pytest.approx(moved)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mixer": {"name": "gossip", "rate": 0.5}}, "cancels where all neighbours' models"),
        ({"mixer": "choco"}, "cancels where all neighbours' models"),
        ({"mixer": "masked_sums"}, "zip_dl sends parts of its own"),
        ({"topology": {**RING, "failures": {"links": 0.1, "symmetric": False}}}, "stays in the mean"),
        ({"methods": [{"name": "zip_dl"}, {"name": "node_dp", "noise_multiplier": 1.0}]}, "node_dp after it clips"),
        ({"methods": [{"name": "zip_dl", "clip": None}]}, "noise is a multiple of the clip"),
    ],
)
def test_where_its_noise_does_not_cancel_or_hides_nothing_it_is_refused(changes, complaint):
    with pytest.raises(InputError, match=complaint):
        small(**{"methods": [{"name": "zip_dl"}], **changes})


def test_without_a_share_of_their_own_nodes_are_plain_to_all_neighbours_together_which_is_refused():
    ring = Topology.build("ring", 5)
    weights = np.where(ring.weights > 0, 0.5, 0.0) * (1 - np.eye(5))
    assert LinkNoise(4.0).left(Links.everyone(weights), 0) == 0
    network = over_time(Topology("swap", ring.graph, weights, "swap"))
    (problem,) = ZipDL.check(ZipDL.Config(), Plan(5, sgd(0.1), network, Gossip.Config()))
    assert "node 0 gives its own model no weight, so its neighbours together see it plain" in problem.what


def test_threads_give_the_same_bytes(tmp_path):
    models = [
        torch.stack([node.parameters for node in run(small(
            rounds=3, methods=[{"name": "zip_dl"}], backend={"name": "local", "workers": workers}
        ), tmp_path / str(workers)).nodes])
        for workers in (1, 2)
    ]  # fmt: skip
    assert torch.equal(*models)


@pytest.mark.slow
def test_a_deployed_node_sends_each_receiver_another_model(tmp_path):
    """Under noise from its own key, so that another run of the same experiment has another."""
    experiment = small("data.public=[]", rounds=2, methods=[{"name": "zip_dl"}], record={"every": 1})
    sent = []
    for number in range(2):
        deployment = Deployment(experiment, tmp_path / str(number))
        assert deployment.p2p(2) == dict.fromkeys(range(4), 2)
        recordings = Recordings(deployment.collected(tmp_path / f"collected-{number}") / "recordings")
        sent += [recordings.load(1, 0, f"sent/parameters/{receiver}") for receiver in (1, 3)]
    assert all((one != other).all() for one, other in itertools.combinations(sent, 2))
