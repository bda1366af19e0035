"""What audits say to readers who do not know their measures, and when they say that it is nothing."""

import pytest

from auditing.class_shares.meaning import meaning as of_class_shares
from auditing.membership.meaning import meaning as of_membership
from auditing.network_privacy.meaning import meaning as of_network_privacy
from auditing.plain_words import odds, picks
from auditing.privacy.meaning import meaning as of_privacy

CHECK = {"loss": {"value": 0.5, "low": 0.45, "high": 0.55, "passed": True}}


def estimate(value, low, high):
    return {"value": value, "low": low, "high": high}


def audited(near, far, **changes):
    """A result by one attack from two views."""
    rate = estimate(0.08, 0.05, 0.1)
    views = {
        name: {"auc": auc, "tpr_at_0.01": rate, "tpr_at_0.001": None}
        for name, auc in {"near": near, "far": far}.items()
    }
    return {
        "strongest": "loss, threshold",
        "attacks": {"loss, threshold": views},
        "views": {"near": "a neighbour", "far": "a stranger"},
        "non_members": 250,
        "gaps": [0.1, 0.2],
        "gap": "accuracy on members less that on non-members",
        "check": CHECK,
        "unseen": [],
    } | changes


def test_an_auc_is_told_as_what_it_is():
    assert picks(0.724) == "in 72 of 100 cases, where guessing is right in 50"


@pytest.mark.parametrize(("epsilon", "told"), [(0.0, "1.00-fold"), (1.0, "2.72-fold"), (30.0, "no limit")])
def test_an_epsilon_is_told_as_odds(epsilon, told):
    assert told in odds(epsilon)


def test_membership_speaks_of_the_view_from_which_most_is_seen():
    result = audited(estimate(0.6, 0.55, 0.65), estimate(0.7, 0.66, 0.74))
    told = of_membership(result)
    assert told.told.startswith("A stranger. ")
    assert "is right about which is which in 70 of 100 cases" in told.told
    assert "Something is seen from 1 of 1 other views, too." in told.told
    assert "Accusing 10 in 1,000 non-members wrongly, it finds 8.0% of the members; guessing finds 1.0%." in told.told
    assert "0.660 to 0.740 (95 % interval)" in told.certainty
    assert "as it must be" in told.certainty
    assert "one in 250" in told.unseen
    assert "15.0 percentage points" in told.remedies


def test_membership_says_when_it_is_guesswork_and_when_its_check_has_failed():
    guessing = estimate(0.52, 0.47, 0.57)
    failed = {"loss": CHECK["loss"] | {"passed": False}}
    told = of_membership(audited(guessing, guessing, check=failed))
    assert "only guesses which is which" in told.told
    assert "Beware" in told.certainty
    assert "finds" not in told.told


def test_class_shares_are_beside_guessing():
    told = of_class_shares({"truth": [0] * 4}, {"nothing": 0.25, "mean model": 0.25, "update": 0.75}).told
    assert "hears a node's update names the class that the node has most of for 75.0% of the nodes" in told
    assert "is right for 25.0%." in told
    assert "which is no less" in of_class_shares({"truth": [0] * 4}, {"nothing": 0.25, "update": 0.25}).told
    assert of_class_shares({"truth": [0] * 4}, {"nothing": 0.25}).told.startswith("Nobody")


def test_network_privacy_says_whether_the_noise_was_there():
    result = {
        "by_distance": [{"distance": 1, "largest": 2.0}, {"distance": 3, "largest": 0.5}],
        "all_messages": 4.0,
        "settings": {"delta": 1e-5, "relation": "replace"},
        "block": 0,
        "noise": {"source": ""},
    }
    told = of_network_privacy(result)
    assert "what a node contributes, over all rounds, is limited by epsilon 2.00, so that no odds" in told.told
    assert "7.39-fold" in told.told
    assert "At distance 3 the limit is 0.500" in told.told
    assert "this run trained without noise" in told.certainty
    assert "without noise" not in of_network_privacy(result | {"noise": {"source": "dp_sgd"}}).certainty


@pytest.mark.parametrize(("claim", "said"), [(8.0, "The promise stands."), (1.0, "So a promise is broken.")])
def test_a_promise_is_held_against_what_was_shown(claim, said):
    pooled = {"epsilon": 2.0, "ceiling": 5.0, "correct": 40, "guesses": 50}
    result = {
        "attacks": {"all messages": {"nodes": [{"epsilon": 0.5}], "pooled": pooled}},
        "settings": {"confidence": 0.95},
        "recorded": {"rounds": 3, "of": 10},
    }
    told = of_privacy(result, [claim, claim])
    assert told.told.endswith(said)
    assert "guessed 40 of 50 times rightly" in told.told
    assert "with a probability of 0.05 at most" in told.certainty
    assert "above 5.00" in told.unseen
    assert "(3 of 10 were)" in told.unseen
