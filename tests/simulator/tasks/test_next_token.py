"""Scores of `next_token`: known answers, padding that does not count, and a loss of samples against plain torch."""

from math import e

import pytest
import torch
from reference.tasks import VOCABULARY, drawn
from torch.nn.functional import cross_entropy

from simulator.tasks.next_token import NextToken

TASK = NextToken()


def scored(outputs, targets):
    return TASK.metrics(TASK.statistics(outputs, targets))


def test_a_uniform_model_has_the_vocabulary_as_its_perplexity():
    _, targets, _ = drawn("next_token", 10)

    assert scored(torch.zeros(10, 5, VOCABULARY), targets)["perplexity"] == pytest.approx(VOCABULARY, rel=1e-6)


def test_perplexity_weighs_tokens_alike_and_the_loss_weighs_samples_alike():
    targets = torch.tensor([[0, 0, -100, -100], [0, 0, 0, 0]])
    chance = torch.tensor([e**-1, e**-2])[:, None, None]  # of the right one of two tokens: losses of 1 and 2
    outputs = torch.cat([chance, 1 - chance], dim=2).log().expand(2, 4, 2)

    torch.testing.assert_close(TASK.losses(outputs, targets), torch.tensor([1.0, 2.0]))
    assert scored(outputs, targets)["loss"] == pytest.approx(1.5)
    assert scored(outputs, targets)["perplexity"] == pytest.approx(e ** (10 / 6))


def test_what_stands_at_padding_changes_nothing():
    outputs, targets, _ = drawn("next_token", 12)
    changed = outputs + 9 * torch.randn(outputs.shape) * (targets == -100)[:, :, None]

    assert not torch.equal(outputs, changed)
    assert torch.equal(TASK.losses(outputs, targets), TASK.losses(changed, targets))
    assert torch.equal(TASK.margins(outputs, targets), TASK.margins(changed, targets))
    assert scored(outputs, targets) == scored(changed, targets)


def test_a_sample_without_tokens_has_no_loss_and_no_gradient():
    outputs, targets, _ = drawn("next_token", 3)
    targets[1] = -100
    gradient = torch.func.grad(lambda outputs: TASK.losses(outputs, targets).sum())(outputs)

    assert TASK.losses(outputs, targets)[1] == 0
    assert TASK.margins(outputs, targets)[1] == 0
    assert not gradient[1].any()
    assert gradient.isfinite().all()


def test_no_token_at_all_leaves_the_scores_of_tokens_out():
    sums = TASK.statistics(torch.zeros(2, 3, VOCABULARY), torch.full((2, 3), -100))

    assert TASK.metrics(sums) == {"loss": 0}
    assert TASK.undefined(sums) == dict.fromkeys(("perplexity", "accuracy"), "no sample has a token")


def test_a_perplexity_beyond_all_numbers_is_left_out():
    outputs = torch.tensor([[[0.0, 2000.0]]])
    sums = TASK.statistics(outputs, torch.tensor([[0]]))

    assert TASK.metrics(sums) == {"accuracy": 0, "loss": 2000}
    assert TASK.undefined(sums) == {"perplexity": "it is larger than any float64"}


def test_losses_and_gradients_are_those_of_plain_torch():
    outputs, targets, _ = drawn("next_token", 8)

    def plain(outputs):
        return torch.stack([cross_entropy(each, own) for each, own in zip(outputs, targets, strict=True)])

    torch.testing.assert_close(TASK.losses(outputs, targets), plain(outputs))
    gradient = torch.func.grad(lambda outputs: TASK.losses(outputs, targets).mean())(outputs)
    torch.testing.assert_close(gradient, torch.func.grad(lambda outputs: plain(outputs).mean())(outputs))


def test_accuracy_and_perplexity_are_those_of_torchmetrics(torchmetrics):
    outputs, targets, _ = drawn("next_token", 50)
    found, kind = scored(outputs, targets), {"task": "multiclass", "num_classes": VOCABULARY, "average": "micro"}
    accuracy = torchmetrics.accuracy(outputs.argmax(2), targets, ignore_index=-100, **kind)
    perplexity = torchmetrics.text.perplexity(outputs, targets, ignore_index=-100)

    assert found["accuracy"] == pytest.approx(accuracy.item())
    assert found["perplexity"] == pytest.approx(perplexity.item(), rel=1e-5)


def test_the_margin_is_the_mean_lead_over_the_best_other_token():
    outputs = torch.tensor([[[3.0, 1.0, 0.0], [0.0, 5.0, 1.0], [9.0, 9.0, 0.0]]])

    assert TASK.margins(outputs, torch.tensor([[0, 2, -100]])).tolist() == [(2 - 4) / 2]


def test_the_baseline_is_the_share_of_each_token():
    constant = TASK.baseline(torch.tensor([[1, 1, -100], [0, 1, 2]]), 4)

    torch.testing.assert_close(constant.exp(), torch.tensor([2, 4, 2, 1], dtype=torch.float64) / 9)
