"""Labels on the wire: what is lost and what it costs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.distillation import label_tables, rows

from methods.idkd import IDKD
from methods.idkd.wire import CLASSES, HISTOGRAM, LABELS, ORIGINS, POSITIONS, SIZES, decode, encode, join, split
from simulator.core.soft_labels import SoftLabels

FORMATS = [{}, {"label_dtype": "float16"}, {"top_k": 2}, {"top_k": 2, "label_dtype": "float16"}]


def config(**changes):
    return IDKD.Config(first_round=1, **changes)


def labels(count=5, classes=4, histogram=None):
    return SoftLabels(torch.arange(count) * 2, rows(count, classes, 0), histogram)


def size(parts):
    return sum(part.numel() * part.element_size() for part in parts.values())


def test_single_precision_is_sent_as_it_is():
    sent = labels()
    got = decode(encode(sent, config()), 4)

    assert torch.equal(got.positions, sent.positions)
    assert torch.equal(got.labels, sent.labels.float())


@pytest.mark.parametrize("form", FORMATS)
def test_labels_sum_to_one_after_the_journey(form):
    got = decode(encode(labels(50), config(**form)), 4)

    torch.testing.assert_close(got.labels.double().sum(1), torch.ones(50, dtype=torch.float64), rtol=0, atol=1e-6)


def test_half_precision_keeps_three_digits():
    got = decode(encode(labels(50), config(label_dtype="float16")), 4)

    torch.testing.assert_close(got.labels, labels(50).labels, rtol=2e-3, atol=1e-6)
    assert not torch.equal(got.labels.float(), labels(50).labels.float())


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_largest_probabilities_survive_in_their_proportions(k):
    sent = labels(50).labels
    got = decode(encode(labels(50), config(top_k=k)), 4).labels
    kept = torch.zeros_like(sent).scatter_(1, sent.topk(k).indices, sent.topk(k).values)

    torch.testing.assert_close(got, kept / kept.sum(1, keepdim=True), rtol=1e-6, atol=0)
    assert torch.equal(got.argmax(1), sent.argmax(1))


@pytest.mark.parametrize(
    ("form", "classes", "expected"),
    [
        ({}, 10, 4 + 40),
        ({"label_dtype": "float16"}, 10, 4 + 20),
        ({"top_k": 3}, 10, 4 + 3 * (4 + 1)),
        ({"top_k": 3, "label_dtype": "float16"}, 10, 4 + 3 * (2 + 1)),
        ({"top_k": 3}, 300, 4 + 3 * (4 + 4)),
    ],
)
def test_bytes_a_label(form, classes, expected):
    assert size(encode(labels(7, classes), config(**form))) == 7 * expected


def test_a_histogram_costs_four_bytes_a_class():
    told = encode(labels(histogram=torch.tensor([3, 0, 1, 9])), config())

    assert size(told) - size(encode(labels(), config())) == 16
    assert decode(told, 4).histogram.tolist() == [3, 0, 1, 9]


def test_more_than_256_classes_keep_their_numbers():
    one = SoftLabels(torch.tensor([0]), torch.nn.functional.one_hot(torch.tensor([299]), 300).double())

    assert decode(encode(one, config(top_k=1)), 300).labels.argmax() == 299


@given(label_tables(), st.sampled_from(FORMATS), st.booleans())
def test_joined_tables_come_apart_as_they_were(tables, form, told):
    histogram = torch.tensor([1, 2, 3]) if told else None
    full = [SoftLabels(table.positions, table.labels, histogram) for table in tables if len(table.positions)]
    sent = {3 * node + 1: encode(table, config(**form)) for node, table in enumerate(full)}
    got = split(join(sent, sender=0), sender=0)

    assert got.keys() == sent.keys()
    for origin, table in sent.items():
        assert got[origin].keys() == table.keys()
        assert all(torch.equal(got[origin][name], part) for name, part in table.items())


def test_a_senders_own_table_needs_no_origin():
    table = encode(labels(), config())

    assert set(join({4: table}, sender=4)) == {POSITIONS, LABELS}
    assert set(join({4: table}, sender=5)) == {POSITIONS, LABELS, ORIGINS, SIZES}
    assert list(split(join({4: table}, sender=4), sender=4)) == [4]


def test_nothing_is_sent_where_there_is_nothing():
    assert join({}, sender=0) == {}
    assert split({"parameters": torch.zeros(3)}, sender=0) == {}


def test_parts_have_the_documented_names():
    table = encode(labels(histogram=torch.ones(4, dtype=torch.int64)), config(top_k=1))

    assert set(table) == {POSITIONS, LABELS, CLASSES, HISTOGRAM}


def test_a_message_does_not_depend_on_the_order_in_which_tables_came():
    one, other = encode(labels(3), config()), encode(labels(5), config())
    message, swapped = join({12: one, 5: other}, sender=0), join({5: other, 12: one}, sender=0)

    assert list(message) == list(swapped)
    assert all(torch.equal(message[name], swapped[name]) for name in message)
    assert message[ORIGINS].tolist() == [5, 12]
