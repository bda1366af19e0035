"""Mean validation losses, and what stands in for missing ones."""

from math import nan

import pytest
import torch

from methods.ltc.class_means import ClassMeans, JudgedBy

LABELS = torch.tensor([0, 0, 2])  # of the classes 0 to 3


def means():
    return ClassMeans(LABELS, 4)


def told(*values):
    return torch.tensor(values, dtype=torch.float32)


def at_checkpoint(means, losses, *heard):
    means.look(torch.tensor(losses, dtype=torch.float64))
    for each in heard:
        means.hear(each)
    return means.values().tolist()


def test_own_samples_come_first_then_neighbours_then_all_of_the_nodes():
    subject = means()
    found = at_checkpoint(subject, [1.0, 2.0, 6.0], told(9, 4, 9, nan), told(9, 8, nan, nan))

    assert found == [1.5, 6.0, 6.0, 3.0]
    assert subject.sources.tolist() == [JudgedBy.OWN, JudgedBy.NEIGHBOURS, JudgedBy.OWN, JudgedBy.NODE]


def test_what_is_told_are_own_means_alone():
    subject = means()
    at_checkpoint(subject, [1.0, 2.0, 6.0], told(9, 4, 9, 9))

    torch.testing.assert_close(subject.own, torch.tensor([1.5, nan, 6, nan], dtype=torch.float64), equal_nan=True)


def test_the_source_of_a_class_stays():
    subject = means()
    at_checkpoint(subject, [1.0, 2.0, 6.0], told(nan, 4, nan, nan))
    second = at_checkpoint(subject, [1.0, 1.0, 1.0], told(nan, nan, nan, 7))

    assert second[3] == 1.0
    assert second[1] != second[1]  # no neighbour told of the class: no value, rather than another one's


def test_nothing_is_left_of_the_last_checkpoint():
    subject = means()
    at_checkpoint(subject, [1.0, 2.0, 6.0], told(nan, 4, nan, nan))

    assert at_checkpoint(subject, [0.0, 0.0, 0.0], told(nan, 2, nan, nan))[1] == pytest.approx(2.0)


def test_the_state_goes_on_where_it_was():
    subject, other = means(), means()
    at_checkpoint(subject, [1.0, 2.0, 6.0], told(nan, 4, nan, nan))
    other.load_state_dict(subject.state_dict())

    for each in (subject, other):
        assert at_checkpoint(each, [0.0, 0.0, 3.0], told(nan, 2, nan, 8)) == [0, 2, 3, 1]
