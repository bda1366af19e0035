"""Attacks stay in their ball, raise the loss, find the optimum where it is known, and see through quantizers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import nll_loss

from auditing.robustness.apgd import apgd, margin
from auditing.robustness.ascent import a_gd, d_ag, of_mean_softmax, u_gd
from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.ensemble import Ensemble
from auditing.robustness.threats import ATTACKS
from simulator.core.input_transform import InputTransform

BUDGET = PerturbationBudget(eps=8 / 255, steps=20, queries=200)


class Coarse(InputTransform):
    """Two levels."""

    def __call__(self, pixels):
        return 255 * (pixels > 127.5).to(pixels)

    def __str__(self):
        return "coarse"


def weights(seed, classes=3):
    return torch.randn(classes, 16, generator=torch.Generator().manual_seed(seed))


def attacked(name, ensemble, images, budget=BUDGET):
    labels = ensemble.answers(images)
    return labels, ATTACKS[name](ensemble, images, labels, budget, np.random.default_rng(0))


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("eps", [0.0, 0.01, 0.3])
def test_the_ball_is_respected(name, eps, linear, images):
    ensemble = Ensemble([linear(weights(0)), linear(weights(1), Coarse())])
    _, found = attacked(name, ensemble, images, replace(BUDGET, eps=eps, patient=True))

    assert (found - images).abs().max() <= 255 * eps + 1e-4
    assert found.min() >= 0
    assert found.max() <= 255


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_raises_the_loss_and_leaves_the_images_it_was_given(name, linear, images):
    ensemble, before = Ensemble([linear(weights(0)), linear(weights(1))]), images.clone()
    labels, found = attacked(name, ensemble, images, replace(BUDGET, patient=True))

    assert torch.equal(images, before)
    loss = [nll_loss(ensemble.log_probabilities(each), labels) for each in (images, found)]
    assert loss[1] > loss[0]


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - {"square", "mi_fgsm"}))
def test_the_best_attack_on_a_linear_model_is_found(name, linear, images):
    """Of two classes with logits w x and 0 the worst shift is eps sign(w), within black and white."""
    weight = torch.stack([torch.zeros(16), weights(0, 1)[0]])
    ensemble = Ensemble([linear(weight)])
    labels, found = attacked(name, ensemble, images, replace(BUDGET, patient=True))
    sign = (1 - 2 * labels)[:, None, None, None] * weight[1].sign().view(4, 4, 1)

    best = (images + BUDGET.radius * sign).clamp(0, 255)
    torch.testing.assert_close(margin(ensemble, found, labels), margin(ensemble, best, labels), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_square_comes_near_the_best_attack(linear, images):
    weight = torch.stack([torch.zeros(16), weights(0, 1)[0]]) / 50
    ensemble = Ensemble([linear(weight)])
    labels, found = attacked("square", ensemble, images, replace(BUDGET, queries=1000))
    sign = (1 - 2 * labels)[:, None, None, None] * weight[1].sign().view(4, 4, 1)
    best = margin(ensemble, (images + BUDGET.radius * sign).clamp(0, 255), labels)
    lost = best > 0

    assert (~ensemble.right(found, labels))[lost].double().mean() >= 0.9
    assert ensemble.right(found, labels)[~lost].all()


def voters(linear, loud, quiet):
    """One member of class 1 logits ``loud`` x and two of ``quiet`` x (float [4, 4] each), those of class 0 being 0."""
    weights = [torch.stack([torch.zeros(16), each.flatten()]) for each in (loud, quiet, quiet)]
    return Ensemble([linear(weight) for weight in weights], vote=True)


def test_square_goes_on_until_the_vote_is_wrong(linear):
    """The loud member is fooled as it is, and with it the mean softmax; the quiet two by squares, not by stripes."""
    rows = torch.tensor([0.01, 0.01, -0.01, -0.01])[:, None].expand(4, 4)
    ensemble = voters(linear, torch.full((4, 4), 0.01), rows - 1.25e-4)
    images, labels = torch.full((6, 4, 4, 1), 100.0), torch.zeros(6, dtype=torch.int64)

    assert ensemble.right(images, labels).all()
    assert (margin(ensemble, images, labels) > 0).all()
    found = ATTACKS["square"](ensemble, images, labels, BUDGET, np.random.default_rng(0))
    assert not ensemble.right(found, labels).any()


def test_apgd_keeps_a_place_at_which_the_vote_was_wrong(linear):
    """Uphill on the mean softmax the loud member is won and the two others are lost."""
    loud = torch.tensor([[1.0, -1.0]]).repeat(4, 2) * 4e-4
    ensemble = voters(linear, loud, -loud / 4 - 1e-8)
    images, labels = torch.full((20, 4, 4, 1), 100.0), torch.zeros(20, dtype=torch.int64)
    assert ensemble.right(images, labels).all()

    start = BUDGET.anywhere(images, np.random.default_rng(0))
    found = apgd(ensemble, images, labels, BUDGET, np.random.default_rng(0))
    assert 0 < ensemble.right(start, labels).double().mean() < 1
    assert torch.equal(ensemble.right(found, labels), ensemble.right(start, labels))


def test_gradients_that_are_masked_mislead_the_naive_attack_only(linear, images):
    ensemble = Ensemble([linear(weights(0) / 1000, Coarse())])
    gray = images * 0 + 120  # just below the threshold
    labels = ensemble.answers(gray)
    budget = replace(BUDGET, eps=10 / 255, patient=True)

    naive = ATTACKS["fgsm"](replace(ensemble, naive=True), gray, labels, budget, np.random.default_rng(0))
    adaptive = ATTACKS["fgsm"](ensemble, gray, labels, budget, np.random.default_rng(0))

    assert torch.equal(naive, gray)
    assert not torch.equal(adaptive, gray)


def test_directions_of_ensembles_in_closed_form(linear, images):
    """One member's gradient is far larger than the others': it dominates the sum, but not the votes."""
    loud, quiet = weights(0, 2) * 1e-3, weights(1, 2) * 1e-6
    ensemble = Ensemble([linear(loud), linear(quiet), linear(quiet)])
    labels = torch.zeros(len(images), dtype=torch.int64)
    own = [(weight[1] - weight[0]).sign().view(4, 4, 1).expand(len(images), -1, -1, -1) for weight in (loud, quiet)]

    assert torch.equal(d_ag(ensemble, images, labels).sign(), own[0])
    assert torch.equal(a_gd(ensemble, images, labels).sign(), own[1])
    assert torch.equal(u_gd(ensemble, images, labels), own[0] * (own[0] == own[1]))


def test_all_directions_are_the_same_for_one_model(linear, images):
    ensemble, labels = Ensemble([linear(weights(0) / 100)]), torch.zeros(len(images), dtype=torch.int64)
    expected = of_mean_softmax(ensemble, images, labels).sign()

    for ascent in (d_ag, a_gd, u_gd):
        assert torch.equal(ascent(ensemble, images, labels).sign(), expected)


def test_an_image_that_is_lost_is_left_alone_unless_the_attacker_is_patient(linear, images):
    ensemble = Ensemble([linear(weights(0))])
    wrong = (ensemble.answers(images) + 1) % 3

    for name in ("pgd", "apgd", "d_ag"):
        assert torch.equal(ATTACKS[name](ensemble, images, wrong, BUDGET, np.random.default_rng(0)), images)


def test_apgd_is_not_weaker_than_its_start(linear, images):
    ensemble = Ensemble([linear(weights(0) / 100), linear(weights(1) / 100, Coarse())])
    labels = ensemble.answers(images)
    few, many = (
        margin(ensemble, apgd(ensemble, images, labels, replace(BUDGET, steps=steps), np.random.default_rng(0)), labels)
        for steps in (1, 40)
    )

    assert (many >= few - 1e-5).all()


@pytest.mark.parametrize(("vote", "answer"), [(False, 1), (True, 0)])
def test_members_answer_by_mean_softmax_or_by_vote(vote, answer, linear):
    white = torch.full((1, 1, 1, 1), 255.0)
    sure, unsure = torch.tensor([[0.0], [9.0]]), torch.tensor([[0.1], [0.0]])

    assert Ensemble([linear(sure), linear(unsure), linear(unsure)], vote=vote).answers(white).item() == answer


def test_a_tied_vote_goes_to_the_larger_mean(linear):
    white = torch.full((1, 1, 1, 1), 255.0)
    for first in (0, 1):
        sure, unsure = torch.eye(2)[[first]].T * 5, torch.eye(2)[[1 - first]].T * 0.1
        assert Ensemble([linear(sure), linear(unsure)], vote=True).answers(white).item() == first
