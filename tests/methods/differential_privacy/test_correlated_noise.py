"""The noise of DECOR: it cancels, has the covariance that is accounted, and is the same wherever nodes run."""

import numpy as np
import pytest
import torch
from reference.experiments import results, small
from reference.network import quadratics, sgd

from auditing.network_privacy.linear_gossip import Noise
from methods.differential_privacy.correlated_noise import CorrelatedNoise
from simulator import load_experiment, run
from simulator.core.errors import InputError
from simulator.core.method import Method
from topologies import Links, Topology


@pytest.fixture(autouse=True)
def _installed(register):
    register("methods", "correlated_noise", CorrelatedNoise)


class Still(Method):
    """No gradient at all."""

    def before_step(self, node, batch):
        node.gradient.zero_()


def noisy(topology, size, methods=(), lr=0.1, **settings):
    """Nodes that stand at 0 and are drawn to 1."""
    config = CorrelatedNoise.Config(**settings)
    return quadratics(
        topology, np.ones((topology.num_nodes, size)), np.zeros((topology.num_nodes, size)), sgd(lr),
        methods=lambda node: [*methods, CorrelatedNoise(config)],
    )  # fmt: skip


def sent(network):
    """float64 [nodes, size]: what they send in a round."""
    return {message.sender: message.parts["parameters"].numpy() for message in network.round()}


@pytest.mark.parametrize("graph", ["ring", "florentine", "complete"])
def test_the_noise_of_neighbours_sums_to_zero(graph):
    topology = Topology.build(graph, None if graph == "florentine" else 6)
    network = noisy(topology, 50, [Still(None)], noise_multiplier=0.0, correlated_multiplier=3.0)
    for _ in range(3):
        messages = sent(network)
        assert np.std(messages[0]) > 2
        np.testing.assert_allclose(np.sum(list(messages.values()), axis=0), network.parameters.sum(0), atol=1e-11)
        np.testing.assert_allclose(network.parameters.sum(0), 0, atol=1e-11)


def test_its_covariance_is_the_one_accounted():
    topology = Topology.build("florentine")
    network = noisy(topology, 40_000, [Still(None)], clip=2.0, noise_multiplier=0.5, correlated_multiplier=1.5)
    messages = sent(network)
    found = np.cov([messages[node] for node in range(15)])
    expected = 4 * Noise(0.5, 1.5).unknown(Links.everyone(topology.weights), frozenset())
    # A covariance over N values has a standard deviation of at most sqrt(2 / N) times the variances.
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(2 / 40_000) * expected.max())


@pytest.mark.parametrize(("lr", "moved"), [(1.0, 0.3), (0.05, 0.05 * 5)])
def test_an_update_is_clipped_to_the_norm(lr, moved):
    """Towards a point at distance 5: by the learning rate, or by the clip if that is less."""
    network = noisy(Topology.build("ring", 4), 25, lr=lr, clip=0.3, noise_multiplier=0.0, correlated_multiplier=0.0)
    assert np.linalg.norm(sent(network)[0]) == pytest.approx(moved)


def test_every_round_and_link_has_noise_of_its_own():
    network = noisy(Topology.build("complete", 3), 2_000, [Still(None)], correlated_multiplier=1.0)
    drawn = []
    for _ in range(2):
        drawn += [node.methods[-1].noise(node).numpy() for node in network.nodes]
        network.round()
    among = np.corrcoef(drawn)
    np.testing.assert_allclose(among[:3, 3:], 0, atol=0.12)
    np.testing.assert_allclose(among[:3, :3][~np.eye(3, dtype=bool)], -1 / 3, atol=0.12)


def test_links_that_fail_carry_no_shared_noise(tmp_path):
    """Their ends know it, so that the sum over the network is what its own noise, here none, makes it."""
    method = {"name": "correlated_noise", "noise_multiplier": 0.0, "correlated_multiplier": 1.0}
    options = {"rounds": 3, "training": {"precision": "fp64", "optimizer": {"lr": 1e-9}}}
    failing = {"graph": "complete", "nodes": 4, "failures": {"links": 0.4, "nodes": 0.2}}
    with_, without = (
        torch.stack([n.parameters for n in run(small(topology=failing, methods=m, **options), tmp_path / name).nodes])
        for name, m in (("with", [method]), ("without", []))
    )
    assert (with_ - without).abs().max() > 0.1
    torch.testing.assert_close(with_.mean(0), without.mean(0), atol=1e-8, rtol=0)


def test_directed_links_and_one_way_losses_are_refused():
    topologies = (
        {"graph": "exponential", "nodes": 4, "weights": "row_stochastic"},
        {"graph": "ring", "nodes": 4, "failures": {"links": 0.1, "symmetric": False}},
    )
    for topology in topologies:
        with pytest.raises(InputError, match=r"methods\[0\]: noise that two neighbours cancel"):
            small(topology=topology, methods=[{"name": "correlated_noise"}])


def test_noise_without_a_clip_is_refused():
    with pytest.raises(InputError, match="noise is a multiple of the clip"):
        small(methods=[{"name": "correlated_noise", "clip": None}])


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.ray
def test_ray_gives_the_same_bytes(tmp_path):
    content = small(methods=[{"name": "correlated_noise"}]).to_dict()
    paths = [
        run(load_experiment(content | {"backend": backend}), tmp_path / str(place)).path
        for place, backend in enumerate(["local", {"name": "ray", "workers": 2}])
    ]
    assert results(paths[0]) == results(paths[1])
