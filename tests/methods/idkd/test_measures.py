"""What is measured of an exchange."""

import pytest
import torch
from hypothesis import given
from reference.distillation import label_tables

from methods.idkd.measures import agreement, class_histogram, distance_to_uniform
from simulator.core.soft_labels import SoftLabels


def says(**classes):
    """Labels of three classes: ``says(p4=2)`` is class 2 at position 4."""
    positions = [int(name[1:]) for name in classes]
    return SoftLabels(torch.tensor(positions), torch.eye(3)[[*classes.values()]])


@given(label_tables(min_size=2))
def test_two_nodes_agree_on_the_share_of_common_samples_with_the_same_class(tables):
    one, other = tables[:2]
    first, second = (dict(zip(t.positions.tolist(), t.labels.argmax(1).tolist(), strict=True)) for t in (one, other))
    common = first.keys() & second.keys()
    expected = sum(first[place] == second[place] for place in common) / len(common) if common else None

    assert agreement([one, other], 12, 3) == (pytest.approx(expected) if common else None)


def test_of_three_nodes_all_pairs_count():
    """Of the pairs at sample 1 one of three agrees, at sample 2 the only one; sample 5 has one label."""
    nodes = [says(p1=0, p2=1, p5=2), says(p1=0, p2=1), says(p1=2)]

    assert agreement(nodes, 12, 3) == pytest.approx((1 / 3 + 1) / 2)


@pytest.mark.parametrize(("histogram", "expected"), [([5, 5, 5, 5], 0), ([9, 0, 0, 0], 0.75), ([3, 1, 0, 0], 0.5)])
def test_distance_to_uniform(histogram, expected):
    assert distance_to_uniform(torch.tensor(histogram)) == pytest.approx(expected)


def test_class_histogram_counts_classes_that_are_missing_too():
    assert class_histogram(torch.tensor([1, 1, 0]), 4).tolist() == [1, 2, 0, 0]
