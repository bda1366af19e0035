"""Node-level differential privacy: the whole update of a round is clipped and blurred."""

import pytest
from reference.experiments import small
from reference.network import Network, random_data, seeded, sgd

from methods.differential_privacy.node_dp import NodeDP
from simulator.core.errors import InputError
from simulator.models.small import MLP
from simulator.testing.network import of_images
from topologies import Topology

MODEL = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))


def nodes_with(**settings):
    config = NodeDP.Config(**{"noise_multiplier": 0.0, **settings})
    data = [random_data(30, seed=seed) for seed in range(3)]
    training = sgd(0.5, batch_size=8, local_steps=3, momentum=0.9)
    return Network(Topology.build("ring", 3), MODEL, data, training, methods=lambda i: [NodeDP(config)])


def updates(**settings):
    network = nodes_with(**settings)
    start = [node.parameters.clone() for node in network.nodes]
    network.work()
    return [node.parameters - before for node, before in zip(network.nodes, start, strict=True)]


def test_an_update_is_no_longer_than_the_clip():
    whole, clipped = updates(clip=1e9), updates(clip=0.01)

    for update, short in zip(whole, clipped, strict=True):
        assert update.norm() > 0.1
        assert short.norm() == pytest.approx(0.01)
        assert short @ update == pytest.approx(float(short.norm() * update.norm()))


def test_noise_is_measured_in_clips():
    exact, blurred = updates(clip=0.01), updates(clip=0.01, noise_multiplier=3.0)
    drawn = [(a - b) / 0.03 for a, b in zip(blurred, exact, strict=True)]

    assert all(each.std() == pytest.approx(1, abs=5 / (2 * len(each)) ** 0.5) for each in drawn)
    assert abs(float(drawn[0] @ drawn[1])) < 6 * len(drawn[0]) ** 0.5


def test_each_round_is_a_step_that_looks_at_everything():
    network = nodes_with(noise_multiplier=5.0)
    network.run(4)
    budget = network.nodes[0].methods[0].budget

    assert (budget.steps, budget.mechanism.sample_rate) == (4, 1.0)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["node_dp", "quasi_global_momentum"], "quasi_global_momentum comes after it"),
        (["gradient_tracking", "node_dp"], "gradient_tracking sends more than them"),
        ([{"name": "idkd", "first_round": 3, "every": 2}, "node_dp"], "idkd sends more than them"),
    ],
)
def test_what_would_leave_the_node_unblurred_is_refused(methods, message):
    settings = {"name": "node_dp", "noise_multiplier": 1.0}
    with pytest.raises(InputError, match=message):
        small(methods=[settings if method == "node_dp" else method for method in methods])
