"""How reconstructions are measured: matched one to one, ranked in a pool, and compared by known formulas."""

import numpy as np
import pytest

from auditing.reconstruction.identification import matched, nearest, psnr, ranks, ssim, verbatim
from auditing.reconstruction.measurement import Truth, figures
from auditing.reconstruction.verdict import in_words, succeeded, together

RNG = np.random.default_rng(0)


def test_an_error_of_a_tenth_everywhere_is_twenty_decibels():
    assert psnr(np.array([0.01])).tolist() == pytest.approx([20])
    assert psnr(np.array([0.0])).tolist() == [400]


def test_an_image_is_like_itself():
    image = RNG.random((3, 16, 16))
    assert ssim(image, image) == pytest.approx(1)
    assert ssim(image[:, :8, :8], image[:, :8, :8]) == pytest.approx(1)
    assert ssim(image, 1 - image) < 0.5


def test_the_order_of_what_was_found_changes_nothing():
    true = RNG.random((4, 1, 5, 5))
    found = true + 0.1 * RNG.random(true.shape)
    order = np.array([2, 0, 3, 1])
    one, other = matched(found, true), matched(found[order], true)
    assert sorted(one.errors) == pytest.approx(sorted(other.errors))
    assert {(order[f], t) for f, t in zip(other.found, other.true, strict=True)} == set(
        zip(one.found, one.true, strict=True)
    )


def test_matching_is_one_to_one_and_no_maximum():
    true = np.array([[0.0], [1.0]])
    found = np.array([[0.1], [0.2]])
    assert matched(found, true).errors.tolist() == pytest.approx([0.01, 0.64])


def test_the_right_sample_is_first_in_its_pool_and_what_fits_all_alike_identifies_none():
    pool = RNG.random((20, 9))
    match = matched(pool[[3, 7]] + 1e-3, pool[[3, 7]])
    assert ranks(pool[[3, 7]] + 1e-3, match, pool, np.array([3, 7])).tolist() == [1, 1]
    alike, zero = np.eye(9), np.zeros((1, 9))
    assert ranks(zero, matched(zero, alike[:1]), alike, np.array([0])).tolist() == [9]


def test_a_copy_of_the_right_sample_in_the_pool_does_not_hide_it():
    pool = RNG.random((20, 9))
    pool[11] = pool[3]
    assert ranks(pool[[3]] + 1e-3, matched(pool[[3]] + 1e-3, pool[[3]]), pool, np.array([3])).tolist() == [1]


def test_a_sample_that_the_attacker_had_anyway_is_no_loss():
    samples = RNG.random((8, 9))
    truth = Truth(samples[:2], samples[:4], np.arange(2), samples[[0, 5, 6]], images=False)
    found = figures(truth.measured(samples[:2]), 2)
    assert (found["verbatim"], found["identified"]) == (1, 1)


def job(identified=0, verbatim=0, skill=-1.0, samples=16):
    same = {"identified": 0, "samples": samples}
    return {"identified": identified, "verbatim": verbatim, "beyond_doubt": verbatim, "skill": skill, "pool": 100,
            "samples": samples, "certified": 0, "wrong": same, "psnr": None, "ssim": None, "close": None,
            "close_public": None, "limit": ""}  # fmt: skip


def test_one_victim_whose_sample_is_there_verbatim_is_not_lost_among_many_whose_are_not():
    jobs = [job() for _ in range(7)] + [job(identified=1, verbatim=1, skill=1.0)]
    found = together(jobs, np.random.default_rng(0))
    assert found["skill"] < 0
    assert in_words(found) == "1 of 128 samples identified"


def test_a_few_that_chance_identifies_are_no_success():
    lucky = together([job() for _ in range(7)] + [job(identified=1, skill=0.1)], np.random.default_rng(0))
    assert not succeeded(lucky)
    some = together(
        [job(samples=4) for _ in range(7)] + [job(identified=2, skill=0.1, samples=4)], np.random.default_rng(0)
    )
    assert succeeded(some)
    assert not succeeded(some, tests=10)


def test_a_no_says_what_the_attack_could_not_look_for():
    several = "there were 4 steps, so only the mean of all samples was looked for"
    found = together([job(), job() | {"limit": several}], np.random.default_rng(0))
    assert in_words(found) == f"not inverted: {several}"
    assert in_words(together([job()], np.random.default_rng(0))) == "not inverted"


def test_the_nearest_public_sample_is_the_best_that_there_was():
    public = np.array([[0.0], [0.4], [9.0]])
    assert nearest(np.array([[0.1], [0.0]]), public).tolist() == [[0.0], [0.0]]


def test_verbatim_is_to_the_last_shade():
    image = RNG.random((2, 4))
    assert verbatim(image + np.array([[0.003], [0.005]]), image).tolist() == [True, False]
