"""Adversaries that an experiment cannot have: refused with the place, the reason and what to do."""

import pytest
from reference.experiments import small

from simulator.config.attackers import with_attackers_named
from simulator.core.errors import InputError
from simulator.runs.build import Simulation

COMPLETE = {"topology": {"graph": "complete", "nodes": 6}}
RING = {"topology": {"graph": "ring", "nodes": 6}}
MARKED = {
    "data": {"dataset": "digits", "partition": "iid", "canaries": {"number": 12, "kind": "block"}},
    "methods": [{"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0, "delta": 1e-5}],
}


def refused(*blocks, **changes):
    with pytest.raises(InputError) as error:
        small(**{**COMPLETE, "adversaries": list(blocks), **changes})
    return [(problem.where, problem.what, problem.advice) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("blocks", "changes", "where", "what"),
    [
        ([{"nodes": [9], "attack": "silent"}], {}, "adversaries[0].nodes[0]", "there is no node 9"),
        ([{"nodes": [1, 1], "attack": "silent"}], {}, "adversaries[0]", "named twice"),
        ([{"attack": "silent"}], {}, "adversaries[0]", "either the nodes, or how many"),
        ([{"nodes": [1], "count": 2, "attack": "silent"}], {}, "adversaries[0]", "either the nodes, or how many"),
        ([{"nodes": [1], "place": "apart", "attack": "silent"}], {}, "adversaries[0].place", "has no effect"),
        (
            [{"nodes": [1], "attack": "silent"}, {"nodes": [1], "attack": "sign_flip"}],
            {},
            "adversaries[1].nodes[0]",
            "attacker of adversaries[0] already",
        ),
        ([{"nodes": [1], "attack": "sing_flip"}], {}, "adversaries[0].attack.name", "unknown name 'sing_flip'"),
        ([{"nodes": [1], "attack": "spectral"}], {}, "adversaries[0].attack", "only an omniscient attacker knows"),
        ([{"nodes": [1], "attack": {"name": "mimic", "node": 6}}], {}, "adversaries[0].attack.node", "no node 6"),
        (
            [{"nodes": [1], "attack": "silent"}, {"nodes": [2], "attack": {"name": "mimic", "node": 1}}],
            {},
            "adversaries[1].attack.node",
            "node 1 lies itself",
        ),
        (
            [{"nodes": [1], "attack": {"name": "mimic", "node": 4}}],
            RING,
            "adversaries[0].attack.node",
            "hears nothing from node 4",
        ),
        ([{"nodes": [1], "attack": "ipm"}], {}, "adversaries[0].attack", "only an omniscient attacker knows"),
        ([{"nodes": [1], "attack": "silent"}], {"mixer": "choco"}, "mixer", "is no model"),
        ([{"nodes": [1], "attack": "silent"}], {"backend": {"name": "flower"}}, "adversaries", "simulations alone"),
        ([{"nodes": [1], "attack": "silent"}], {"buffers": "mixed"}, "buffers", "and some nodes lie"),
        ([], {"buffers": "mixed", "mixer": "trimmed_mean"}, "buffers", "trimmed_mean guards models alone"),
        ([], {"buffers": {"policy": "frozen", "freeze_after": 2}, "mixer": "nna"}, "buffers", "whatever they are"),
        ([{"nodes": [1], "attack": "silent"}], MARKED, "data.canaries", "choose theirs by what they hear"),
        ([{"nodes": [0, 3], "attack": "silent"}], RING, "adversaries", ""),
        ([{"nodes": [0, 1, 2, 3, 4, 5], "attack": "silent"}], {}, "adversaries", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_goes_with_nothing_is_refused(blocks, changes, where, what):
    found = refused(*blocks, **changes)
    assert any(place == where and what in text for place, text, _ in found), found
    assert all(advice for _, _, advice in found)


@pytest.mark.parametrize("buffers", ["local", "frozen"])
def test_running_statistics_that_stay_where_they_are_go_with_attackers(buffers):
    small(**COMPLETE, adversaries=[{"nodes": [1], "attack": "silent"}], mixer="trimmed_mean", buffers=buffers)


def test_a_task_without_classes_has_no_labels_to_flip():
    table = {"task": "regression", "data": {"dataset": "digits", "partition": "iid"}}
    found = refused({"nodes": [1], "attack": "label_flip"}, **table)
    assert ("adversaries[0].attack", "label_flip needs classes, and there is none.") in [each[:2] for each in found]


@pytest.mark.parametrize(
    ("setting", "value", "what"), [("target", 10, "there is no class 10"), ("size", 8, "leaves nothing of a picture")]
)
def test_a_backdoor_that_no_picture_can_have_is_refused_before_the_run(setting, value, what):
    experiment = small(**COMPLETE, adversaries=[{"nodes": [1], "attack": {"name": "backdoor", setting: value}}])
    with pytest.raises(InputError) as error:
        Simulation.of(experiment)
    (problem,) = error.value.problems
    assert problem.where == f"adversaries[0].attack.{setting}"
    assert what in problem.what


def test_attackers_that_are_counted_are_chosen_by_the_seed_and_named():
    def named(seed):
        block = {"count": 2, "attack": "silent"}
        experiment = small(f"seed={seed}", topology={"graph": "complete", "nodes": 30}, adversaries=[block, block])
        return with_attackers_named(experiment, experiment.topology.build(seed).base).adversaries

    first, second = named(0)
    assert len(first.nodes) == len(second.nodes) == 2
    assert not set(first.nodes) & set(second.nodes)
    assert named(0) == (first, second)
    assert named(1) != (first, second)
    assert (first.count, first.place) == (2, "random")
