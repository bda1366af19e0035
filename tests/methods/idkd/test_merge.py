"""One label out of several."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.distillation import label_tables
from reference.twins import merged_labels

from methods.idkd.merge import MERGES, average, confidence, official
from simulator.core.soft_labels import SoftLabels


@given(label_tables())
def test_average_is_the_mean_over_those_who_labelled_the_sample(tables):
    merged = average(tables, 12, 3)
    expected = merged_labels([(table.positions.numpy(), table.labels.numpy()) for table in tables])

    assert merged.positions.tolist() == list(expected)
    for row, label in zip(merged.labels.numpy(), expected.values(), strict=True):
        np.testing.assert_allclose(row, label, rtol=1e-12)


def told(tables):
    """The same labels; every node says how many samples it has of each class, and no two say the same."""
    return [
        SoftLabels(table.positions, table.labels, torch.tensor([7, 20, 3]) * 10 + node)
        for node, table in enumerate(tables)
    ]


@pytest.mark.parametrize("merge", MERGES.values(), ids=MERGES)
class TestEveryRule:
    @settings(max_examples=40)
    @given(tables=label_tables())
    def test_rows_sum_to_one_and_none_is_zero(self, merge, tables):
        labels = merge(told(tables), 12, 3).labels

        np.testing.assert_allclose(labels.sum(1), np.ones(len(labels)), atol=1e-6)

    @settings(max_examples=40)
    @given(tables=label_tables(), random=st.randoms(use_true_random=False))
    def test_does_not_depend_on_the_order_of_senders(self, merge, tables, random):
        full = told(tables)
        one, other = merge(full, 12, 3), merge(random.sample(full, len(full)), 12, 3)

        assert torch.equal(one.positions, other.positions)
        torch.testing.assert_close(one.labels, other.labels, rtol=1e-12, atol=1e-12)

    @settings(max_examples=40)
    @given(tables=label_tables())
    def test_of_one_sender_is_what_it_sent(self, merge, tables):
        merged = merge(told(tables[:1]), 12, 3)

        assert torch.equal(merged.positions, tables[0].positions)
        torch.testing.assert_close(merged.labels, tables[0].labels.double(), rtol=1e-12, atol=0)

    @settings(max_examples=40)
    @given(tables=label_tables())
    def test_covers_the_union(self, merge, tables):
        union = set().union(*(table.positions.tolist() for table in tables))

        assert merge(told(tables), 12, 3).positions.tolist() == sorted(union)

    def test_of_nobody_is_nothing(self, merge):
        assert len(merge([], 12, 3).positions) == 0


def certain(position, label, histogram=None):
    """One sample's label, over two classes."""
    labels = torch.tensor([label], dtype=torch.float32)
    return SoftLabels(torch.tensor([position]), labels, None if histogram is None else torch.tensor(histogram))


def test_confidence_weighs_each_label_by_its_largest_probability():
    merged = confidence([certain(3, [0.9, 0.1]), certain(3, [0.4, 0.6])], 12, 2)

    np.testing.assert_allclose(merged.labels, [[(0.9 * 0.9 + 0.6 * 0.4) / 1.5, (0.9 * 0.1 + 0.6 * 0.6) / 1.5]])


class TestOfficial:
    def test_takes_the_label_of_who_has_most_of_the_class_it_says(self):
        """Node 0 has more samples, but of the class that it does not say."""
        merged = official([certain(3, [0.9, 0.1], [5, 90]), certain(3, [0.4, 0.6], [0, 6])], 12, 2)

        np.testing.assert_allclose(merged.labels, [[0.4, 0.6]])

    def test_the_first_wins_a_tie(self):
        merged = official([certain(3, [0.9, 0.1], [5, 0]), certain(3, [0.4, 0.6], [0, 5])], 12, 2)

        np.testing.assert_allclose(merged.labels, [[0.9, 0.1]])

    def test_who_did_not_label_the_sample_is_not_asked(self):
        """In the released code an absent node says class 0, wins with its many samples of it, and its label is zero."""
        merged = official([certain(3, [0.4, 0.6], [0, 1]), certain(8, [0.9, 0.1], [1000, 0])], 12, 2)

        assert merged.positions.tolist() == [3, 8]
        np.testing.assert_allclose(merged.labels, [[0.4, 0.6], [0.9, 0.1]])

    def test_a_class_that_nobody_has_is_labelled_all_the_same(self):
        merged = official([certain(3, [0.4, 0.6], [7, 0])], 12, 2)

        np.testing.assert_allclose(merged.labels, [[0.4, 0.6]])
