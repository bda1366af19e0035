"""Generators keyed by what they are for."""

import contextlib
import hashlib
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from simulator.core.seeding import drawn_from, generator, global_seed, global_states

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


def from_all_global_generators():
    return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002


def test_a_global_seed_repeats_inside_the_block():
    drawn = set()
    for _ in range(2):
        with global_seed(3, "model.initialisation"):
            drawn.add(from_all_global_generators())

    assert len(drawn) == 1


def test_a_global_seed_leaves_the_global_generators_as_they_were():
    before = global_states()
    with contextlib.suppress(KeyError), global_seed(3, "model.initialisation"):
        from_all_global_generators()
        raise KeyError

    assert global_states() == before


def test_a_global_seed_depends_on_seed_and_purpose():
    drawn = []
    for seed, purpose in ((0, "a"), (1, "a"), (0, "b")):
        with global_seed(seed, purpose):
            drawn.append(from_all_global_generators())

    assert all(len(set(numbers)) == 3 for numbers in zip(*drawn, strict=True))


def test_states_tell_which_global_generator_has_been_drawn_from():
    for name, draw in {"torch": lambda: torch.rand(1), "numpy": np.random.rand, "random": random.random}.items():
        before = global_states()
        draw()
        assert drawn_from(before) == [name]
