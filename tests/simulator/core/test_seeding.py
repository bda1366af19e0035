"""Generators keyed by what they are for."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.seeding import generator, torch_seed

keys = st.tuples(
    st.integers(0, 2**256 - 1), st.text(max_size=8), st.one_of(st.none(), st.integers(0, 100)), st.integers(0, 10**6)
)


def draw(key):
    seed, purpose, node, round = key
    return generator(seed, purpose, node=node, round=round).integers(2**62, size=4).tolist()


@given(keys)
def test_asking_twice_gives_the_same_numbers(key):
    assert draw(key) == draw(key)


@given(keys)
def test_streams_are_those_of_a_seed_sequence(key):
    seed, purpose, node, round = key
    digest = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    sequence = np.random.SeedSequence([seed, 0 if node is None else node + 1, digest, round])

    assert draw(key) == np.random.default_rng(sequence).integers(2**62, size=4).tolist()


def test_a_key_below_0_is_refused():
    with pytest.raises(ValueError, match="at least 0, not -1"):
        generator(-1, "batches")


@given(keys, keys)
def test_another_key_gives_other_numbers(one, other):
    assert (draw(one) == draw(other)) == (one == other)


def test_neither_the_networks_nor_another_nodes_numbers_are_those_of_node_0():
    assert len({tuple(draw((0, "batches", node, 0))) for node in (None, 0, 1)}) == 3


def test_two_purposes_are_uncorrelated():
    one, other = (generator(0, purpose).standard_normal(20_000) for purpose in ("batches", "augmentation"))

    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03  # four standard errors


def test_torch_seed_repeats_inside_the_block():
    drawn = []
    for _ in range(2):
        with torch_seed(3, "model.initialisation"):
            drawn.append(torch.rand(4))

    assert torch.equal(*drawn)


def test_torch_seed_leaves_the_global_generator_as_it_was():
    before = torch.get_rng_state()
    with torch_seed(3, "model.initialisation"):
        torch.rand(4)

    assert torch.equal(torch.get_rng_state(), before)


def test_torch_seed_depends_on_seed_and_purpose():
    drawn = set()
    for seed, purpose in ((0, "a"), (1, "a"), (0, "b")):
        with torch_seed(seed, purpose):
            drawn.add(torch.rand(1).item())

    assert len(drawn) == 3
