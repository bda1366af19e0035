"""Whose updates can be computed: the accountant against elimination modulo a prime, and the published counts."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from reference.experiments import small

from auditing.network_privacy.linear_gossip import Adversary
from auditing.network_privacy.linear_rounds import rounds_of
from auditing.reconstruction.amplification import amplification, heard
from auditing.reconstruction.elimination import averaged
from auditing.reconstruction.observers import edges_of, hops, pairs_of
from auditing.reconstruction.plan import Seen
from auditing.reconstruction.solvability import solvability
from simulator.core.errors import InputError
from topologies import Failures, Network, Topology
from topologies.schedules import build_schedule

PRIME = 2**61 - 1


def eliminated(links, observer, mixing_steps=None):
    """Which updates are rows of unit vectors in the reduced echelon form of all that is heard, modulo a prime."""
    from fractions import Fraction

    n = links[0].num_nodes

    def modulo(weight):
        exact = Fraction(weight).limit_denominator(1000)
        assert abs(float(exact) - weight) < 1e-12
        return exact.numerator * pow(exact.denominator, -1, PRIME) % PRIME

    injections = len(links) if mixing_steps is None else 1
    width = n * injections
    state, rows = [[0] * width for _ in range(n)], []
    for t, link in enumerate(links):
        if t < injections:
            for v in range(n):
                state[v][t * n + v] = (state[v][t * n + v] + 1) % PRIME
        for o in observer:
            if t < injections:
                rows.append([int(c == t * n + o) for c in range(width)])
        rows += [list(state[v]) for v in {j for o in observer for j in link.in_neighbours(o)}]
        weights = [[modulo(w) for w in row] for row in link.weights.tolist()]
        state = [
            [sum(weights[v][w] * state[w][c] for w in range(n) if weights[v][w]) % PRIME for c in range(width)]
            for v in range(n)
        ]
    solved, pivot = np.zeros((n, injections), dtype=bool), 0
    for column in range(width):
        found = next((r for r in range(pivot, len(rows)) if rows[r][column]), None)
        if found is None:
            continue
        rows[pivot], rows[found] = rows[found], rows[pivot]
        inverse = pow(rows[pivot][column], -1, PRIME)
        rows[pivot] = [value * inverse % PRIME for value in rows[pivot]]
        for r in range(len(rows)):
            if r != pivot and rows[r][column]:
                factor = rows[r][column]
                rows[r] = [(a - factor * b) % PRIME for a, b in zip(rows[r], rows[pivot], strict=True)]
        pivot += 1
    for row in rows[:pivot]:
        there = [c for c, value in enumerate(row) if value]
        if len(there) == 1:
            solved[there[0] % n, there[0] // n] = True
    solved[list(observer)] = False
    return solved


def solved(topology, rounds, observer, gossip_steps=1):
    return solvability(rounds_of(topology, rounds, gossip_steps), [Adversary.coalition(observer)]).solved[0]


@pytest.mark.parametrize(
    ("graph", "nodes", "observer"),
    [("chain", 6, [0]), ("ring", 8, [0]), ("star", 8, [0]), ("star", 8, [1]), ("hypercube", 8, [0]),
     ("torus", 9, [0]), ("ring", 6, [0, 2]), ("ring", 6, [0, 3]), ("chain", 6, [1, 3])],
)  # fmt: skip
def test_updates_are_solvable_exactly_where_elimination_modulo_a_prime_solves_them(graph, nodes, observer):
    topology = Topology.build(graph, nodes)
    fresh = solved(topology, 4, observer)
    assert (fresh == eliminated([topology.links] * 4, observer)).all()
    averaged = solved(topology, 1, observer, gossip_steps=4)
    assert (averaged == eliminated([topology.links] * 4, observer, mixing_steps=4)).all()


@pytest.mark.parametrize(
    ("graph", "nodes", "observer", "counts"),
    [("chain", 8, 0, [1, 2, 3]), ("chain", 8, 3, [2, 4, 6, 7]), ("ring", 8, 0, [2, 4, 6, 7]),
     ("ring", 9, 0, [2, 4, 6, 8]), ("hypercube", 8, 0, [3, 6, 7, 7]), ("star", 8, 1, [1, 1, 1]),
     ("star", 8, 0, [7]), ("complete", 8, 0, [7]), ("torus", 9, 0, [4, 4, 4, 4]), ("torus", 16, 0, [4, 4, 8, 9])],
)  # fmt: skip
def test_gossip_averaging_gives_away_as_many_nodes_as_elimination_finds(graph, nodes, observer, counts):
    topology = Topology.build(graph, nodes)
    assert [int(solved(topology, 1, [observer], steps).sum()) for steps in range(1, len(counts) + 1)] == counts


@pytest.mark.parametrize(
    ("graph", "observer", "steps", "count"),
    [("florentine", 8, 3, 14), ("florentine", 0, 13, 1), ("florentine", 0, 14, 14), ("karate", 33, 34, 27),
     ("karate", 11, 34, 22), ("petersen", 0, 10, 3), ("torus", 0, 16, 9), ("chain", 0, 30, 30)],
)  # fmt: skip
def test_averaging_for_long_is_followed_exactly_where_floats_would_hide_what_is_given_away(
    graph, observer, steps, count
):
    named = nx.petersen_graph() if graph == "petersen" else None
    sizes = {"torus": 16, "chain": 31, "florentine": 15, "karate": 34}
    topology = Topology.build(graph, sizes[graph]) if named is None else Topology.from_networkx(named)
    (found,) = averaged(rounds_of(topology, 1, steps), [Adversary.node(observer)])
    assert int((found == 1).sum()) == count
    assert np.nanmin(found) >= 0


def test_averaged_values_that_are_not_solved_are_explained_by_as_much_as_in_floats():
    rounds, observers = rounds_of(Topology.build("star", 8), 1, 3), [Adversary.node(1), Adversary.coalition([2, 3])]
    exact, floats = np.stack(list(averaged(rounds, observers))), solvability(rounds, observers).explained
    assert np.allclose(exact, floats, equal_nan=True)


def test_weights_that_are_no_short_fractions_are_refused_where_floats_cannot_decide():
    families = Topology.build("florentine", 15)
    weights = families.links.weights * (1 + 0.01 * np.random.default_rng(0).random((15, 15)))
    odd = replace(families.links, matrix=weights / weights.sum(1, keepdims=True))
    rounds = [replace(each, links=odd) for each in rounds_of(families, 1, 14)]
    with pytest.raises(InputError) as refused:
        list(averaged(rounds, [Adversary.node(0)]))
    assert refused.value.problems[0].where == "averaging"


def test_how_many_work_at_once_changes_nothing(monkeypatch):
    rounds, observers = rounds_of(Topology.build("ring", 8), 5), pairs_of(Topology.build("ring", 8))
    found = []
    for workers in (1, 3):
        monkeypatch.setattr("auditing.reconstruction.solvability.cores", lambda workers=workers: workers)
        found.append(solvability(rounds, observers).explained.tobytes())
    assert found[0] == found[1]


def test_of_fresh_updates_a_lone_node_on_a_ring_solves_its_neighbours_first_ones_and_no_more():
    expected = np.zeros((8, 4), dtype=bool)
    expected[[1, 7], 0] = True
    assert (solved(Topology.build("ring", 8), 4, [0]) == expected).all()


def test_what_is_not_solved_is_explained_by_so_much():
    star = solvability(rounds_of(Topology.build("star", 8), 1, 8), [Adversary.node(1)]).explained[0, :, 0]
    assert star[0] == pytest.approx(1)
    assert star[2:] == pytest.approx(1 / 6, abs=1e-12)
    ring = solvability(rounds_of(Topology.build("ring", 8), 4), [Adversary.node(0)]).explained[0]
    assert ring[1, 3] == pytest.approx(0.873, abs=5e-4)
    assert ring[2, 0] == pytest.approx(0.112, abs=5e-4)


def test_two_opposite_nodes_of_a_ring_of_six_solve_everybody_and_two_near_ones_the_node_between_them():
    ring = Topology.build("ring", 6)
    assert solved(ring, 4, [0, 3])[[1, 2, 4, 5]].all()
    near = solved(ring, 4, [0, 2])
    assert near[1].all()
    assert near[[3, 5], 0].all()
    assert not near[[3, 5], 1:].any()
    assert not near[4].any()


def test_a_link_that_is_down_for_a_round_gives_away_the_next_update():
    ring = Topology.build("ring", 6)
    schedule = build_schedule("static", ring, 0)

    class Cut(Network):
        def at(self, round):
            links = super().at(round)
            if round != 0:
                return links
            weights = links.weights.copy()
            for a, b in ((1, 2), (2, 1)):
                weights[a, a] += weights[a, b]
                weights[a, b] = 0
            return type(links)(weights, links.active)

    found = solvability(rounds_of(Cut(schedule, Failures()), 3), [Adversary.node(0)]).solved[0]
    assert found[1].tolist() == [True, True, False]
    assert found[5].tolist() == [True, False, False]


def test_a_node_that_is_away_makes_no_update():
    network = Network(build_schedule("static", Topology.build("ring", 6), 0), Failures(absences=((1, 2, 2),)))
    found = solvability(rounds_of(network, 3), [Adversary.node(0)])
    assert found.made[0, 1].tolist() == [True, False, True]
    assert not found.made[0, 0].any()


def test_nothing_is_seen_of_nodes_that_no_way_leads_from():
    two = Topology.build("ring", 3).copies(2)
    found = solvability(rounds_of(two, 3), [Adversary.node(0)])
    assert not found.explained[0, 3:].any()
    assert np.isinf(hops(two, [Adversary.node(0)])[0, 3:]).all()


def test_a_node_that_only_sends_to_the_observer_is_heard_and_one_that_only_hears_it_is_not():
    """Node i of the directed exponential graph sends to i + 1, i + 2 and i + 4."""
    graph = Topology.build("exponential", 8, weights="row_stochastic")
    first = solvability(rounds_of(graph, 1), [Adversary.node(0)]).solved[0, :, 0]
    assert np.flatnonzero(first).tolist() == [4, 6, 7]


def test_pairs_and_edges_are_as_many_as_there_are():
    ring = Topology.build("ring", 6)
    assert len(pairs_of(ring)) == 15
    assert [each.name for each in edges_of(ring)] == [
        "link 0-1",
        "link 0-5",
        "link 1-2",
        "link 2-3",
        "link 3-4",
        "link 4-5",
    ]
    assert hops(ring, edges_of(ring))[0].tolist() == [1, 1, 2, 3, 3, 2]


def test_rounding_grows_by_a_factor_a_hop_where_values_are_averaged_and_hardly_where_updates_are_fresh():
    chain, end = Topology.build("chain", 9), Adversary.node(0)
    rounds = rounds_of(chain, 1, 12)
    grown = amplification(rounds, end, solvability(rounds, [end]).solved[0])[1:, 0]
    assert grown[:3] == pytest.approx([1, 10**0.5, 118**0.5], rel=1e-4)
    assert (grown[1:6] / grown[:5] > 3).all()
    fresh, pair = rounds_of(Topology.build("ring", 6), 4), Adversary.coalition([0, 3])
    found = amplification(fresh, pair, solvability(fresh, [pair]).solved[0])
    assert np.nanmax(found) < 1.2
    assert np.isnan(found[[0, 3]]).all()


def test_what_is_computed_from_rounded_messages_is_as_far_off_as_predicted():
    chain, end, rng = Topology.build("chain", 8), Adversary.node(0), np.random.default_rng(0)
    rounds = rounds_of(chain, 1, 8)
    known = heard(rounds, end)
    values = rng.normal(size=(8, 2000))
    rounded = (known @ values).astype(np.float32).astype(np.float64)
    off = np.sqrt(((np.linalg.pinv(known) @ rounded - values) ** 2).mean(1))[1:]
    predicted = 2.0**-24 * amplification(rounds, end, np.ones((8, 1), dtype=bool))[1:, 0]
    assert (off < 2 * predicted).all()
    assert (off > 0.1 * predicted).all()


def test_averaging_follows_the_schedule_and_its_failures():
    topology = {"graph": "ring", "nodes": 8, "schedule": {"name": "one_peer_exponential"}}
    solved = {}
    for name, failures in (("none", {}), ("away", {"absences": [[4, 1, 3]]})):
        experiment = small("data.public=[]", topology={**topology, "failures": failures})
        solved[name] = Seen.in_network(experiment, "nodes", averaging=3).of.solved[0, :, 0]
    assert solved["none"].sum() == 1  # of three messages only the first is of one node
    assert not solved["away"][4]


@pytest.mark.parametrize(
    ("graph", "nodes", "observer", "found"),
    [("chain", 6, 0, [1, 2, 3, 4, 5]), ("ring", 6, 0, [3]), ("ring", 8, 0, [4]), ("hypercube", 8, 0, [7]),
     ("star", 8, 1, [0]), ("star", 8, 0, []), ("complete", 6, 0, []), ("torus", 9, 0, [])],
)  # fmt: skip
def test_sums_over_neighbours_hide_all_but_who_stands_apart_from_all_others(graph, nodes, observer, found):
    rounds = rounds_of(Topology.build(graph, nodes), 1, nodes)
    sums = replace(Adversary.node(observer), sums=True)
    assert np.flatnonzero(solvability(rounds, [sums]).solved[0, :, 0]).tolist() == found


def test_of_fresh_updates_sums_give_away_those_of_an_only_neighbour_alone():
    sums = [replace(Adversary.node(node), sums=True) for node in range(5)]
    solved = solvability(rounds_of(Topology.build("chain", 5), 3), sums).solved
    assert np.argwhere(solved).tolist() == [[0, 1, 0], [4, 3, 0]]
