"""What an observer learns, against the dense account, closed forms, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import linear_gossip as dense
from scipy.stats import norm

from auditing.network_privacy.linear_gossip import Adversary, Noise, exposure
from auditing.network_privacy.linear_rounds import Maps, Round, rounds_of
from simulator.core.errors import InputError
from simulator.privacy.gaussian_dp import delta_of
from topologies import Failures, Links, Network, Topology, build_schedule, distances

ONE = Noise(1.0)
GRAPHS = ("ring", "chain", "star", "complete", "erdos_renyi", "exponential")


@st.composite
def networks(draw):
    """Small networks of all kinds, with failures."""
    graph, nodes, seed = draw(st.sampled_from(GRAPHS)), draw(st.integers(3, 6)), draw(st.integers(0, 50))
    schedule = draw(st.sampled_from(["static", "random_matching"])) if graph != "exponential" else "static"
    topology = Topology.build(graph, nodes, seed=seed, **({"probability": 0.7} if graph == "erdos_renyi" else {}))
    lost, away = draw(st.sampled_from([0.0, 0.3])), draw(st.sampled_from([0.0, 0.2]))
    failures = Failures(links=lost, nodes=away, symmetric=not lost or draw(st.booleans()), seed=seed)
    return Network(build_schedule(schedule, topology, seed), failures)


def observers(nodes):
    """An observer of each kind, from three numbers."""
    return st.sampled_from([
        Adversary.node(nodes - 1), Adversary.coalition([0, nodes // 2]), Adversary.edge(0, 1),
        Adversary.everywhere(), Adversary.everywhere(1),
    ])  # fmt: skip


def injected(maps):
    return bool(maps.injections), maps.injected[-1][0] if maps.injections else 1.0


def by_the_oracle(rounds, noise, observer):
    hears = {id(round.links.weights): sorted(observer.hears(round.links)) for round in rounds}
    plain = [(round.links.weights, round.links.active, *injected(round.maps)) for round in rounds]
    found = dense.exposure(plain, noise.independent, noise.correlated, lambda w: hears[id(w)], observer.inside)
    found[sorted(observer.inside)] = 0
    return found


@settings(max_examples=50)
@given(st.data())
def test_it_is_the_dense_account(data):
    network = data.draw(networks())
    noise = Noise(1.0, data.draw(st.sampled_from([0.0, 0.7, 2.0])))
    steps, rounds = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 4))
    scales = data.draw(st.sampled_from([[1.0] * rounds, [0.5**t for t in range(rounds)]]))
    played = rounds_of(network, rounds, steps, [Maps.plain(scale) for scale in scales])
    observer = data.draw(observers(network.base.num_nodes))

    found = exposure(played, noise, observer).blocks
    found[sorted(observer.inside)] = 0

    np.testing.assert_allclose(found, by_the_oracle(played, noise, observer), atol=1e-8)


@settings(max_examples=25)
@given(st.data())
def test_to_be_told_more_is_never_to_learn_less(data):
    network = data.draw(networks())
    played, noise = rounds_of(network, 3), Noise(1.0, 0.5)
    alone = exposure(played, noise, Adversary.node(0)).blocks
    for more in (Adversary.coalition([0, 1]), Adversary.everywhere(0)):
        others = sorted(set(range(network.base.num_nodes)) - more.inside)
        gained = exposure(played, noise, more).blocks - alone
        assert np.linalg.eigvalsh(gained[others]).min() > -1e-9
    told = exposure(played, noise, Adversary.node(0), revealed=True).blocks - alone
    assert np.linalg.eigvalsh(told).min() > -1e-9


def test_who_sees_all_learns_every_contribution_by_itself():
    seen = exposure(rounds_of(Topology.build("torus", 9), 4), Noise(2.0), Adversary.everywhere())
    np.testing.assert_allclose(seen.blocks, np.broadcast_to(np.eye(4) / 4, (9, 4, 4)), atol=1e-12)
    np.testing.assert_allclose(seen.local, 0.25)


def test_decor_s_formula_for_a_step_is_that_of_all_messages():
    """Renyi epsilon alpha 2 C^2 [Sigma^-1]_ii is alpha mu^2 / 2 at sensitivity 2 C (arXiv:2405.01031)."""
    topology, clip, own, shared = Topology.build("florentine"), 0.3, 0.2, 0.9
    laplacian = np.diag(topology.degrees) - (topology.weights > 0) + np.eye(15)
    inverse = np.linalg.inv(own**2 * np.eye(15) + shared**2 * laplacian)
    seen = exposure(rounds_of(topology, 1), Noise(own, shared), Adversary.everywhere())
    np.testing.assert_allclose((2 * clip) ** 2 * seen.blocks[:, 0, 0] / 2, 2 * clip**2 * np.diag(inverse))


def test_a_neighbour_knows_the_noise_it_shares():
    """A pair of nodes hides nothing from each other by the noise that they share."""
    two = rounds_of(Topology.build("complete", 2), 1)
    assert exposure(two, Noise(1.0, 5.0), Adversary.node(0)).blocks[1, 0, 0] == pytest.approx(1)
    assert exposure(two, Noise(1.0, 5.0), Adversary.edge(0, 1)).blocks[1, 0, 0] == pytest.approx(26 / 51)


def test_nodes_that_are_away_give_nothing_away():
    network = Network(build_schedule("static", Topology.build("complete", 4), 0), Failures(absences=((2, 2, 3),)))
    seen = exposure(rounds_of(network, 4), ONE, Adversary.node(0))
    np.testing.assert_allclose(seen.blocks[2], np.diag([1, 0, 0, 1]), atol=1e-12)
    np.testing.assert_allclose(seen.local[2], [1, 0, 0, 1])


# One injection, then gossip over fixed links.


def test_on_a_path_an_end_peels_off_a_node_a_step():
    """0 - 1 - 2 - 3: from the message of step k, node 0 solves for what node k + 1 injected, and for no other."""
    for steps in range(1, 5):
        seen = exposure(rounds_of(Topology.build("chain", 4), 1, steps), ONE, Adversary.node(0))
        np.testing.assert_allclose(seen.blocks[1:, 0, 0], [1] * min(steps, 3) + [0] * (3 - steps), atol=1e-12)


def test_an_end_of_a_path_by_hand():
    """Weights of 0 - 1 - 2 are thirds: step 1 shows z_1, step 2 (z_0 + z_1 + z_2) / 3, of which two are known."""
    topology = Topology.build("chain", 3)
    np.testing.assert_allclose(topology.weights[1], 1 / 3)
    assert exposure(rounds_of(topology, 1, 2), ONE, Adversary.node(0)).blocks[2, 0, 0] == pytest.approx(1)
    # Who does not know z_0 sees z_1 and (z_0 + z_1 + z_2) / 3: of z_2 a half.
    link = Adversary("messages of 1", lambda links: {1})
    assert exposure(rounds_of(topology, 1, 2), ONE, link).blocks[2, 0, 0] == pytest.approx(1 / 2)


@pytest.mark.parametrize(("graph", "nodes", "steps"), [("ring", 16, 8), ("chain", 24, 23), ("ring", 40, 20)])
def test_distance_protects_no_one_once_there_were_as_many_steps(graph, nodes, steps):
    """The last of these messages hold 3^-20 and less of what they tell for the first time."""
    topology = Topology.build(graph, nodes)
    seen = exposure(rounds_of(topology, 1, steps), ONE, Adversary.node(0)).blocks[:, 0, 0]
    np.testing.assert_allclose(seen[1:], 1, atol=1e-9)
    fewer = exposure(rounds_of(topology, 1, steps - 1), ONE, Adversary.node(0)).blocks[:, 0, 0]
    assert fewer[distances(topology.graph)[0] == steps].max() == pytest.approx(0, abs=1e-12)


def test_on_a_torus_symmetry_hides_a_little():
    topology = Topology.build("torus", 16)
    seen = exposure(rounds_of(topology, 1, 4), ONE, Adversary.node(0)).blocks[:, 0, 0]
    hops = distances(topology.graph)[0]
    assert [seen[hops == d].mean() for d in range(1, 5)] == pytest.approx([1, 2 / 3, 1, 1])


def test_more_steps_than_float64_can_follow_are_refused():
    with pytest.raises(InputError, match="float64 cannot tell from rounding"):
        exposure(rounds_of(Topology.build("chain", 40), 1, 39), ONE, Adversary.node(0))


def test_noise_without_a_part_of_its_own_is_refused():
    with pytest.raises(InputError, match="Set it above 0"):
        exposure(rounds_of(Topology.build("ring", 4), 2), Noise(0.0, 1.0), Adversary.node(0))


# What is taken as given.


def test_a_relay_that_amplifies_tells_more_than_is_accounted():
    """0 - 1 - 2: node 1 adds a bounded update of its own, the sign of its model. What all messages say still holds."""
    topology = Topology.build("chain", 3)
    accounted = exposure(rounds_of(topology, 2), ONE, Adversary.node(0)).blocks[2, 0, 0]
    share = topology.weights[1, 2]
    assert accounted == pytest.approx(share**2 / (1 + share**2))
    # With what node 0 knows taken out, the second message of node 1 is y + 20 sign(y) + N(0, 1), y = share (g + z_2),
    # and 20 is so far that the sign of y can be read off it.
    found = norm.cdf(1) - norm.cdf(0)  # P[y > 0 | g = 1] - P[y > 0 | g = 0], a lower bound on delta at epsilon 0
    assert delta_of(np.sqrt(accounted), 0.0) < 0.4 * found
    assert found < delta_of(1.0, 0.0)


def test_a_round_is_told_apart_by_its_links():
    links = Links.everyone(np.eye(2))
    assert Round(links, Maps.plain()) == Round(links, Maps.plain()) != Round(Links.everyone(np.eye(2)), Maps.plain())
