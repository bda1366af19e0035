"""What is measured of the noise itself: that little is enough, and that no place is hidden in a mean."""

from types import SimpleNamespace

import numpy as np
import pytest

from auditing.privacy import measured_noise
from auditing.privacy.measured_noise import correlations, spreads

ROUNDS, NODES, ENTRIES = 30, 4, 400


def record(change=lambda noise: None, away=()):
    """A record of noise alone; canaries that were in leave a mark of 3 at node 0, and are the last half."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((ROUNDS, NODES, ENTRIES))
    change(noise)
    noise[:, 0, ENTRIES // 2 :] += 3
    there = np.ones((ROUNDS, NODES), dtype=bool)
    for round, node in away:
        there[round, node], noise[round, node] = False, 0
    sigma, clip = np.array([1.0, 2.0, 0.5, 4.0]), np.array([1.0, 1.0, 2.0, 1.0])
    rounds = [SimpleNamespace(links=SimpleNamespace(active=active)) for active in there]
    return SimpleNamespace(rounds=rounds, injections=noise * (sigma * clip)[:, None], sigma=sigma, clip=clip)


INCLUDED = np.arange(ENTRIES) >= ENTRIES // 2


def few(noise, node=slice(None), round=slice(None), factor=0.0):
    noise[round, node] *= factor


def test_sound_noise_is_within_its_limits_with_absences_too():
    sound = record(away=[(3, 1), (4, 1), (9, 2)])
    for found in spreads(sound, INCLUDED):
        assert found.low < 1 < found.high
    (whole, *_) = spreads(sound, INCLUDED)
    assert whole.ratio == pytest.approx(1, abs=0.02)
    (rounds, nodes, *pairs) = correlations(sound, INCLUDED)
    assert len(pairs) == 2
    for found, most in ((rounds, 0.1), (nodes, 0.1), *((pair, 0.6) for pair in pairs)):
        assert 0 < abs(found.found) < found.by_chance < most


@pytest.mark.parametrize(
    ("where", "which", "places"),
    [
        ("all messages", {"factor": 0.95}, 4),
        ("node 2", {"node": 2, "factor": 0.9}, 2),
        ("round 8", {"round": 7, "factor": 0.7}, 2),
        ("node 3 in round 8", {"node": 3, "round": 7}, 3),
    ],
)
def test_noise_that_is_too_small_somewhere_is_found_there(where, which, places):
    too_small = [each for each in spreads(record(lambda noise: few(noise, **which)), INCLUDED) if each.high < 1]
    assert where in [each.where for each in too_small]
    assert len(too_small) <= places


@pytest.mark.parametrize("size", [(6, 5, 2), pytest.param((4, 16, 3), marks=pytest.mark.slow)])
def test_few_products_of_sound_noise_are_not_taken_for_correlated(monkeypatch, size):
    monkeypatch.setattr(measured_noise, "ERROR", 1e-3)
    rng, there = np.random.default_rng(0), np.ones(size[:2], dtype=bool)
    rounds = [SimpleNamespace(links=SimpleNamespace(active=active)) for active in there]
    sigma, suspected = np.ones(size[1]), 0
    for _ in range(3000):
        injections = rng.standard_normal(size)
        sound = SimpleNamespace(rounds=rounds, injections=injections, sigma=sigma, clip=sigma)
        found = correlations(sound, np.zeros(size[2], dtype=bool))
        suspected += sum(abs(each.found) > each.by_chance for each in found)
    assert suspected <= 12  # of 3000 times four


def test_noise_that_is_used_twice_is_correlated():
    def same_each_round(noise):
        noise[1:] = noise[0]

    def same_at_two_nodes(noise):
        noise[:, 1] = -noise[:, 0]

    (rounds, nodes, *_) = correlations(record(same_each_round), INCLUDED)
    assert rounds.found > 0.8 > rounds.by_chance
    assert abs(nodes.found) < 0.3
    (rounds, nodes, *_) = correlations(record(same_at_two_nodes), INCLUDED)
    assert nodes.found == pytest.approx(-1 / 6, abs=0.02)  # one pair of six
    assert abs(nodes.found) > nodes.by_chance
    assert abs(rounds.found) < rounds.by_chance


def again(noise, one, other, share=1.0):
    """The noise of ``other``, (round, node), is that of ``one`` but for what that leaves of its variance."""
    noise[other] = share * noise[one] + np.sqrt(1 - share**2) * noise[other]


@pytest.mark.parametrize(
    ("one", "other", "where", "place"),
    [
        ((2, 2), (6, 2), "the noise of node 2 in rounds 3 and 7", 2),
        ((28, 0), (29, 0), "the noise of node 0 in rounds 29 and 30", 2),
        ((4, 1), (4, 3), "the noise of nodes 1 and 3 in round 5", 3),
    ],
)
@pytest.mark.parametrize("share", [1.0, -0.8])
def test_noise_that_two_messages_share_is_found_there_alone(one, other, where, place, share):
    sound = list(correlations(record(), INCLUDED))
    found = list(correlations(record(lambda noise: again(noise, one, other, share), away=[(0, 1)]), INCLUDED))
    assert [abs(each.found) > each.by_chance for each in found] == [number == place for number in range(4)]
    assert found[place].between == where != sound[place].between
    assert found[place].found == pytest.approx(share, abs=0.2)


def test_a_single_round_has_pairs_of_nodes_and_none_of_rounds():
    one = record()
    one.rounds, one.injections = one.rounds[:1], one.injections[:1]
    assert [each.between[-7:] for each in list(correlations(one, INCLUDED))[2:]] == ["round 1"]
