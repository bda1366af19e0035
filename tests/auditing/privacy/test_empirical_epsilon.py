"""Lower bounds: published values, validity over many simulated audits, tightness, ceilings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from auditing.privacy.empirical_epsilon import (
    many_runs,
    many_runs_gaussian,
    one_run,
    one_run_epsilon,
    one_run_p_value,
    upper_limit,
)
from simulator.core.errors import InputError
from simulator.privacy.gaussian_dp import epsilon_of

AUDITS = 600
# That no more than 5 % of the bounds are wrong is refuted, at a level of 1e-6, by more than this many of `AUDITS`.
TOLERATED = int(binom.isf(1e-6, AUDITS, 0.05))


@pytest.mark.parametrize(
    ("canaries", "guesses", "correct", "epsilon"),
    [
        (100, 100, 100, 3.49),
        (1000, 100, 100, 3.465),
        (1000, 100, 95, 2.165),
        (5000, 200, 200, 4.06),
        (1000, 1000, 600, 0.297),
        (200, 40, 38, 1.74),
        (50, 10, 10, 1.05),
    ],
)
def test_one_run_at_delta_1e_5(canaries, guesses, correct, epsilon):
    assert one_run_epsilon(canaries, guesses, correct, 1e-5) == pytest.approx(epsilon, abs=0.006)


@pytest.mark.parametrize(("runs", "ceiling"), [(100, 3.28), (500, 4.91), (1000, 5.60)])
def test_ceilings_of_many_runs(runs, ceiling):
    assert many_runs(0, runs, 0, runs, 1e-5).ceiling == pytest.approx(ceiling, abs=0.006)
    assert many_runs(9, runs, 3, runs, 1e-5).ceiling == many_runs(0, runs, 0, runs, 1e-5).epsilon


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(0, 60), st.floats(0, 5), st.sampled_from([0.0, 1e-5, 1e-2]))
def test_the_p_value_is_its_definition(guesses, correct, epsilon, delta):
    correct, rate = min(correct, guesses), np.exp(epsilon) / (1 + np.exp(epsilon))
    mass = [binom.pmf(v, guesses, rate) for v in range(guesses + 1)]
    alpha = max((sum(mass[correct - i : correct]) / i for i in range(1, correct + 1)), default=0.0)
    expected = min(1.0, sum(mass[correct:]) + 2 * 80 * delta * alpha)
    assert one_run_p_value(epsilon, 80, guesses, correct, delta) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_one_run_makes_the_guesses_it_is_sure_of():
    scores = np.array([5.0, 0.0, 9.0, 1.0, 4.0, 3.0])
    included = np.array([False, False, True, True, True, True])
    found = one_run(scores, included, 3, 0.0)  # in: 9; out: 0 and 1
    assert (found.correct, found.guesses) == (2, 3)
    assert one_run(scores, included, 4, 0.0).correct == 2
    assert found.epsilon <= found.ceiling == one_run_epsilon(6, 3, 3, 0.0)
    assert one_run(scores, included, 1, 0.0).correct == 1


def test_no_guess_right_shows_nothing():
    assert one_run(np.arange(4.0), np.array([True, True, False, False]), 4, 1e-5).epsilon == 0
    assert many_runs(5, 5, 5, 5, 1e-5).epsilon == many_runs_gaussian(5, 5, 5, 5, 1e-5).epsilon == 0


def in_or_out(rng, canaries=60):
    return rng.random((AUDITS, canaries)) < 0.5


def randomized_response(epsilon, rng, included):
    """Each coin, or with probability 1 / (1 + e^epsilon) the other: epsilon-DP, and nothing is sharper."""
    return (included ^ (rng.random(included.shape) > 1 / (1 + np.exp(-epsilon)))).astype(np.float64)


def laplace(epsilon, rng, included):
    return included + rng.laplace(scale=1 / epsilon, size=included.shape)


def gaussian(epsilon, rng, included, delta=1e-5):
    mu = next(mu for mu in np.linspace(3, 0.01, 3000) if epsilon_of(mu, delta) <= epsilon)
    return included + rng.normal(scale=1 / mu, size=included.shape)


@pytest.mark.parametrize("mechanism", [randomized_response, laplace, gaussian])
@pytest.mark.parametrize("guesses", [60, 20])
def test_bounds_from_one_run_are_seldom_wrong(mechanism, guesses):
    rng = np.random.default_rng(3)
    included, delta = in_or_out(rng), 1e-5 if mechanism is gaussian else 0.0
    audits = zip(mechanism(1.0, rng, included), included, strict=True)
    assert sum(one_run(*each, guesses, delta).epsilon > 1.0 for each in audits) <= TOLERATED


def test_the_best_of_many_guess_budgets_is_no_bound():
    """Broken on purpose: why the budget is chosen before looking."""
    rng = np.random.default_rng(4)
    included = in_or_out(rng, 200)
    order = np.argsort(laplace(1.0, rng, included), axis=1)
    sorted_ = np.take_along_axis(included, order, axis=1)
    high, low = sorted_[:, ::-1].cumsum(1), (~sorted_).cumsum(1)
    budgets = np.arange(2, 201, 2)
    refuting = binom.isf(0.05, budgets, 1 / (1 + np.exp(-1))) + 1
    assert all(
        one_run_p_value(1.0, 200, r, v, 0.0) <= 0.05
        for r, v in zip(budgets.tolist(), refuting.astype(int).tolist(), strict=True)
    )
    refuted = (high + low)[:, budgets // 2 - 1] >= refuting
    assert refuted.any(axis=1).sum() > TOLERATED >= refuted.sum(axis=0).max()


def test_one_run_is_tight_on_randomized_response():
    """With many canaries the bound reaches nine tenths of epsilon."""
    rng = np.random.default_rng(5)
    included = rng.random(10_000) < 0.5
    found = one_run(randomized_response(2.0, rng, included), included, 10_000, 0.0)
    assert 1.8 < found.epsilon < 2.0
    assert found.ceiling > 7


@pytest.mark.parametrize("bound", [many_runs, many_runs_gaussian])
def test_bounds_from_many_runs_are_seldom_wrong(bound):
    rng = np.random.default_rng(6)
    mu, runs, delta = 1.0, 200, 1e-5
    truth = epsilon_of(mu, delta)
    fp = (rng.normal(size=(AUDITS, runs)) > mu / 2).sum(1)
    fn = (rng.normal(mu, size=(AUDITS, runs)) < mu / 2).sum(1)
    pairs = {pair: bound(pair[0], runs, pair[1], runs, delta).epsilon for pair in set(zip(fp, fn, strict=True))}
    found = np.array([pairs[pair] for pair in zip(fp, fn, strict=True)])
    assert (found > truth).sum() <= TOLERATED
    assert np.median(found) > 0


def test_knowing_that_noise_is_gaussian_gives_more():
    """100,000 runs of a mechanism with mu = 1, at the threshold of 1/2: FPR = FNR = .3085."""
    errors = 30_854
    plain, gaussian_ = (bound(errors, 100_000, errors, 100_000, 1e-5) for bound in (many_runs, many_runs_gaussian))
    assert plain.epsilon < 0.85 < 0.97 * epsilon_of(1.0, 1e-5) < gaussian_.epsilon < epsilon_of(1.0, 1e-5)


def test_the_limit_of_a_rate():
    for errors, trials in ((0, 20), (3, 20), (19, 20)):
        limit = upper_limit(errors, trials, 0.025)
        assert binom.cdf(errors, trials, limit) == pytest.approx(0.025)
    assert upper_limit(20, 20, 0.025) == 1


@pytest.mark.parametrize("guesses", [0, 4])
def test_more_guesses_than_canaries_are_refused(guesses):
    with pytest.raises(InputError, match="guesses"):
        one_run(np.zeros(3), np.zeros(3, dtype=bool), guesses, 1e-5)


def test_what_is_no_number_is_refused():
    with pytest.raises(InputError, match="not finite"):
        one_run(np.array([0.0, np.nan]), np.zeros(2, dtype=bool), 1, 1e-5)
    with pytest.raises(InputError, match="6 errors in 5 runs"):
        many_runs(6, 5, 0, 5, 1e-5)
