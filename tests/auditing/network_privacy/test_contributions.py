"""The worst contributions: bounds that hold, closed forms, and how near they come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditing.network_privacy.contributions import _worst, certified, every_round, simple
from auditing.network_privacy.linear_gossip import Adversary, Exposure, Noise, exposure
from auditing.network_privacy.linear_rounds import rounds_of
from topologies import Topology


def random_blocks(rng, nodes, rounds):
    """Positive semidefinite, at most I, of any rank."""
    half = rng.normal(size=(nodes, rounds, rng.integers(1, rounds + 1)))
    blocks = half @ half.transpose(0, 2, 1)
    return blocks / np.linalg.eigvalsh(blocks)[:, -1, None, None]


def given_away(blocks, vectors):
    """mu^2 of contributions [..., T, k] at each of the nodes."""
    return np.einsum("n...ik,nij,n...jk->n...", vectors, blocks, vectors)


def exposed(blocks, local):
    """What would be seen of signals with these matrices."""
    sizes, vectors = np.linalg.eigh(blocks)
    return Exposure(vectors * np.sqrt(sizes.clip(min=0))[:, None], local, ())


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@settings(max_examples=40)
@given(st.integers(1, 7), st.integers(0, 99))
def test_no_contributions_of_norm_1_give_away_more(rounds, seed):
    rng = np.random.default_rng(seed)
    blocks = random_blocks(rng, 3, rounds)
    most = given_away(blocks, unit(rng, 3, 300, rounds, 3)).max(axis=1)
    assert (most <= certified(blocks) + 1e-9).all()
    assert (most <= simple(exposed(blocks, np.ones((3, rounds)))) + 1e-9).all()


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(0, 99))
def test_the_certificate_is_nearly_attained(rounds, seed):
    blocks = random_blocks(np.random.default_rng(seed), 4, rounds)
    attained = given_away(blocks, _worst(blocks))
    assert (attained <= certified(blocks) + 1e-9).all()
    np.testing.assert_allclose(certified(blocks), attained, rtol=0.02)


def test_on_a_ring_it_is_attained_within_a_thousandth():
    seen = exposure(rounds_of(Topology.build("ring", 8), 50), Noise(1.0), Adversary.node(0))
    blocks = seen.blocks[1:]
    np.testing.assert_allclose(certified(blocks), given_away(blocks, _worst(blocks)), rtol=1e-3)
    assert every_round(seen)[1] < 0.95 * simple(seen)[1]


@pytest.mark.parametrize(
    ("block", "exact"),
    [
        (np.full((4, 4), 0.2), 16 * 0.2),  # the same vector in every round
        (np.eye(4) * 0.3, 4 * 0.3),  # any vectors
        (0.25 * np.array([[1.0, -1], [-1, 1]]), 1.0),  # opposite vectors
        (np.zeros((3, 3)), 0.0),
        (np.diag([0.5, 0.0]), 0.5),  # nothing to see in the second round
    ],
)
def test_closed_forms(block, exact):
    seen = exposed(block[None], (np.diag(block) > 0).astype(float)[None])
    assert simple(seen)[0] == pytest.approx(exact)
    assert certified(block[None])[0] == pytest.approx(exact)


def test_vectors_in_a_plane_beat_numbers():
    """Three rounds that would all oppose each other: at 120 degrees they give 3, as numbers 2 2/3 at most."""
    block = (np.eye(3) * 1.5 - 0.5) * 2 / 3
    assert every_round(exposed(block[None], np.ones((1, 3))))[0] == pytest.approx(3)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    assert np.einsum("ki,ij,kj->k", signs, block, signs).max() == pytest.approx(8 / 3)
