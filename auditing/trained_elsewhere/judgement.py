"""Each model in turn is the target, and the others are the references that attacks compare with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.attacks.attack import ATTACKS, Attack, usual_attacks
from auditing.attacks.evidence import Evidence
from auditing.attacks.signal import SIGNALS
from auditing.fitting import told, unfit
from auditing.trained_elsewhere.measurement import Measured
from simulator.core.errors import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
USUAL_SIGNALS = ("loss", "logit_margin", "modified_entropy")


@dataclass(frozen=True)
class Chosen:
    """What is carried out of all that could be.

    Attributes:
        attacks: names of attacks.
        signals: names of signals.
        notes: what was left out, a sentence each.
    """

    attacks: Sequence[str]
    signals: Sequence[str]
    notes: Sequence[str]


def chosen(
    attacks: Sequence[str],
    signals: Sequence[str],
    offers: frozenset[str],
    references: int,
    population: bool,
    groups: bool,
) -> tuple[Chosen, list[Problem]]:
    """What of ``attacks`` and ``signals`` suits the data; the second is what was named and does not.

    Args:
        attacks: names; none: the usual ones.
        signals: names; none: the usual ones.
        offers: of samples and task, by names in `simulator.core.traits.NEEDS`.
        references: how many models there are beside each target.
        population: whether there are samples that no model trained on.
        groups: whether samples come in groups.
    """
    asked, judged = attacks or usual_attacks(references), signals or USUAL_SIGNALS
    without = unfit("--signal", SIGNALS, judged, offers)
    left = [name for name in judged if name not in without]
    found = dict(_lacking(asked, left, references, population, groups)) | unfit("--attack", ATTACKS, asked, offers)
    named = (found if attacks else {}) | (without if signals else {})
    left_out = [each for name, each in (without | found).items() if name not in named]
    return Chosen([name for name in asked if name not in found], left, told(left_out)), list(named.values())


def _lacking(
    attacks: Sequence[str], signals: Sequence[str], references: int, population: bool, groups: bool
) -> Iterator[tuple[str, Problem]]:
    """Attacks by name, and what keeps each from being carried out."""
    judged = [SIGNALS.load(name) for name in signals]
    for name in attacks:
        kind = ATTACKS.load(name)
        if references < kind.replicas:
            what = f"{name} needs at least {kind.replicas} models beside its target, and there are {references}."
            yield name, Problem("--attack", what, "Give more models, or ask for threshold.")
        if kind.groups and not groups:
            what = f"{name} asks about groups, and these samples come in none."
            yield name, Problem("--attack", what, "Put group, int64 [samples], into the data.")
        if kind.population and not population:
            what = f"{name} compares with samples that no model trained on, and there are none."
            yield name, Problem("--attack", what, "Put x_test and y_test into the data.")
        if judged and not any(kind.judges(signal) for signal in judged):
            what = f"{name} compares probabilities, and none of the signals is one."
            yield name, Problem("--attack", what, "Ask for --signal loss as well.")


def judged(
    signal: str,
    attack: Attack,
    measured: Measured,
    members: NDArray[np.bool_],
    labels: Ints,
    test_labels: Ints,
    beside: Mapping[str, Any],
) -> Floats:
    """How sure ``attack`` is that each model was trained on each sample, float64 [N, M].

    Args:
        signal: by what it judges.
        attack: that is carried out.
        measured: has the signal.
        members: bool [N, M], who trained on what.
        labels: int64 [M], classes; 0 of all where there are none.
        test_labels: int64 [P], likewise.
        beside: what else `Evidence` has of samples, by its name there.
    """
    values, usual = measured.samples[signal], measured.test.get(signal, np.empty((len(members), 0)))
    evidence = (_evidence(each, values, usual, members, labels, test_labels) for each in range(len(members)))
    return np.stack([attack.judge(replace(each, **beside)) for each in evidence])


def _evidence(
    target: int, values: Floats, usual: Floats, members: NDArray[np.bool_], labels: Ints, test_labels: Ints
) -> Evidence:
    rest = np.arange(len(members)) != target
    return Evidence(
        signal=values[target],
        labels=labels,
        population=usual[target],
        population_labels=test_labels,
        references=values[rest],
        member_of=members[rest],
        population_references=usual[rest],
    )


def combinations(choice: Chosen, attacks: Mapping[str, Attack]) -> Iterator[tuple[str, str]]:
    """Signals and attacks that go together, by name."""
    for signal in choice.signals:
        for name, attack in attacks.items():
            if attack.judges(SIGNALS.load(signal)):
                yield signal, name
