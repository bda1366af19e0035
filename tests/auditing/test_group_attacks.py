"""Groups of samples, such as a patient's: what their samples say together, and how much that varies."""

import numpy as np
import pytest
from scipy.stats import norm

from auditing.attacks.attack import attacks_named
from auditing.attacks.evidence import Evidence
from auditing.metrics import Ranking
from auditing.questions import Questions

OFFLINE, ONLINE = attacks_named(["group_offline", "group_online"]).values()


def evidence(groups, size, gap=0.178, references=64, shared=0.0, seed=0):
    """Signals of variance 1 that training raises by ``gap``, a part ``shared`` of it the same for all of a group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    member, member_of = np.arange(groups) % 2 == 0, rng.random((references, groups)) < 0.5
    hardness = rng.normal(0, 2, groups * size)

    def signal(inside):
        own, common = (rng.normal(size=(*inside.shape[:-1], n)) for n in (groups * size, groups))
        noise = np.sqrt(1 - shared) * own + np.sqrt(shared) * common[..., group]
        return hardness + gap * inside[..., group] + noise

    nothing, none = np.zeros(1), np.zeros(1, np.int64)
    found = Evidence(signal(member), np.zeros_like(group), nothing, none, signal(member_of), member_of[:, group],
                     group=group)  # fmt: skip
    return found, member[group]


def auc_of_groups(attack, found, member):
    asked = Questions.about(found.node, member, found.group)
    return Ranking(asked.scores(attack.judge(found)), asked.member).roc().auc


@pytest.mark.parametrize(("size", "known"), [(25, 0.74), pytest.param(100, 0.90, marks=pytest.mark.slow)])
def test_many_samples_that_tell_little_tell_much_together(size, known):
    found, member = evidence(1_200, size)
    single = Ranking(found.signal - found.outside.mean, member).roc().auc
    assert single == pytest.approx(0.55, abs=0.01)
    assert auc_of_groups(OFFLINE, found, member) == pytest.approx(known, abs=0.03)
    assert known == pytest.approx(norm.cdf(np.sqrt(size) * 0.178 / np.sqrt(2)), abs=0.01)


def test_the_ratio_of_likelihoods_finds_groups_where_references_know_each_samples_gap():
    found, member = evidence(800, 10, gap=0.5, references=256)
    expected = norm.cdf(np.sqrt(10) * 0.5 / np.sqrt(2))
    assert auc_of_groups(ONLINE, found, member) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("attack", [OFFLINE, ONLINE])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_what_a_sum_varies_by_is_that_of_groups_and_not_of_as_many_samples(attack, shared):
    """Samples that resemble each other vary together: from single ones, the spread is 3.6 times too small."""
    found, _ = evidence(600, 25, gap=0.0, shared=shared)
    scores = attack.judge(found)[::25]
    assert scores.mean() == pytest.approx(0, abs=0.15)
    assert scores.std() == pytest.approx(1, abs=0.12)
    alone = (found.signal - found.outside.mean).reshape(-1, 25).sum(1) / np.sqrt(25)
    assert alone.std() > (3 if shared else 0.9)


def test_all_of_a_group_have_its_score_whatever_their_order():
    found, _ = evidence(20, 5)
    order = np.random.default_rng(1).permutation(100)
    shuffled = Evidence(
        found.signal[order], found.labels, found.population, found.population_labels, found.references[:, order],
        found.member_of[:, order], group=found.group[order],
    )  # fmt: skip
    for attack in (OFFLINE, ONLINE):
        scores = attack.judge(found)
        assert np.ptp(scores.reshape(20, 5), axis=1).max() == 0
        np.testing.assert_allclose(attack.judge(shuffled), scores[order])
