"""Scores of `binary` and `multilabel` against scikit-learn and torchmetrics, and what is left out of them."""

import numpy as np
import pytest
import torch
from reference.tasks import drawn
from sklearn import metrics as sklearn

from simulator.core.task import added_up
from simulator.tasks.binary import Binary
from simulator.tasks.multilabel import Multilabel


def binary(logits, targets):
    return Binary().statistics(torch.tensor(logits)[:, None], torch.tensor(targets))


def log_odds(chances):
    return torch.tensor(chances).logit().tolist()


def test_the_textbook_example():
    found = Binary().metrics(binary(log_odds([0.1, 0.4, 0.35, 0.8]), [0, 0, 1, 1]))

    assert found["auroc"] == 0.75
    assert found["average_precision"] == pytest.approx(5 / 6)


def test_binary_scores_are_those_of_scikit_learn():
    logits, targets, _ = drawn("binary", 400)
    found = Binary().metrics(Binary().statistics(logits, targets))
    y, chances = targets.numpy(), logits[:, 0].double().sigmoid().numpy()
    share, confidence = sklearn_calibration(y, chances)

    assert found["auroc"] == pytest.approx(sklearn.roc_auc_score(y, chances), abs=1e-4)
    assert found["average_precision"] == pytest.approx(sklearn.average_precision_score(y, chances), abs=1e-4)
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(y, chances > 0.5))
    assert found["f1"] == pytest.approx(sklearn.f1_score(y, chances > 0.5))
    assert found["brier"] == pytest.approx(sklearn.brier_score_loss(y, chances))
    assert found["loss"] == pytest.approx(sklearn.log_loss(y, chances))
    assert found["calibration"] == pytest.approx(np.abs(share - confidence).sum())


def sklearn_calibration(y, chances):
    """Mean outcome and mean probability of 15 bins, each times the share of samples in it."""
    from sklearn.calibration import calibration_curve

    share, confidence = calibration_curve(y, chances, n_bins=15)
    sizes = np.histogram(chances, bins=15, range=(0, 1))[0]
    weights = sizes[sizes > 0] / len(y)
    return share * weights, confidence * weights


def test_binary_scores_are_those_of_torchmetrics(torchmetrics):
    oracle = torchmetrics.classification
    logits, targets, _ = drawn("binary", 400)
    found = Binary().metrics(Binary().statistics(logits, targets))
    chances = logits[:, 0].double().sigmoid()

    assert found["auroc"] == pytest.approx(oracle.binary_auroc(chances, targets).item(), abs=1e-4)
    assert found["calibration"] == pytest.approx(oracle.binary_calibration_error(chances, targets).item(), abs=1e-6)


def test_multilabel_scores_are_means_over_labels():
    logits, targets, _ = drawn("multilabel", 400)
    found = Multilabel().metrics(Multilabel().statistics(logits, targets))
    y, chances = targets.numpy(), logits.double().sigmoid().numpy()

    assert found["auroc"] == pytest.approx(sklearn.roc_auc_score(y, chances, average="macro"), abs=1e-4)
    expected = sklearn.average_precision_score(y, chances, average="macro")
    assert found["average_precision"] == pytest.approx(expected, abs=1e-4)
    assert found["f1"] == pytest.approx(sklearn.f1_score(y, chances > 0.5, average="macro"))
    assert found["accuracy"] == pytest.approx((y == (chances > 0.5)).mean())
    singles = [Binary().metrics(Binary().statistics(logits[:, k : k + 1], targets[:, k])) for k in range(3)]
    for name in Binary.scores:
        assert found[name] == pytest.approx(np.mean([single[name] for single in singles]))


def test_sites_that_each_tell_their_own_apart_need_not_do_so_together():
    one = binary([-1.0, -0.5, 0.5, 1.0], [0, 0, 1, 1])
    other = binary([9.0, 9.5, 10.5, 11.0], [0, 0, 1, 1])

    assert Binary().metrics(one)["auroc"] == Binary().metrics(other)["auroc"] == 1
    assert Binary().metrics(added_up(one, other))["auroc"] == 0.75  # 12 of 16 pairs


@pytest.mark.parametrize("label", [0, 1])
def test_samples_of_one_class_have_no_curve_and_it_is_said_why(label):
    sums = binary([0.3, -0.2, 2.0], [label] * 3)
    found, why = Binary().metrics(sums), Binary().undefined(sums, ("well", "ill"))

    assert set(why) == {"auroc", "average_precision"}
    assert set(found) == set(Binary.scores) - set(why)
    assert set(why.values()) == {f"no sample has the label {'ill' if label == 0 else 'well'}"}
    assert set(Binary().undefined(sums).values()) == {f"no sample has the label {1 - label}"}


def test_f1_is_undefined_where_a_label_is_neither_there_nor_predicted():
    sums = binary([-1.0, -2.0], [0, 0])

    assert "f1" not in Binary().metrics(sums)
    assert Binary().undefined(sums)["f1"] == "no sample has the label 1"


def test_a_label_of_one_kind_is_left_out_of_means_by_name():
    logits, targets, names = drawn("multilabel", 50)
    targets[:, 1], targets[:, 2] = 1, 0
    sums = Multilabel().statistics(logits, targets)
    why = Multilabel().undefined(sums, names)

    alone = Binary().metrics(Binary().statistics(logits[:, :1], targets[:, 0]))["auroc"]
    assert Multilabel().metrics(sums)["auroc"] == pytest.approx(alone)
    assert why["auroc/fever"] == "every sample has it"
    assert why["auroc/rash"] == why["average_precision/rash"] == "no sample has it"
    assert "auroc/1" in Multilabel().undefined(sums)
    assert not {"auroc", "auroc/cough"} & set(why)


def test_a_mean_over_no_label_is_undefined():
    sums = Multilabel().statistics(torch.zeros(4, 2), torch.ones(4, 2))

    assert "auroc" not in Multilabel().metrics(sums)
    assert Multilabel().undefined(sums)["auroc"] == "it is undefined for every label"


def test_the_gradient_is_that_of_the_sigmoid():
    logits, targets, _ = drawn("multilabel", 20)
    gradient = torch.func.grad(lambda logits: Multilabel().losses(logits, targets).sum())(logits)

    torch.testing.assert_close(gradient, (logits.sigmoid() - targets) / 3)


def test_margins_are_logits_signed_by_the_label():
    assert Binary().margins(torch.tensor([[2.0], [3.0]]), torch.tensor([1, 0])).tolist() == [2, -3]
    assert Multilabel().margins(torch.tensor([[2.0, 3.0]]), torch.tensor([[1, 0]])).tolist() == [-0.5]


def test_the_baseline_is_chance_and_prevalence():
    _, targets, _ = drawn("binary", 100)
    constant = Binary().baseline(targets, 1).expand(100, 1)
    found = Binary().metrics(Binary().statistics(constant, targets))

    assert found["auroc"] == 0.5
    assert found["average_precision"] == pytest.approx(targets.double().mean().item())
