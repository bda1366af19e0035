"""Laws: whatever is claimed of every round holds in each that is drawn, and nothing is claimed of means and unions."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.graphs import stars

from topologies import WEIGHTS, Failures, Laws, Links, Network, Schedule, Topology, TopologyError, build_schedule

laws = settings(max_examples=40)
ALL = Laws(rows=True, columns=True, symmetric=True, two_way=True)
NODES = 6


def directed(nodes, seed):
    graph = nx.gnp_random_graph(nodes, 0.3, seed, directed=True)
    graph.add_edges_from((node, (node + 1) % nodes) for node in range(nodes))
    return graph


def sequence(weights):
    return build_schedule("sequence", Topology.build("complete", 4, weights), graphs=stars(4))


@st.composite
def schedules(draw):
    """Any schedule on a random graph, directed or not, with weights that go with both."""
    name = draw(st.sampled_from(["static", "one_peer_exponential", "base_graph", "random_matching", "random_regular"]))
    seed, one_way = draw(st.integers(0, 99)), name == "static" and draw(st.booleans())
    graph = directed(NODES, seed) if one_way else nx.cycle_graph(NODES)
    known = ["row_stochastic", "push", "uniform"] if one_way else list(WEIGHTS)
    weights = draw(st.sampled_from(known if name == "static" else ["metropolis_hastings", "push"]))
    options = {"degree": 2} if name == "random_regular" else {}
    return build_schedule(name, Topology.from_networkx(graph, weights), seed, **options)


@st.composite
def failures(draw):
    links, nodes = (draw(st.sampled_from([0.0, 0.4])) for _ in range(2))
    away = draw(st.sampled_from([(), ((2, 2, 5),)]))
    return Failures(
        links, nodes, absences=away, symmetric=not links or draw(st.booleans()), seed=draw(st.integers(0, 9))
    )


@laws
@given(schedules(), failures(), st.lists(st.integers(0, 10**4), min_size=3, max_size=3), st.booleans())
def test_what_is_claimed_of_every_round_holds_in_each_that_is_drawn(schedule, failing, rounds, doubled):
    network = Network(schedule, failing)
    claimed = network.laws
    if doubled:
        network = network.copies(2)
        assert network.laws == claimed
    for round in (0, 1, 2, *rounds):
        assert not Laws.of(network.at(round)).missing(claimed)


@pytest.mark.slow
@laws
@given(schedules(), failures())
def test_what_is_not_claimed_fails_in_some_round(schedule, failing):
    """So that the claims are no more careful than they must be; where all can fail, many rounds show that it does."""
    network = Network(schedule, failing)
    seen = Laws.common(Laws.of(network.at(round)) for round in range(25))
    missing = network.laws.missing(seen)
    assert missing == [] or (missing == ["two_way"] and schedule.base.graph.is_directed())


@laws
@given(st.integers(0, 99), st.booleans(), st.booleans(), st.integers(0, 2**36 - 1))
def test_laws_after_losses_hold_for_any_link_that_drops_out(seed, push, together, which):
    weights = "push" if push else "row_stochastic"
    for graph in (directed(NODES, seed), nx.cycle_graph(NODES)):
        links = Topology.from_networkx(graph, weights).links
        cut = np.array([bool(which >> k & 1) for k in range(NODES**2)]).reshape(NODES, NODES)
        cut = (cut | cut.T if together else cut) & ~np.eye(NODES, dtype=bool)
        lost = np.where(cut, links.weights, 0)
        left = Links.everyone(links.weights - lost + np.diag(lost.sum(axis=0 if push else 1)), push)
        promised = Laws.of(links).after_losses(to_sender=push, together=together)
        assert not Laws.of(left).missing(promised)


def test_a_doubly_stochastic_mean_says_nothing_of_its_rounds():
    schedule = sequence("row_stochastic")
    assert schedule.base.is_doubly_stochastic
    assert not schedule.base.graph.is_directed()
    assert schedule.laws == Laws(rows=True, columns=False, symmetric=False, two_way=True)
    assert sequence("metropolis_hastings").laws == ALL


def test_a_union_of_links_that_go_both_ways_says_nothing_of_its_rounds():
    schedule = build_schedule("one_peer_exponential", Topology.build("complete", 3))
    assert not schedule.base.graph.is_directed()
    assert schedule.laws == Laws(rows=True, columns=True, symmetric=False, two_way=False)


@pytest.mark.parametrize("name", ["random_matching", "random_regular"])
def test_random_schedules_promise_what_their_making_gives(name):
    options = {"degree": 2} if name == "random_regular" else {}
    assert build_schedule(name, Topology.build("complete", 5), **options).laws == ALL


def test_without_a_promise_nothing_is_known_of_random_graphs():
    topology = Topology.build("ring", 4)
    assert Schedule("own", topology, lambda index: topology.links).laws == Laws.bound(push=False)
    assert Schedule("own", topology, lambda index: topology.links, promise=ALL).laws == ALL


def test_a_graph_that_breaks_the_promise_is_refused_when_it_is_drawn():
    ring, star = Topology.build("ring", 4), Topology.build("star", 4, "row_stochastic")
    complete = Topology.build("complete", 4)
    schedule = Schedule("own", complete, lambda index: [ring, star][index % 2].links, promise=ALL)
    schedule.at(0)
    with pytest.raises(TopologyError, match="promises that W is columns, symmetric in every round; its graph 1 is not"):
        schedule.at(1)


def test_a_graph_made_for_push_sum_is_refused_beside_a_base_that_is_not():
    topology, push = Topology.build("star", 4), Topology.build("star", 4, "push")
    with pytest.raises(TopologyError, match="Graph 0 of the schedule is made for push-sum, other than the base"):
        Schedule("own", topology, lambda index: push.links)


@pytest.mark.parametrize("name", ["one_peer_exponential", "base_graph", "random_matching", "random_regular"])
def test_weights_that_a_schedule_would_not_use_are_refused(name):
    for weights in ("uniform", "lazy", "row_stochastic"):
        with pytest.raises(TopologyError, match=f"{name} brings its own weights") as caught:
            build_schedule(name, Topology.build("complete", 6, weights))
        assert caught.value.field == "weights"


@pytest.mark.parametrize(
    ("settings", "field"), [({"mean_absence": 3.0}, "mean_absence"), ({"nodes": 0.1, "symmetric": False}, "symmetric")]
)
def test_failures_that_cannot_act_are_refused(settings, field):
    with pytest.raises(TopologyError, match=f"{field} is .*, which changes nothing") as caught:
        Failures(**settings)
    assert caught.value.field == field
