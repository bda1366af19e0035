"""What observers make of messages: signals land where the accountant says, and noise comes out white."""

import numpy as np
import pytest

from auditing.network_privacy.contributions import every_round, worst_signs
from auditing.network_privacy.linear_gossip import Adversary, Noise, exposure
from auditing.network_privacy.linear_rounds import Maps, Round, rounds_of
from auditing.network_privacy.matched_filter import injected, learnt, matched
from auditing.privacy.gaussian_bounds import independent_scores
from simulator.privacy.gaussian_dp import epsilon_of
from topologies import Links, Topology

N, T = 6, 4
MOMENTUM = Maps(((0.9, 0.0), (0.0, 0.0), (0.9, 1.0)), ((1.0,), (0.0,), (1.0,)), (0.0, 1.0), (1.0,))
NOISE = Noise(np.linspace(1, 2, N))


def forgetful(node):
    whole = Adversary.node(node)
    return Adversary(whole.name, whole.hears, whole.inside, remembers=False)


def some_rounds(maps):
    """A ring, in whose second round node 3 is away."""
    ring = Topology.build("ring", N)
    weights, active = ring.weights.copy(), np.ones(N, dtype=bool)
    active[3] = False
    for node in (2, 4):
        weights[node, node] += weights[node, 3]
    weights[3], weights[:, 3] = 0, 0
    weights[3, 3] = 1
    away = Links(weights, active)
    return [Round(away if t == 1 else ring.links, maps) for t in range(T)]


def messages(rounds, injections):
    """What nodes send that inject so much, float64 [T, n, m]."""
    held, sent = np.zeros((rounds[0].maps.slots, *injections.shape[1:])), []
    for round, own in zip(rounds, injections, strict=True):
        own = own * round.links.active[:, None]
        work = round.carried(held) + round.columns[:, :, None] * own
        sent.append(work[-1])
        held = round.mixed(work)
    return np.array(sent)


def one_by_one():
    """An injection of 1 by each node in each round, a coordinate each, float64 [T, n, T n]."""
    return np.eye(T * N).reshape(T, N, T * N)


@pytest.mark.parametrize("maps", [Maps.plain(), MOMENTUM], ids=["plain", "momentum"])
@pytest.mark.parametrize("observer", [Adversary.node(1), Adversary.coalition([0, 2]), forgetful(1)])
def test_signals_are_where_the_accountant_has_them_and_noise_is_white(maps, observer):
    rounds, each = some_rounds(maps), one_by_one()
    told, sent, inside = exposure(rounds, NOISE, observer), messages(rounds, each), sorted(observer.inside)
    seen = learnt(rounds, observer, told, sent, each[:, inside])
    by_source = seen.reshape(-1, T, N)
    active = np.array([round.links.active for round in rounds])
    for node in set(range(N)) - observer.inside:
        expected = (told.directions[node] * active[:, node, None]).T
        assert by_source[:, :, node] * active[:, node] == pytest.approx(expected, abs=1e-9)
    noise = (by_source * (NOISE.independent * active)).reshape(len(seen), -1)
    assert noise @ noise.T == pytest.approx(np.eye(len(seen)), abs=1e-9)
    pattern = np.random.default_rng(0).normal(size=T)
    for node in range(N):
        _, mu = matched(seen, told, node, pattern)
        assert mu**2 == pytest.approx(pattern @ told.blocks[node] @ pattern, abs=1e-9)


@pytest.mark.parametrize("maps", [Maps.plain(), MOMENTUM], ids=["plain", "momentum"])
def test_one_who_sees_all_messages_knows_each_injection(maps):
    rounds, each = some_rounds(maps), one_by_one()
    each[1, 3] = 0
    assert injected(rounds, messages(rounds, each)) == pytest.approx(each, abs=1e-12)


RING = Topology.build("ring", 16)
CONSTANT, ALTERNATING = "++++++++++", "++-+-+-+-+"


def numbers(signs):
    return np.array([1.0 if sign == "+" else -1.0 for sign in signs])


def test_on_a_ring_a_neighbour_sees_most_of_what_alternates_and_others_of_what_stays():
    """Noise 4, 10 rounds, delta 1e-5."""
    rounds = rounds_of(RING, 10)
    for observer, expected in (
        (Adversary.node(0), [(ALTERNATING, 3.212), (CONSTANT, 1.382), (CONSTANT, 0.663), (CONSTANT, 0.288)]),
        (forgetful(0), [(CONSTANT, 2.074), (CONSTANT, 1.146), (CONSTANT, 0.573), (CONSTANT, 0.253)]),
    ):
        told = exposure(rounds, Noise(4.0), observer)
        worst, bound = worst_signs(told.blocks), every_round(told)
        for distance, (signs, epsilon) in enumerate(expected, start=1):
            block = told.blocks[distance]
            for pattern in (numbers(signs), worst[distance]):
                mu2 = pattern @ block @ pattern
                assert epsilon_of(np.sqrt(mu2), 1e-5) == pytest.approx(epsilon, abs=6e-4)
            assert bound[distance] == pytest.approx(mu2, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distance", "signs", "exact"),
    [(1, CONSTANT, 2.78), (2, CONSTANT, 1.38), (3, CONSTANT, 0.66), (4, CONSTANT, 0.29), (1, ALTERNATING, 3.21)],
)  # fmt: skip
def test_100_000_canaries_show_nearly_all_that_is_allowed(distance, signs, exact):
    rng, rounds, pattern = np.random.default_rng(distance), rounds_of(RING, 10), numbers(signs)
    told = exposure(rounds, Noise(4.0), Adversary.node(0))
    ratios, coins = [], []
    for _ in range(10):
        included = rng.random(10_000) < 0.5
        injections = 4 * rng.standard_normal((10, 16, len(included)))
        injections[:, distance] += np.outer(pattern, included)
        seen = learnt(rounds, Adversary.node(0), told, messages(rounds, injections), injections[:, [0]])
        scores, mu = matched(seen, told, distance, pattern)
        ratios.append(scores)
        coins.append(included)
    assert epsilon_of(mu, 1e-5) == pytest.approx(exact, abs=0.006)
    found = independent_scores(np.concatenate(ratios), np.concatenate(coins), 1e-5).epsilon
    assert exact - 0.2 < found < exact
