"""What robust rules are refused with, before anything is computed: where, what and what to do."""

import re

import pytest
from pydantic import ValidationError
from reference.experiments import small

from simulator.config.planning import network_notes
from simulator.core.errors import InputError
from simulator.core.mixer import MIXERS
from simulator.mixers.robust.base import RobustMixer

ROBUST = [name for name in MIXERS.names() if issubclass(MIXERS.load(name), RobustMixer)]
NEEDED = {"clipped_gossip": {"tau": 1.0}}
COMPLETE = {"graph": "complete", "nodes": 7}


def refused(mixer, topology=COMPLETE, **changes):
    """The problems, as (where, what, advice)."""
    with pytest.raises(InputError) as caught:
        small(mixer=mixer, topology=topology, **changes)
    return [(problem.where, problem.what, problem.advice) for problem in caught.value.problems]


def notes(experiment):
    return list(network_notes(experiment, experiment.topology.build(experiment.seed)))


@pytest.mark.parametrize("name", ROBUST)
def test_rules_are_accepted_where_all_neighbours_are_there(name):
    assert small(mixer={"name": name, **NEEDED.get(name, {})}, topology=COMPLETE).mixer.name == name


@pytest.mark.parametrize("name", ROBUST)
def test_weights_whose_rows_do_not_sum_to_1_are_refused(name):
    topology = {"graph": "star", "nodes": 5, "weights": "push"}
    problems = refused({"name": name, **NEEDED.get(name, {})}, topology)
    assert [where for where, what, _ in problems if "rows sum to 1" in what] == ["mixer"]


@pytest.mark.parametrize("name", ROBUST)
@pytest.mark.parametrize(
    ("method", "what"),
    [
        ({"name": "gradient_tracking"}, "sums trackers as they are"),
        ({"name": "d2"}, "this mixer does something else"),
        ({"name": "neighbourhood_gradient_clustering"}, "models that a round begins with"),
        ({"name": "cross_feature_contrastive_loss"}, "models that a round begins with"),
        ({"name": "global_update_tracking"}, "this mixer does not"),
        ({"name": "correlated_noise", "clip": 1.0, "correlated_multiplier": 1.0}, "unless mixing keeps it"),
        ({"name": "zip_dl", "noise_multiplier": 1.0}, "summed by the weights of W"),
        ({"name": "trend", "share": "same_bits"}, "needs every link"),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_methods_that_need_the_sums_of_gossip_are_refused(name, method, what):
    problems = refused({"name": name, **NEEDED.get(name, {})}, methods=[method])
    assert any(what in told and "gossip" in advice for _, told, advice in problems)


@pytest.mark.parametrize(
    ("name", "graph", "f", "what", "advice"),
    [
        ("nna", "ring", 2, "at least 2f neighbours for f that may lie; node 0 has 2, and 2 may lie", "byzantine: 1"),
        ("trimmed_mean", "ring", 1, r"2f \+ 1 neighbours for f that may lie; node 0 has 2, and 1", "byzantine: 0"),
        ("trimmed_mean", "star", 1, "node 1 has 1, and 1 may lie", "byzantine: 0"),
        ("ios", "ring", 2, "at least 2f neighbours for f that may lie; node 0 has 2, and 2 may lie", "byzantine: 1"),
        ("krum", "ring", 1, r"2f \+ 2 neighbours for f that may lie; node 0 has 2, and 1 may lie", "byzantine: 0"),
        ("krum", "chain", 0, r"2f \+ 2 neighbours for f that may lie; node 0 has 1, and 0 may lie", "Choose a graph"),
        ("gts", "ring", 2, "its neighbours weigh 0.667 together, .* hold 0.667, .* 0.667 aside", "Lower"),
        ("cs_plus", "ring", 1, "its neighbours weigh 0.667 together, of which .* hold 0.333, .* 0.667 aside", "Lower"),
    ],
)
def test_too_few_neighbours_are_refused_by_the_node_and_the_numbers(name, graph, f, what, advice):
    ((where, told, how),) = refused({"name": name, "byzantine": f}, {"graph": graph, "nodes": 6})
    assert where == "mixer.byzantine"
    assert advice in how
    assert re.search(what, told)


def test_krum_keeps_no_more_models_than_a_score_is_made_of():
    assert small(mixer={"name": "krum", "byzantine": 1, "keep": 4}, topology=COMPLETE)
    ((where, what, advice),) = refused({"name": "krum", "byzantine": 1, "keep": 5})
    assert where == "mixer.keep"
    assert "n - f - 2 models, and a node has 7 with its own, of which 1 may lie" in what
    assert "keep: 4" in advice


def test_where_links_change_counts_are_taken_as_they_come_and_that_is_said_first():
    topology = {**COMPLETE, "failures": {"links": 0.3}}
    experiment = small(mixer={"name": "trimmed_mean", "byzantine": 2}, topology=topology)
    assert any("trimmed_mean/byzantine" in note for note in notes(experiment))
    assert not any("trimmed_mean" in note for note in notes(small(mixer="trimmed_mean", topology=COMPLETE)))


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({}, "radius: constant needs tau"),
        ({"radius": "constant", "tau": 1.0, "delta": 0.1}, "does not use delta"),
        ({"radius": "node"}, "radius: node needs delta"),
        ({"radius": "link", "delta": 0.1, "tau": 2.0}, "radius: link works tau out"),
        ({"tau": -1.0}, "tau"),
        ({"tau": float("inf")}, "finite"),
        ({"radius": "node", "delta": 0.0}, "delta"),
    ],
)
def test_a_radius_needs_what_it_is_made_of_and_nothing_else(settings, what):
    with pytest.raises(ValidationError, match=what):
        MIXERS.load("clipped_gossip").Config(**settings)


def test_no_radius_survives_being_written_to_a_file_and_is_warned_of():
    experiment = small(mixer={"name": "clipped_gossip", "tau": None}, topology=COMPLETE)
    assert type(experiment.mixer).model_validate(experiment.mixer.model_dump(mode="json")) == experiment.mixer
    assert any("clips nothing" in note for note in notes(experiment))


@pytest.mark.parametrize(
    ("topology", "changes"),
    [
        ({"graph": "exponential", "nodes": 7, "weights": "row_stochastic"}, {"radius": "link", "delta": 0.2}),
        ({**COMPLETE, "failures": {"links": 0.1, "symmetric": False}}, {"radius": "link", "delta": 0.2}),
    ],
    ids=["directed", "one way"],
)
def test_both_ends_of_a_link_must_hear_each_other_to_agree_on_a_radius(topology, changes):
    ((where, what, advice),) = refused({"name": "clipped_gossip", **changes}, topology)
    assert (where, "in every round" in what, "radius: node" in advice) == ("mixer.radius", True, True)


def test_a_share_that_leaves_nobody_to_measure_by_is_refused():
    ((where, what, _),) = refused(
        {"name": "clipped_gossip", "radius": "node", "delta": 0.5}, {"graph": "ring", "nodes": 6}
    )
    assert where == "mixer.delta"
    assert "at node 0 not even the nearest neighbour is within 1 - delta = 0.5" in what


def test_byzantine_is_a_count_or_a_weight_as_it_is_written():
    config = MIXERS.load("cs_plus").Config
    for given, kind in ((1, int), (0, int), (0.25, float)):
        assert type(config.model_validate({"byzantine": given}).byzantine) is kind
    for wrong in (-1, 1.5, -0.1, 0.0 - 1e-9):
        with pytest.raises(ValidationError, match="byzantine"):
            config.model_validate({"byzantine": wrong})
