"""Who teaches when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.multi_exit import PKD, clips

from methods.pkd.schedule import PKDSettings, teacher
from simulator.core.errors import InputError


def turns(rounds, **settings):
    config = PKDSettings(**settings)
    return [teacher(config, round, rounds) for round in range(config.first_round, rounds + 1)]


def test_coviars_curriculum():
    """Epochs 0 to 49 motion, 50 to 99 residuals, 100 to 299 the last teacher."""
    assert turns(300, first_round=1) == ["mv"] * 50 + ["residual"] * 50 + ["iframe"] * 200


def test_team_nets_curriculum():
    """Epochs 0 to 2, 3 to 5, 6 to 39."""
    assert turns(40, first_round=1, share=3 / 40) == ["mv"] * 3 + ["residual"] * 3 + ["iframe"] * 34


def test_the_curriculum_begins_with_distillation():
    assert turns(12, first_round=7, share=0.25, teachers=("b", "a")) == ["b"] * 2 + ["a"] * 4


def test_no_teachers_is_labels():
    assert turns(3, first_round=2, teachers=()) == [None, None]


@given(st.integers(1, 50), st.integers(1, 100), st.floats(0.01, 1), st.integers(1, 4))
def test_each_teacher_has_one_turn_and_all_but_the_last_the_same(start, length, share, count):
    names = tuple("abcd"[:count])
    found = turns(start + length - 1, first_round=start, share=share, teachers=names)
    assert len(found) == length
    assert found == sorted(found)
    lengths = [found.count(name) for name in names if found.count(name)]
    assert len(set(lengths[:-1])) <= 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"first_round": 7}, r"methods\[0\]\.first_round: distillation begins in round 7"),
        ({"first_round": 6}, r"methods\[0\]\.teachers: residual never teaches"),
        ({"share": 0.5}, r"iframe never teaches"),
        ({"share": 0}, r"share"),
        ({"temperature": 0}, r"temperature"),
        ({"first_round": 0}, r"first_round"),
    ],
)
def test_schedules_that_do_not_fit_are_refused(settings, problem):
    with pytest.raises(InputError, match=problem):
        clips(methods=[PKD | settings])


@pytest.mark.parametrize("between", [[], [{"name": "trajectories"}]])
def test_a_method_after_it_that_changes_the_gradient_is_refused(between):
    """Next to it, or with one between."""
    with pytest.raises(InputError, match=r"quasi_global_momentum after it changes the gradient"):
        clips(methods=[PKD, *between, {"name": "quasi_global_momentum"}])
