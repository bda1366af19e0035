"""Base-(k+1) graphs: the exact average of any number of nodes in few rounds of small degree."""

from math import log

import numpy as np
import pytest
from reference.marks import first

from topologies import Topology, TopologyError, build_schedule
from topologies.finite_time import finite_time_rounds


def product(schedule):
    result = np.eye(schedule.num_nodes)
    for index in range(schedule.period):
        result = schedule.at(index).weights @ result
    return result


@pytest.mark.parametrize("degree", first([1, 3, 2, 6], by_default=2))
@pytest.mark.slow
def test_one_period_gives_the_exact_average_for_every_number_of_nodes(degree):
    for nodes in range(1, 65):
        schedule = build_schedule("base_graph", Topology.build("ring", nodes), degree=degree)
        np.testing.assert_allclose(product(schedule), 1 / nodes, rtol=0, atol=1e-12)
        for index in range(schedule.period):
            links = schedule.at(index)
            assert links.is_doubly_stochastic
            assert max(len(links.in_neighbours(node)) for node in range(nodes)) <= degree


def test_no_proper_part_of_a_period_is_enough():
    for nodes in (2, 5, 6, 8, 12, 33):
        schedule = build_schedule("base_graph", Topology.build("ring", nodes))
        first = np.eye(nodes)
        for index in range(schedule.period - 1):
            first = schedule.at(index).weights @ first
            assert np.abs(first - 1 / nodes).max() > 1e-3


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 7])
def test_number_of_rounds_stays_below_the_bound(degree):
    for nodes in range(1, 130):
        rounds = finite_time_rounds(nodes, degree)
        assert len(rounds) <= 2 * log(nodes, degree + 1) + 2 + 1e-9
        for pairs in rounds:
            assert len({frozenset(pair[:2]) for pair in pairs}) == len(pairs)


def test_number_of_rounds_by_hand():
    assert [len(finite_time_rounds(nodes, 1)) for nodes in (1, 2, 3, 4, 5, 6, 7, 8)] == [0, 1, 3, 2, 5, 4, 5, 3]
    assert [len(finite_time_rounds(64, degree)) for degree in (1, 3, 7, 63)] == [6, 3, 2, 1]


def test_three_nodes_by_hand():
    (first,), (second,), (third,) = finite_time_rounds(3, 1)
    assert first == third == (0, 1, 1 / 2)
    assert second == (0, 2, 2 / 3)


def test_a_power_of_two_gives_the_hypercube():
    schedule = build_schedule("base_graph", Topology.build("ring", 16))
    assert schedule.base.edges() == Topology.build("hypercube", 16).edges()


def test_degree_below_one_is_refused():
    with pytest.raises(TopologyError, match="Set degree to 1 or more") as caught:
        build_schedule("base_graph", Topology.build("ring", 4), degree=0)
    assert caught.value.field == "degree"
