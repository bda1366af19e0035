"""Parts that need something of W need it in every round: what comes out where one round breaks it, and that it is told.

Nodes have quadratic losses of which the minimum is known, or values of which the mean is; everything runs through the
real node program in double precision.
"""

import networkx as nx
import numpy as np
import pytest
from reference.experiments import small
from reference.graphs import over_time, stars
from reference.marks import MANY
from reference.network import quadratics, sgd

from methods.differential_privacy.correlated_noise import CorrelatedNoise
from methods.gradient_tracking import GradientTracking
from simulator import load_experiment, run
from simulator.config.planning import network_notes, schedule_notes
from simulator.core.errors import InputError
from simulator.core.observer import Observer
from simulator.core.plan import Plan
from simulator.mixers.choco import Choco
from simulator.mixers.gossip import Gossip
from simulator.mixers.push_sum import PushSum
from simulator.mixers.relay_sum import RelaySum
from simulator.runs.build import Simulation
from topologies import Topology

LOSSES, ABSENCES = {"links": 0.2, "seed": 1}, {"nodes": 0.2, "seed": 1}


failing = pytest.mark.parametrize("failures", [LOSSES, pytest.param(ABSENCES, marks=MANY)], ids=["losses", "absences"])


class Started(Observer):
    """Keeps what is said at the start of a run."""

    def started(self, info):
        self.notes = info.notes


def points(nodes, seed):
    return np.random.default_rng(seed).normal(size=(nodes, 5))


def off(links, rounds, mixer=Gossip, methods=lambda node: [], lr=0.1):
    """Largest distance, at last, of a node from the minimum of the mean loss."""
    nodes = links.base.num_nodes
    network = quadratics(
        links.base, points(nodes, 0), points(nodes, 1), sgd(lr), mixer=lambda: mixer(mixer.Config()), methods=methods
    )
    return np.abs(network.run_over(links, rounds)[-1] - points(nodes, 0).mean(0)).max(), network


def moved(links, rounds, mixer, methods=lambda node: []):
    """How far the mean of nodes that learn nothing goes."""
    nodes = links.base.num_nodes
    network = quadratics(
        links.base, points(nodes, 0), points(nodes, 1), sgd(0.1), mixer=lambda: mixer(mixer.Config()),
        methods=methods, curvature=np.zeros(nodes),
    )  # fmt: skip
    return np.abs(network.run_over(links, rounds)[-1].mean(0) - points(nodes, 1).mean(0)).max()


def tracking(node):
    return [GradientTracking(GradientTracking.Config())]


def cancelling(node):
    return [CorrelatedNoise(CorrelatedNoise.Config(noise_multiplier=0.0))]


def plan(links, mixer, methods=(), **settings):
    return Plan(5, sgd(0.1), links, mixer.Config(), methods=methods, **settings)


def refusals(part, links, mixer=Gossip, **settings):
    config = part.Config()
    methods = () if part is mixer else (config,)
    return [problem.what for problem in part.check(config, plan(links, mixer, methods, **settings))]


EXPONENTIAL, RING = Topology.build("exponential", 8), Topology.build("ring", 8)
STARS = over_time(Topology.build("complete", 4, "row_stochastic"), "sequence", graphs=stars(4))


@pytest.mark.slow
@failing
def test_gradient_tracking_loses_the_mean_gradient_where_one_way_links_fail_and_is_refused(failures):
    """Both directions of a link cannot be lost together where there is one: 0.1 off the minimum, undirected exact."""
    wrong, network = off(over_time(EXPONENTIAL, failures=failures), 40, methods=tracking)
    right, other = off(over_time(RING, failures=failures), 100, methods=tracking)
    corrections = [sum(node.methods[-1].correction.numpy() for node in each.nodes) for each in (network, other)]

    assert wrong > 0.03
    assert right < 1e-3
    assert np.abs(corrections[0]).max() > 0.3
    assert np.abs(corrections[1]).max() < 1e-12
    (what,) = refusals(GradientTracking, over_time(EXPONENTIAL, failures=failures))
    assert "fail one way" in what
    assert not refusals(GradientTracking, over_time(RING, failures=failures))
    assert not refusals(GradientTracking, over_time(EXPONENTIAL))


@failing
def test_push_sum_needs_push_weights_where_one_way_links_fail(failures):
    wrong, right = (
        over_time(Topology.build("exponential", 8, weights), failures=failures)
        for weights in ("metropolis_hastings", "push")
    )

    assert moved(wrong, 20, PushSum) > 0.03
    assert moved(right, 60, PushSum) < 1e-9
    assert "fail one way" in refusals(PushSum, wrong, PushSum)[0]
    assert not refusals(PushSum, right, PushSum)
    assert not refusals(PushSum, over_time(RING, failures=failures), PushSum)
    assert refusals(PushSum, over_time(RING, failures={**LOSSES, "symmetric": False}), PushSum)


def test_stars_whose_mean_is_doubly_stochastic_are_judged_star_by_star():
    assert STARS.base.is_doubly_stochastic
    assert off(STARS, 40, methods=tracking)[0] > 0.1
    assert moved(STARS, 15, PushSum) > 0.1
    assert "in every round" in refusals(GradientTracking, STARS)[0]
    assert "in every round" in refusals(PushSum, STARS, PushSum)[0]

    balanced = over_time(Topology.build("complete", 4), "sequence", graphs=stars(4))
    assert off(balanced, 50, methods=tracking, lr=0.3)[0] < 1e-6
    assert moved(balanced, 15, PushSum) < 1e-12
    assert not refusals(GradientTracking, balanced) + refusals(PushSum, balanced, PushSum)


NOISE_STAYS = {
    "one-way rounds whose union goes both ways": (
        over_time(Topology.build("complete", 3), "one_peer_exponential"), Gossip, "both ways in every round",
    ),
    "stars": (STARS, Gossip, "stays in the mean"),
    "a star that weighs nodes differently": (
        over_time(Topology.build("star", 5, "row_stochastic")), Choco, "stays in the mean",
    ),
    "sums of different ages": (over_time(Topology.build("chain", 5)), RelaySum, "stays in the mean"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOISE_STAYS)
def test_noise_of_neighbours_that_would_stay_in_the_mean_is_refused(name):
    links, mixer, text = NOISE_STAYS[name]

    assert moved(links, 12, mixer, cancelling) > moved(links, 12, mixer) + 0.1
    (what,) = refusals(CorrelatedNoise, links, mixer)
    assert text in what


@pytest.mark.parametrize("mixer", [Gossip, PushSum])
@pytest.mark.parametrize(
    ("schedule", "options"), [("base_graph", {}), ("random_matching", {}), ("random_regular", {"degree": 2})]
)
def test_noise_of_neighbours_cancels_where_every_round_goes_both_ways_and_keeps_the_sum(mixer, schedule, options):
    links = over_time(Topology.build("complete", 5), schedule, LOSSES, **options)

    assert moved(links, 12, mixer, cancelling) < 1e-12
    assert not refusals(CorrelatedNoise, links, mixer)


def test_links_on_which_no_parameters_travel_are_losses_too():
    """Their weight goes back to the receiver, so the columns of a directed W do not sum to 1."""
    links = over_time(EXPONENTIAL)

    assert plan(links, Gossip).laws.columns
    assert not plan(links, Gossip, apart=True).laws.columns
    assert plan(over_time(RING), Gossip, apart=True).laws.doubly_stochastic


@pytest.mark.parametrize("failures", [{}, {"links": 0.2}])
@pytest.mark.slow
def test_relay_sum_settles_off_the_minimum_where_messages_are_lost_and_a_note_says_so(failures):
    links = over_time(Topology.build("chain", 5), failures=failures)
    far = off(links, 150, RelaySum, lr=0.3)[0]

    assert (far > 0.02) == bool(failures)
    assert (far < 1e-9) == (not failures)
    assert bool(list(RelaySum.notes(RelaySum.Config(), plan(links, RelaySum)))) == bool(failures)


def test_push_weights_that_make_rows_sum_to_1_everywhere_go_with_gossip():
    """On a regular graph every node divides among as many as it hears from, until links fail."""
    ring = Topology.build("ring", 6, "push")

    assert not refusals(Gossip, over_time(ring), Gossip)
    assert not refusals(Gossip, over_time(ring, failures=LOSSES), Gossip)
    assert refusals(Gossip, over_time(ring, failures={**LOSSES, "symmetric": False}), Gossip)
    assert refusals(Gossip, over_time(Topology.build("star", 6, "push")), Gossip)


REFUSED = [
    ({"topology": {"graph": "ring", "nodes": 4, "weights": "lazy", "schedule": "base_graph"}}, "topology.weights"),
    (
        {"topology": {"graph": "ring", "nodes": 4, "spanning_tree": True, "schedule": "random_regular"}},
        "topology.spanning_tree",
    ),
    ({"topology": {"graph": "ring", "nodes": 4, "failures": {"mean_absence": 2.0}}}, "topology.failures.mean_absence"),
    ({"topology": {"graph": "ring", "nodes": 4, "failures": {"symmetric": False}}}, "topology.failures.symmetric"),
    (
        {"topology": {"graph": "ring", "nodes": 4, "failures": {"absences": [[1, 7, 10]]}}},
        "topology.failures.absences[0]",
    ),
    ({"topology": {"graph": "chain", "nodes": 4, "weights": "lazy"}, "mixer": {"name": "relay_sum"}}, "mixer"),
    (
        {
            "topology": {"graph": "ring", "nodes": 4, "weights": "lazy"},
            "mode": "asynchronous",
            "clock": {"step_seconds": 0.01},
        },
        "topology.weights",
    ),
]


@pytest.mark.parametrize(("settings", "where"), REFUSED, ids=str)
def test_what_could_change_nothing_is_refused(settings, where):
    with pytest.raises(InputError) as caught:
        small(**settings)
    assert [problem.where for problem in caught.value.problems] == [where]


@pytest.mark.parametrize(
    ("settings", "notes"),
    [
        ({"topology": {"graph": "ring", "nodes": 4}}, []),
        ({"topology": {"graph": "star", "nodes": 4, "weights": "row_stochastic"}}, ["columns of the mixing matrix"]),
        (
            {"topology": {"graph": "exponential", "nodes": 5, "failures": {"links": 0.1}}},
            ["links of this network go one way", "columns of the mixing matrix"],
        ),
        ({"topology": {"graph": "ring", "nodes": 4, "schedule": "base_graph"}}, ["the schedule base_graph brings"]),
        ({"topology": {"graph": "exponential", "nodes": 4, "schedule": "one_peer_exponential"}}, []),
        (
            {"topology": {"graph": "chain", "nodes": 4, "failures": {"nodes": 0.1}}, "mixer": {"name": "relay_sum"}},
            ["relay_sum is exact only while"],
        ),
    ],
    ids=str,
)
def test_what_may_surprise_is_told(settings, notes):
    experiment = small(**settings)
    for note, start in zip(network_notes(experiment, experiment.topology.build(0)), notes, strict=True):
        assert note.startswith(start)


def test_what_is_set_for_rounds_that_do_not_come_is_told():
    settings = {"rounds": 4, "training": {"schedule": {"warmup": 5}}, "checkpoint": {"every": 1, "rounds": [2, 9]}}
    rising, kept = schedule_notes(small(**settings))
    assert rising.startswith("training.schedule.warmup is 5 rounds, and there are 4: the learning rate is still rising")
    assert kept.startswith("there is no round 9 to be kept (checkpoint.rounds)")
    assert not list(schedule_notes(small(rounds=4, training={"schedule": {"warmup": 4}})))


@pytest.mark.parametrize(("size", "told"), [(16, False), (10_000, True)])
def test_a_batch_that_is_larger_than_any_nodes_data_is_told(tmp_path, size, told):
    notes = Simulation.of(small(training={"batch_size": size})).info(tmp_path, 0).notes
    assert any("training.batch_size is 10,000, and no node trains on more" in note for note in notes) == told


def test_it_is_told_when_a_run_starts(tmp_path):
    said = Started()
    run(small(rounds=1, topology={"graph": "star", "nodes": 4, "weights": "row_stochastic"}), tmp_path, [said])
    assert said.notes[0].startswith("columns of the mixing matrix do not sum to 1 in every round")


def test_saved_settings_of_every_schedule_are_accepted_again():
    """A run directory holds all settings, defaults included, and must be readable."""
    for schedule in ("one_peer_exponential", "base_graph", "random_matching", "random_regular"):
        topology = {"graph": "complete", "nodes": 6, "schedule": schedule}
        saved = small(topology=topology).to_dict()
        assert load_experiment(saved).to_dict() == saved


def test_graphs_from_files_are_judged_round_by_round(tmp_path):
    files = []
    for number, graph in enumerate(stars(4)):
        files.append(str(tmp_path / f"{number}.graphml"))
        nx.write_graphml_xml(graph, files[-1])
    topology = {
        "graph": "complete", "nodes": 4, "weights": "row_stochastic",
        "schedule": {"name": "sequence", "graphs": files},
    }  # fmt: skip
    for parts in ({"methods": [{"name": "gradient_tracking"}]}, {"mixer": {"name": "push_sum"}}):
        with pytest.raises(InputError, match="in every round"):
            small(topology=topology, **parts)
