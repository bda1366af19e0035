"""Attacks with reference models: closed forms, invariances, and what each may look at."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, spearmanr, t

from auditing.attacks.attack import ATTACKS, attacks_named, lacking, usual_attacks
from auditing.attacks.bavaria import Prior, predictive, usual
from auditing.attacks.evidence import Evidence, References
from auditing.attacks.rmia import GRID, RmiaSettings, tuned
from auditing.memorization.replicated import memorization
from auditing.metrics import Ranking
from simulator.core.errors import InputError

KNOWN = attacks_named(ATTACKS.names())
WITH_REFERENCES = [name for name, attack in KNOWN.items() if attack.replicas]
PROBABILITIES = {name for name, attack in KNOWN.items() if attack.probability}
OFFLINE = ["calibrated", "attack_r", "bavaria_offline", "rmia", "base", "group_offline"]
OFFLINE += [name for name in WITH_REFERENCES if name.startswith("lira_offline")]


def auc(scores, member):
    return Ranking(scores, member).roc().auc


def gaussian(candidates=400, references=64, gap=1.0, seed=0, spread=(0.0, 0.0)):
    """Candidates of different difficulty; log-normal standard deviations with sigma ``spread`` (in, out)."""
    rng = np.random.default_rng(seed)
    outside = rng.normal(-6, 2, candidates)
    sd_in, sd_out = (np.exp(rng.normal(0, s, candidates)) for s in spread)
    member = np.arange(candidates) % 2 == 0
    member_of = rng.random((references, candidates)) < 0.5

    def draw(inside):
        noise = rng.normal(size=inside.shape)
        return outside + np.where(inside, gap + sd_in * noise, sd_out * noise)

    population = rng.normal(-6, 2, 100)
    evidence = Evidence(
        signal=draw(member), labels=np.zeros(candidates, np.int64), population=population,
        population_labels=np.zeros(100, np.int64), references=draw(member_of), member_of=member_of,
        population_references=population + rng.normal(size=(references, 100)),
        features=(outside[:, None] + 6) / 2, population_features=(population[:, None] + 6) / 2,
        group=np.arange(candidates),
    )  # fmt: skip
    return evidence, member, outside, sd_in, sd_out


def test_online_lira_is_the_log_likelihood_ratio_where_it_is_known():
    evidence, _, outside, sd_in, sd_out = gaussian(50, 40_000, spread=(0.3, 0.3))
    known = norm.logpdf(evidence.signal, outside + 1, sd_in) - norm.logpdf(evidence.signal, outside, sd_out)
    np.testing.assert_allclose(KNOWN["lira_online_per_example"].judge(evidence), known, rtol=0.03, atol=0.15)
    above = norm.cdf(evidence.signal, outside, sd_out)
    np.testing.assert_allclose(norm.cdf(KNOWN["lira_offline_per_example"].judge(evidence)), above, atol=0.01)


def test_one_spread_for_all_is_the_log_likelihood_ratio_where_there_is_one():
    evidence, _, outside, *_ = gaussian(400, 4_000)
    known = norm.logpdf(evidence.signal, outside + 1) - norm.logpdf(evidence.signal, outside)
    np.testing.assert_allclose(KNOWN["lira_online_global"].judge(evidence), known, atol=0.3)
    # "fixed" counts what candidates differ by as spread too: sqrt(2^2 + 1^2), in and out alike.
    ratio = KNOWN["lira_online_global"].judge(evidence) / 5
    np.testing.assert_allclose(KNOWN["lira_online_fixed"].judge(evidence), ratio, atol=0.15)


@pytest.mark.slow
def test_references_beat_a_threshold_and_own_spreads_one_for_all():
    evidence, member, *_ = gaussian(2_000, 64, spread=(1.0, 1.0))
    found = {name: auc(KNOWN[name].judge(evidence), member) for name in KNOWN}
    assert found["threshold"] < 0.65
    assert found["calibrated"] > found["threshold"] + 0.05
    assert found["lira_offline_per_example"] > found["threshold"] + 0.05
    assert found["lira_online_per_example"] > found["lira_online_global"] + 0.05
    assert found["curvature_lr"] == pytest.approx(found["lira_online_per_example"], abs=0.005)


@pytest.mark.parametrize("replicas", [16, 64])
def test_few_references_share_one_spread(replicas):
    evidence, *_ = gaussian(50, replicas, spread=(1.0, 1.0))
    spread = "per_example" if replicas >= 64 else "fixed"
    for kind in ("online", "offline"):
        usual, meant = (KNOWN[f"lira_{kind}{suffix}"].judge(evidence) for suffix in ("", f"_{spread}"))
        np.testing.assert_array_equal(usual, meant)


def test_with_many_references_the_prior_of_bavaria_plays_no_part():
    evidence, *_ = gaussian(50, 20_000, spread=(0.3, 0.3))
    for kind in ("online", "offline"):
        lira, bavaria = (KNOWN[name].judge(evidence) for name in (f"lira_{kind}_per_example", f"bavaria_{kind}"))
        expected = lira if kind == "online" else -norm.logsf(lira)
        np.testing.assert_allclose(bavaria, expected, rtol=0.02, atol=0.02)


def test_without_references_bavaria_predicts_by_its_prior_and_without_a_prior_as_the_t_test():
    values = np.array([[1.0, 5.0], [2.0, 7.0], [6.0, 9.0]])
    chosen = np.array([[True, False], [True, False], [True, False]])
    found = predictive(References(values, chosen), Prior(mean=2.0, strength=3.0, shape=4.0, rate=5.0))
    assert found.log_density(np.array([0.0, 1.5]))[1] == t.logpdf(1.5, 8, 2.0, np.sqrt(5 * 4 / (4 * 3)))
    flat = predictive(References(values[:, :1], chosen[:, :1]), Prior(mean=0.0, strength=1e-12, shape=-0.5, rate=0.0))
    expected = t.logpdf(0.0, 2, 3.0, np.sqrt(values[:, 0].var(ddof=1) * (1 + 1 / 3)))
    assert flat.log_density(np.zeros(1))[0] == pytest.approx(expected)


def test_the_prior_is_the_one_that_drew_the_candidates():
    rng = np.random.default_rng(0)
    variance = 3.0 / rng.gamma(5.0, size=20_000)  # inverse gamma of shape 5 and rate 3, mean 0.75
    mean = rng.normal(-6, np.sqrt(variance / 0.2))
    values = rng.normal(mean, np.sqrt(variance), (6, 20_000))
    found = usual(References(values, rng.random(values.shape) < 0.7))
    assert (found.mean, found.strength) == pytest.approx((-6, 0.2), abs=0.03)
    assert (found.shape, found.rate) == pytest.approx((5, 3), rel=0.15)


def test_with_few_references_bavaria_beats_all_spreads_of_lira():
    names = ("bavaria_online", *(name for name in KNOWN if name.startswith("lira_online")))
    found = np.zeros(len(names))
    for seed in range(5):
        evidence, member, *_ = gaussian(4_000, 8, spread=(0.7, 0.7), seed=seed)
        found += [auc(KNOWN[name].judge(evidence), member) / 5 for name in names]
    assert found[0] > found[1:].max() + 0.005


def test_base_orders_candidates_as_rmia_does_without_its_ties():
    evidence, *_ = gaussian(500, 16, gap=2.0)
    evidence = replace(evidence, population=evidence.population - 2)
    score, ratio = (KNOWN[name].judge(evidence) for name in ("rmia_online", "base_online"))
    assert spearmanr(score, ratio).statistic == pytest.approx(1, abs=1e-12)
    assert len(np.unique(ratio)) == 500
    p_in, p_out = (np.exp(side.values).mean(0, where=side.chosen) for side in (evidence.inside, evidence.outside))
    np.testing.assert_allclose(ratio, evidence.signal - np.log((p_in + p_out) / 2))
    np.testing.assert_allclose(KNOWN["base"].judge(evidence), evidence.signal - 0.33 * np.log(p_out))


@pytest.mark.parametrize("name", sorted({*WITH_REFERENCES} - PROBABILITIES))
def test_neither_the_order_of_references_nor_the_scale_of_the_signal_matters(name):
    evidence, *_ = gaussian(60, 20)
    order = np.random.default_rng(1).permutation(20)
    shuffled = replace(evidence, references=evidence.references[order], member_of=evidence.member_of[order])
    np.testing.assert_allclose(KNOWN[name].judge(shuffled), KNOWN[name].judge(evidence))
    scaled = replace(evidence, signal=3 * evidence.signal - 2, references=3 * evidence.references - 2)
    ranks = [np.argsort(np.argsort(KNOWN[name].judge(each))) for each in (evidence, scaled)]
    if not name.endswith("released") and name != "curvature_lr":  # which do depend on the unit; LR by its guard
        np.testing.assert_array_equal(*ranks)


@pytest.mark.parametrize("name", OFFLINE)
def test_offline_attacks_do_not_look_at_models_that_trained_on_the_candidate(name):
    attacks = attacks_named(
        ATTACKS.names(), rmia=RmiaSettings(a=0.3)
    )  # tuning it does look at what references know of their own members
    evidence, *_ = gaussian(60, 20)
    other = np.where(evidence.member_of, 99.0, evidence.references)
    blinded = replace(evidence, references=other)
    np.testing.assert_array_equal(attacks[name].judge(blinded), attacks[name].judge(evidence))


@pytest.mark.parametrize("name", WITH_REFERENCES)
def test_signals_that_know_nothing_give_chance(name):
    evidence, member, *_ = gaussian(4_000, 16, gap=0.0)
    assert auc(KNOWN[name].judge(evidence), member) == pytest.approx(0.5, abs=0.035)


def test_released_statistics_are_the_formulas_with_variances_for_standard_deviations():
    evidence, *_ = gaussian(80, 30, spread=(0.2, 0.2))
    s, rows = evidence.signal, np.where(evidence.member_of, evidence.references, np.nan)
    mu_in, var_in = np.nanmean(rows, 0), np.nanvar(rows, 0)
    rows = np.where(evidence.member_of, np.nan, evidence.references)
    mu_out, var_out = np.nanmean(rows, 0), np.nanvar(rows, 0)
    nll = ((s - mu_out) ** 2 - (s - mu_in) ** 2) / (2 * var_in**2)
    np.testing.assert_allclose(KNOWN["curvature_nll_released"].judge(evidence), nll)
    np.testing.assert_allclose(KNOWN["curvature_nll"].judge(evidence), nll * var_in)
    lr = norm.pdf(s, mu_in, var_in) / (norm.pdf(s, mu_out, var_out) + 1e-22)
    np.testing.assert_allclose(np.exp(KNOWN["curvature_lr_released"].judge(evidence)), lr)
    lr = norm.pdf(s, mu_in, np.sqrt(var_in)) / (norm.pdf(s, mu_out, np.sqrt(var_out)) + 1e-22)
    np.testing.assert_allclose(np.exp(KNOWN["curvature_lr"].judge(evidence)), lr)


def test_attack_r_and_calibration_by_hand():
    references = np.array([[1.0, 5.0], [2.0, 6.0], [4.0, 9.0]])
    member_of = np.array([[False, True], [False, False], [True, False]])
    two, one = np.array([3.0, 7.0]), np.zeros(2, np.int64)
    evidence = Evidence(two, one, two, one, references, member_of)
    assert KNOWN["calibrated"].judge(evidence).tolist() == [3 - 1.5, 7 - 7.5]
    np.testing.assert_allclose(KNOWN["attack_r"].judge(evidence), [3 - 2, 7 - 9], atol=1e-3)
    assert References(references, ~member_of).quantile(0.5).tolist() == [1.5, 7.5]


@pytest.mark.parametrize(("a", "gamma"), [(0.3, 1.0), (0.0, 1.0), (1.0, 1.2), (0.6, 0.8)])
def test_rmia_by_its_definition(a, gamma):
    evidence, *_ = gaussian(40, 12)
    attacks = attacks_named(ATTACKS.names(), rmia=RmiaSettings(a=a, gamma=gamma))
    p = {k: np.exp(getattr(evidence, k)) for k in ("signal", "references", "population", "population_references")}
    for name in ("rmia", "rmia_online"):
        expected, usual = [], p["population_references"].mean(0)
        for n in range(40):
            inside = evidence.member_of[:, n]
            out = p["references"][~inside, n].mean()
            drawn = ((1 + a) * out + 1 - a) / 2 if name == "rmia" else (out + p["references"][inside, n].mean()) / 2
            others = p["population"] / (((1 + a) * usual + 1 - a) / 2 if name == "rmia" else usual)
            expected.append(np.mean(p["signal"][n] / drawn / others >= gamma))
        above = attacks[name].judge(evidence) - expected
        assert ((above > 0) & (above < 0.5 / 100)).all()  # half of what one of the population counts


def test_rmia_orders_candidates_by_their_own_ratio_where_all_dominate_the_population():
    evidence, member, *_ = gaussian(4_000, 16, gap=3.0)
    few = replace(
        evidence, population=evidence.population[:5] - 3, population_labels=np.zeros(5, np.int64),
        population_references=evidence.population_references[:, :5],
    )  # fmt: skip
    many = attacks_named(["rmia"], rmia=RmiaSettings(a=0.3))["rmia"].judge(evidence)
    scores = attacks_named(["rmia"], rmia=RmiaSettings(a=0.3))["rmia"].judge(few)
    assert (scores > 1).sum() > 0.2 * len(scores)  # dominate all five
    assert len(np.unique(scores)) == len(scores)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(many))
    assert Ranking(scores, member).roc().tpr_at(0.001) > 0


def test_the_a_of_rmia_that_is_tuned_is_the_one_that_made_the_references():
    rng = np.random.default_rng(0)
    outside = rng.uniform(0.02, 0.95, 2_000)
    member_of, member = rng.random((8, 2_000)) < 0.5, np.arange(2_000) % 2 == 0
    for a in (0.2, 0.8):

        def model(inside, a=a):
            p = np.where(inside, a * outside + 1 - a, outside)
            return np.log(p) + rng.normal(0, 0.15, inside.shape)

        references, signal, usual = model(member_of), model(member), model(np.zeros((9, 2_000), bool))
        labels = np.zeros(2_000, np.int64)
        evidence = Evidence(signal, labels, usual[0], labels, references, member_of, usual[1:])
        found = {
            each: auc(attacks_named(["rmia"], rmia=RmiaSettings(a=each))["rmia"].judge(evidence), member)
            for each in GRID
        }
        assert found[tuned(evidence)] > max(found.values()) - 0.003
        assert auc(KNOWN["rmia"].judge(evidence), member) == found[tuned(evidence)]


def test_each_node_has_a_population_of_its_own_mixture_of_classes():
    """Two nodes with a class each: alone, or together in one view, their candidates get the same scores."""
    evidence, *_ = gaussian(40, 12)
    node, population_labels = np.arange(40) // 20, np.arange(100) % 2
    shift = np.where(population_labels == 1, -3.0, 0.0)  # the second class is harder
    both = replace(
        evidence, labels=node, node=node, population_labels=population_labels, population=evidence.population + shift,
        population_references=evidence.population_references + shift,
    )  # fmt: skip
    for name in ("rmia", "rmia_online"):
        scores = KNOWN[name].judge(both)
        for each in range(2):
            mine = population_labels == each
            alone = replace(
                both.at(node == each), population=both.population[mine], population_labels=np.full(50, each),
                population_references=both.population_references[:, mine],
            )  # fmt: skip
            np.testing.assert_allclose(scores[node == each], KNOWN[name].judge(alone))
    lacking = replace(both, population_labels=np.full(100, 7))
    with pytest.raises(InputError, match="none of the 100 test samples is of a class that node 0 holds"):
        KNOWN["rmia"].judge(lacking)


def test_probabilities_too_small_for_a_float_still_have_ratios():
    evidence, *_ = gaussian(40, 12)
    tiny = replace(evidence, **{k: getattr(evidence, k) - 2_000 for k in ("signal", "references", "population",
                                                                          "population_references")})  # fmt: skip
    for name in ("rmia", "rmia_online"):
        attack = attacks_named([name], rmia=RmiaSettings(a=1.0))[name]
        np.testing.assert_allclose(attack.judge(tiny), attack.judge(evidence), atol=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("field", "place", "what"),
    [
        ("signal", 3, "candidate 3 has the signal .* in the attacked model"),
        ("references", (2, 5), "candidate 5 has the signal .* in reference 2"),
        ("population", 7, "population sample 7 .* in the attacked model"),
        ("population_references", (1, 0), "population sample 0 .* in reference 1"),
    ],
)
def test_a_signal_that_is_no_number_is_refused_with_its_sample_and_model(field, place, what, value):
    evidence, *_ = gaussian(10, 4)
    values = getattr(evidence, field).copy()
    values[place] = value
    with pytest.raises(InputError, match=what):
        replace(evidence, **{field: values})


@pytest.mark.parametrize("name", WITH_REFERENCES)
def test_references_that_agree_or_are_missing_give_finite_scores(name):
    evidence, *_ = gaussian(40, 6)
    references, member_of = evidence.references.copy(), evidence.member_of.copy()
    references[:, 0] = 3.0  # no spread at all
    member_of[:, 1], member_of[:, 2] = True, False  # one side empty
    member_of[:, 3] = np.arange(6) == 0  # one reference on a side
    odd = replace(evidence, references=references, member_of=member_of)
    assert np.isfinite(KNOWN[name].judge(odd)).all()
    constant = replace(evidence, references=np.full_like(references, -1.0), signal=np.full(40, -1.0))
    assert np.ptp(KNOWN[name].judge(constant)) < 1e-5


@pytest.mark.parametrize(
    ("attacks", "signals", "replicas", "where", "advice"),
    [
        (("lira_online",), ("loss",), 0, "--attack", "at least 2 replicas, and there are to be 0"),
        (("curvature_nll",), ("loss",), 1, "--attack", "--replicas 16"),
        (("rmia",), ("logit_margin",), 4, "--attack", "--signal loss"),
        (("threshold",), ("loss",), 4, "--replicas", "compares with none"),
    ],
)
def test_attacks_that_lack_something_are_refused(attacks, signals, replicas, where, advice):
    (problem,) = lacking(attacks, signals, replicas)
    assert problem.where == where
    assert advice in str(problem)


def test_by_default_whatever_can_be_done_is():
    assert usual_attacks(0) == ("threshold", "class_threshold")
    assert {"lira_online", "rmia", "curvature_nll"} < set(usual_attacks(2))
    assert not any(KNOWN[name].variant for name in usual_attacks(2))


def test_memorization_is_the_difference_that_training_on_a_sample_makes():
    correct = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 1, 1]], dtype=bool)
    member_of = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 1, 1]], dtype=bool)
    np.testing.assert_array_equal(memorization(correct, member_of), [1, 0.5, np.nan])


def test_an_attack_is_not_blamed_for_signals_that_were_refused():
    assert not list(lacking(["threshold"], [], 0))
    (problem,) = lacking(["rmia"], ["gradient_norm"], 4)
    assert "none of the signals is one" in problem.what
