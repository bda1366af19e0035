"""Problems that say where, what, and what to do."""

import pytest

from simulator.core.errors import InputError, Problem, RunError, did_you_mean, wrong


def test_a_problem_reads_where_what_and_on_its_own_line_the_advice():
    assert str(Problem("rounds", "must be at least 1.", "Give more.")) == "rounds: must be at least 1.\n    Give more."


def test_all_problems_of_an_error_are_shown():
    error = InputError(Problem("a", "is wrong."), Problem("b", "too."))

    assert str(error) == "a: is wrong.\nb: too."


def test_under_places_problems_below_a_setting():
    error = InputError(Problem("alpha", "x"), Problem("", "y"), Problem("[2].name", "z")).under("data.public")

    assert [problem.where for problem in error.problems] == ["data.public.alpha", "data.public", "data.public[2].name"]


def test_exit_codes_tell_wrong_input_from_a_failed_run():
    assert (wrong("", "x").exit_code, RunError("x").exit_code) == (2, 1)


def test_did_you_mean_names_the_nearest_and_then_all():
    assert did_you_mean("rign", ["torus", "ring"], "graphs") == "Did you mean 'ring'? Known graphs: ring, torus."


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("tors", "torus"), ("rings", "ring"), ("hipercube", "hypercube"), ("gossp", None), ("x", None)],
)
def test_a_name_is_suggested_if_more_than_half_of_it_is_right(name, nearest):
    guess = f"Did you mean '{nearest}'? " if nearest else ""
    assert (
        did_you_mean(name, ["torus", "ring", "hypercube"], "graphs") == f"{guess}Known graphs: hypercube, ring, torus."
    )


def test_nothing_is_suggested_where_nothing_is_known():
    assert did_you_mean("ring", [], "graphs") == "Known graphs: none."
