"""The learning rate over rounds, and optimizer settings that make no sense."""

import pytest
from pydantic import ValidationError

from simulator.core.training import OptimizerSettings, ScheduleSettings, TrainingSettings


def factors(rounds, **settings):
    schedule = ScheduleSettings(**settings)
    return [schedule.factor(round, rounds) for round in range(rounds)]


def test_without_settings_the_rate_is_constant():
    assert factors(5) == [1.0] * 5


def test_warm_up_climbs_in_equal_steps_to_the_full_rate():
    assert factors(6, warmup=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_each_milestone_multiplies_by_gamma():
    # 0.6 and 0.8 of ten rounds: rounds 6 and 8, counted from 0
    assert factors(10, milestones=[0.6, 0.8], gamma=0.1) == pytest.approx([1] * 6 + [0.1] * 2 + [0.01] * 2)


def test_a_shorter_run_keeps_the_shape():
    assert factors(5, milestones=[0.6, 0.8], gamma=0.1) == pytest.approx([1] * 3 + [0.1, 0.01])


@pytest.mark.parametrize(("milestone", "rounds", "first"), [(0.07, 100, 7), (0.55, 100, 55), (0.28, 25, 7)])
def test_a_milestone_falls_on_its_round_however_the_fraction_is_rounded(milestone, rounds, first):
    # 0.07 * 100 is 7.000000000000001 in floating point
    passed = [factor < 1 for factor in factors(rounds, milestones=[milestone], gamma=0.5)]

    assert passed.index(True) == first


def test_warm_up_and_milestones_multiply():
    assert factors(4, warmup=4, milestones=[0.5], gamma=0.5) == [0.25, 0.5, 0.375, 0.5]


@pytest.mark.parametrize("milestone", [0.0, 1.0, 1.5, -0.1])
def test_a_milestone_outside_the_run_is_refused(milestone):
    with pytest.raises(ValidationError, match="fractions of the run"):
        ScheduleSettings(milestones=[milestone])


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValidationError, match="needs a momentum above 0"):
        OptimizerSettings(nesterov=True)


@pytest.mark.parametrize("settings", [{"lr": 0}, {"lr": float("inf")}, {"momentum": 1.0}, {"weight_decay": -1}])
def test_impossible_optimizers_are_refused(settings):
    with pytest.raises(ValidationError):
        OptimizerSettings(**settings)


@pytest.mark.parametrize(
    ("nodes", "differ"),
    [
        ({}, False),
        ({0: {}}, False),
        ({1: {"batch_size": 4}}, False),
        ({1: {"local_steps": 3}}, True),
        ({1: {"lr": 0.01}}, True),
        ({0: {"batch_size": 4}, 1: {"lr": 0.01}}, True),
        ({0: {"local_steps": 3}, 1: {"batch_size": 4}}, True),
    ],
)
def test_one_node_with_one_thing_of_its_own_makes_steps_differ(nodes, differ):
    assert TrainingSettings(nodes=nodes).steps_differ is differ


def test_a_node_has_what_it_has_of_its_own_and_else_what_all_have():
    training = TrainingSettings(local_steps=5, batch_size=8, nodes={1: {"lr": 0.5}, 2: {"local_steps": 2}})
    found = [training.of(node) for node in range(3)]

    assert [each.optimizer.lr for each in found] == [0.1, 0.5, 0.1]
    assert [each.local_steps for each in found] == [5, 5, 2]
    assert [each.batch_size for each in found] == [8, 8, 8]
