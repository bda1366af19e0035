from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.data.groups import by_group, grouped_share


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.floats(0.01, 0.99), st.integers(0, 99))
def test_shares_divide_the_rows_and_cut_no_group(numbers: list[int], fraction: float, seed: int) -> None:
    groups = np.array([100, *numbers])  # row 0 is not asked for
    rows = np.arange(1, len(groups))
    taken, left = grouped_share(groups, rows, fraction, np.random.default_rng(seed))
    assert np.array_equal(np.sort(np.concatenate([taken, left])), rows)
    assert not set(groups[taken]) & set(groups[left])
    largest = np.bincount(numbers).max()
    if len(set(numbers)) > 1:
        assert len(taken)
        assert len(left)
        assert abs(len(taken) - fraction * len(rows)) <= largest


def test_without_groups_a_share_is_exact_and_keyed_by_its_generator() -> None:
    rows = np.arange(0, 200, 2)
    taken, left = grouped_share(None, rows, 0.25, np.random.default_rng(1))
    assert (len(taken), len(left)) == (25, 75)
    assert np.array_equal(taken, grouped_share(None, rows, 0.25, np.random.default_rng(1))[0])
    assert not np.array_equal(taken, grouped_share(None, rows, 0.25, np.random.default_rng(2))[0])


def test_nothing_is_taken_for_no_share_or_of_a_single_group() -> None:
    rng = np.random.default_rng(0)
    assert len(grouped_share(None, np.arange(9), 0.0, rng)[0]) == 0
    assert len(grouped_share(np.zeros(9), np.arange(9), 0.9, rng)[0]) == 0
    assert len(grouped_share(None, np.arange(0), 0.5, rng)[0]) == 0


def test_rows_by_group() -> None:
    groups = np.array(["b", "a", "b", "c"])
    assert [part.tolist() for part in by_group(groups, np.array([2, 1, 0]))] == [[1], [0, 2]]
    assert [part.tolist() for part in by_group(None, np.array([2, 1]))] == [[1], [2]]
    assert by_group(groups, np.arange(0)) == []
