"""Nodes of a graph and sites of the data that both have names."""

import pytest

from simulator.core.errors import InputError
from simulator.runs.named_nodes import check_names, told_names

WHERE = "data.partition.sites"


@pytest.mark.parametrize(
    ("nodes", "sites"),
    [
        (("0", "1", "2"), ("2", "1", "0")),  # numbers alone are no names
        (("berlin", "lyon", "oslo"), ("berlin", "lyon", "oslo")),
        (("a", "b", "c"), ("berlin", "lyon", "oslo")),
        (("a", "b", "c"), ()),
    ],
)
def test_names_that_do_not_contradict_each_other_pass(nodes, sites):
    check_names(nodes, sites, WHERE)


def test_sites_in_another_order_than_the_graphs_nodes_are_refused_with_the_order():
    with pytest.raises(InputError) as caught:
        check_names(("1", "2", "10"), ("1", "10", "2"), WHERE)
    assert "the site 10 would be the node that the graph calls 2" in str(caught.value)
    assert "in the order of the graph's nodes: [1, 2, 10]" in str(caught.value)
    assert str(caught.value).startswith(WHERE)


def test_a_site_that_the_graph_does_not_have_is_refused_by_name():
    with pytest.raises(InputError, match=r"site lyon would be .* calls oslo\.\n.*the graph has no lyon"):
        check_names(("berlin", "oslo", "turin"), ("berlin", "lyon", "oslo"), WHERE)


def test_other_names_altogether_are_told_with_the_order():
    (note,) = told_names(("a", "b"), ("berlin", "lyon"))
    assert note.endswith("a is berlin, b is lyon")
    assert [*told_names(("Oslo", "oslo", "01", "1"), ())] == [
        f"nodes {names} differ in case, spaces or leading zeros alone; if they are one, write them alike"
        for names in ("'Oslo' and 'oslo'", "'01' and '1'")
    ]
    assert not [*told_names(("0", "1"), ("berlin", "lyon")), *told_names(("a", "b"), ())]
