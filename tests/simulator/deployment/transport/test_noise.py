"""Secrets of noise: both ends of a link derive the same, nobody else does, and no run uses them again."""

import itertools

from simulator.deployment.keys.private import sealing_key
from simulator.deployment.transport.noise import noise_secrets

KEYS = [sealing_key() for _ in range(3)]


def secrets(node, run="run"):
    public = {other: KEYS[other][1] for other in range(3) if other != node}
    return noise_secrets(run, node, KEYS[node][0], public)


def test_both_ends_of_a_link_have_the_same():
    for low, high in itertools.combinations(range(3), 2):
        assert secrets(low).links[high] == secrets(high).links[low]


def test_everything_else_is_different():
    found = [secrets(node, run) for node in range(3) for run in ("run", "another")]
    own = {each.own for each in found}
    links = {secret for each in found for secret in each.links.values()}
    assert (len(own), len(links)) == (6, 6)  # three links in two runs, each from both of its ends
    assert not own & links
    assert min(own | links) > 2**200
