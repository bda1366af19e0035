"""The robust membership-inference attack (RMIA, Zarifzadeh et al. 2024, arXiv:2312.03262): pairwise ratios.

Signals are logarithms of the true label's probability. With p the probability in the attacked model and pr that in a
model drawn at random, a candidate x dominates a sample z of the population if
[p(x) / pr(x)] / [p(z) / pr(z)] >= gamma; its score is the share of the population that it dominates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
from pydantic import Field

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Bools, Evidence, Floats
from auditing.attacks.probability_ratio import both_sides, log_mean
from auditing.metrics import aucs
from simulator.core.errors import wrong
from simulator.core.registry import PartSettings, Settings

GRID = tuple(tenth / 10 for tenth in range(11))  # the values of a that are tried, as in the paper
USUAL_A = 0.3  # where no reference trained on some candidates and not on others: the released code's
LogDrawn = Callable[[Floats, Bools], Floats]  # log pr, float64 [N], from signals and membership [M, N]


class RmiaSettings(Settings):
    """What RMIA leaves open.

    Attributes:
        a: how models that train on a sample raise its probability, p_in = a p_out + 1 - a; None: `tuned`.
        gamma: by what factor a candidate's ratio must exceed that of a population sample to dominate it.
    """

    a: float | None = Field(default=None, ge=0, le=1)
    gamma: float = Field(default=1.0, gt=0)


USUAL = RmiaSettings()


def offline(evidence: Evidence, settings: RmiaSettings = USUAL) -> Floats:
    """Share of the population dominated, with pr = ((1 + a) p_out + 1 - a) / 2 for candidates and population alike.

    p_out is the mean over references that did not train on the sample (sec. 3.3); for the population those are all.
    Each node's candidates are compared with a population of that node's mixture of classes. float64 [N], see
    `dominated`.

    Raises:
        InputError: the population has no sample of any class of a node's candidates.
    """
    return _by_node(evidence, lambda own: _offline(own, tuned(own) if settings.a is None else settings.a, settings))


def online(evidence: Evidence, settings: RmiaSettings = USUAL) -> Floats:
    """Share of the population dominated, with pr the mean over references of both sides, half each. float64 [N].

    Both sides are those that trained on the sample and those that did not. No replica trains on the population, so for
    it the mean is over all of them, without the formula of the offline form.
    """
    return _by_node(evidence, lambda own: _score(own, both_sides, settings.gamma))


def tuned(evidence: Evidence) -> float:
    """The a in `GRID` with which the offline attack finds each reference's own members best (ibid., appendix B).

    Each reference is attacked with the others for references. The population plays no part: the score increases with
    the candidate's ratio, and an AUC does not ask how. Of equal mean AUC the smaller a is taken.
    """
    assert evidence.references is not None  # an attack that needs them is refused where there are none
    assert evidence.member_of is not None
    member, numbers = evidence.member_of, np.arange(len(evidence.references))
    targets = numbers[member.any(axis=1) & ~member.all(axis=1)]
    if not len(targets):
        return USUAL_A
    others = (numbers != target for target in targets)
    outside = np.stack([log_mean(evidence.references[rest], ~member[rest]) for rest in others])
    ratios = evidence.references[targets, None] - _raised(outside[:, None], np.array(GRID)[:, None])
    return GRID[int(np.argmax(aucs(ratios, member[targets, None]).mean(axis=0)))]


def dominated(ratio: Floats, others: Floats, weights: Floats, gamma: float) -> Floats:
    """Share of the population that each candidate dominates, plus less than half the smallest step for its own ratio.

    Without the latter, all that dominate everything would share one score, and no threshold could tell them apart: the
    score is an increasing function of the ratio.

    Args:
        ratio: float64 [N], log p / pr of the candidates.
        others: float64 [P], of the population.
        weights: float64 [P], how much each of the population counts; at least one is positive.
        gamma: see `RmiaSettings`.

    Returns:
        float64 [N].
    """
    order = np.argsort(others, kind="stable")
    share = np.append(0.0, np.cumsum(weights[order]) / weights.sum())
    step = weights[weights > 0].min() / weights.sum()
    own = ratio / (1 + np.abs(ratio))  # within (-1, 1) and increasing
    beaten = np.searchsorted(others[order], ratio - np.log(gamma), side="right")
    found: Floats = share[beaten] + step * (1 + own) / 4
    return found


def _by_node(evidence: Evidence, attack: Callable[[Evidence], Floats]) -> Floats:
    found = np.empty(len(evidence.signal))
    for node in np.unique(evidence.node):
        own = evidence.node == node
        found[own] = attack(evidence.at(own))
    return found


def _offline(evidence: Evidence, a: float, settings: RmiaSettings) -> Floats:
    return _score(evidence, partial(_offline_drawn, a=a), settings.gamma)


def _score(evidence: Evidence, drawn: LogDrawn, gamma: float) -> Floats:
    """`dominated` with log pr as ``drawn`` says."""
    usual = evidence.population_references
    assert evidence.references is not None  # an attack that needs them is refused where there are none
    assert evidence.member_of is not None
    assert usual is not None  # provided to attacks that compare with a population and need replicas
    ratio = evidence.signal - drawn(evidence.references, evidence.member_of)
    others = evidence.population - drawn(usual, np.zeros(usual.shape, dtype=np.bool_))
    return dominated(ratio, others, _weights(evidence), gamma)


def _weights(evidence: Evidence) -> Floats:
    """How much each of the population counts, float64 [P]: so that its classes are mixed as the candidates' are."""
    size = 1 + max(evidence.labels.max(), evidence.population_labels.max())
    asked, usual = (np.bincount(labels, minlength=size) for labels in (evidence.labels, evidence.population_labels))
    weights = (asked / np.maximum(usual, 1))[evidence.population_labels]
    if not weights.any():
        what = f"none of the {len(weights)} test samples is of a class that node {evidence.node[0]} holds."
        raise wrong("--attack rmia", what, "Run it again with more test samples (data.test_samples).")
    return weights


def _offline_drawn(values: Floats, member_of: Bools, a: float) -> Floats:
    return _raised(log_mean(values, ~member_of), a)


def _raised(outside: Floats, a: float | Floats) -> Floats:
    """log pr of log p_out: half way from p_out to a p_out + 1 - a; broadcast."""
    with np.errstate(divide="ignore"):  # log 0 where a is 1
        drawn: Floats = np.logaddexp(np.log((1 + a) / 2) + outside, np.log((1 - a) / 2))
    return drawn


class Rmia(Attack):
    """How many of a population the candidate dominates in ratios of probabilities (RMIA, 2024)."""

    class Config(PartSettings):
        """The part of RMIA's settings that the audit hands on."""

        name: str = "rmia"
        rmia: RmiaSettings = USUAL

    config: Config
    needs: ClassVar[frozenset[str]] = frozenset({"classes"})
    replicas: ClassVar[int] = 2
    probability: ClassVar[bool] = True
    population: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Floats:
        """The share of the population that each candidate dominates; see `offline`."""
        return offline(evidence, self.config.rmia)


class RmiaOnline(Rmia):
    """RMIA with references that trained on the candidate as well."""

    class Config(Rmia.Config):
        """The part of RMIA's settings that the audit hands on."""

        name: str = "rmia_online"

    config: Config
    variant: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Floats:
        """The share of the population that each candidate dominates; see `online`."""
        return online(evidence, self.config.rmia)
