"""How reconstructions are measured: matched one to one, ranked in a pool, and compared by known formulas."""

import numpy as np
import pytest

from auditing.reconstruction.identification import matched, nearest, psnr, ranks, ssim, verbatim

RNG = np.random.default_rng(0)


def test_an_error_of_a_tenth_everywhere_is_twenty_decibels():
    assert psnr(np.array([0.01])).tolist() == pytest.approx([20])
    assert psnr(np.array([0.0])).tolist() == [np.inf]


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
    alike = np.zeros((20, 9))
    assert ranks(np.ones((1, 9)), matched(np.ones((1, 9)), alike[:1]), alike, np.array([0])).tolist() == [20]


def test_the_nearest_public_sample_is_the_best_that_there_was():
    public = np.array([[0.0], [0.4], [9.0]])
    assert nearest(np.array([[0.1], [0.0]]), public).tolist() == [[0.0], [0.0]]


def test_verbatim_is_to_the_last_shade():
    image = RNG.random((2, 4))
    assert verbatim(image + np.array([[0.003], [0.005]]), image).tolist() == [True, False]
