"""Who is asked: on a metric made by hand, and on a ring."""

import numpy as np
import pytest

from auditing.robustness.neighbourhood import Neighbourhood
from auditing.robustness.selection import at_random, best_clean, least_transferable, mean_between
from simulator.core.errors import InputError
from simulator.core.input_transform import InputTransform
from topologies import Topology

METRIC = np.array(
    [
        [1.0, 0.9, 0.2, 0.6],
        [0.8, 1.0, 0.7, 0.1],
        [0.3, 0.9, 1.0, 0.5],
        [0.6, 0.2, 0.5, 1.0],
    ]
)
CLEAN = np.array([0.9, 0.8, 0.88, 0.86])


def test_the_pair_with_the_least_mean_of_both_directions_is_chosen():
    assert least_transferable(range(4), 2, METRIC, CLEAN, slack=1) == (1, 3)
    assert mean_between(METRIC, (1, 3)) == pytest.approx(0.15)


def test_members_must_be_accurate_enough():
    assert least_transferable(range(4), 2, METRIC, CLEAN, slack=0.05) == (0, 2)
    assert least_transferable(range(4), 3, METRIC, CLEAN, slack=0) == (0, 2, 3)  # the three best, there being but one


def test_only_candidates_are_asked():
    assert least_transferable([0, 1, 2], 2, METRIC, CLEAN, slack=1) == (0, 2)
    assert best_clean([1, 2, 3], 2, CLEAN) == (2, 3)
    drawn = list(at_random([1, 2, 3], 2, 20, np.random.default_rng(0)))
    assert all(len(set(members)) == 2 and set(members) <= {1, 2, 3} for members in drawn)
    assert len(set(drawn)) == 3


def test_one_alone_has_nobody_to_transfer_to():
    assert mean_between(METRIC, (2,)) == 0


def test_too_many_ways_to_choose_are_refused():
    with pytest.raises(InputError, match="can be chosen in"):
        least_transferable(range(60), 10, np.ones((60, 60)), np.ones(60), slack=1)


class Plain:
    is_quantized = False


class Quantized:
    is_quantized = True


def around(hops=2, nodes=8):
    models = [Plain() if node in (0, 1, 4, 5) else Quantized() for node in range(nodes)]
    return Neighbourhood.of(0, Topology.build("ring", nodes), hops, models)


def test_a_neighbourhood_on_a_ring():
    found = around()

    assert list(found.candidates) == [0, 1, 2, 6, 7]
    assert list(found.insiders) == [1, 7]
    assert list(found.outsiders) == [4, 5, 3]
    assert found.surrogate == 4
    assert list(found.unquantized) == [0, 1, 5, 4]


@pytest.mark.parametrize(("size", "hops", "complaint"), [(6, 2, "size: node 0 can ask 5"), (3, 4, "hops: every node")])
def test_neighbourhoods_without_enough_nodes_say_what_is_lacking(size, hops, complaint):
    (problem,) = around(hops).lacking(size)
    assert str(problem).startswith(complaint)


def test_transforms_are_what_the_simulator_knows_them_by():
    with pytest.raises(TypeError, match="abstract"):
        InputTransform()
