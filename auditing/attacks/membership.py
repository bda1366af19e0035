"""The attacks by name: from a signal of a sample to how sure the attacker is that it was trained on.

What an attack does not say of signals it can do with any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from auditing.attacks import calibration, likelihood, lira, rmia
from auditing.attacks.evidence import Evidence, Floats, Spread
from auditing.attacks.rmia import RmiaSettings
from auditing.attacks.signals import SIGNALS
from auditing.attacks.threshold import class_threshold, threshold
from simulator.core.errors import did_you_mean, wrong

SPREADS: tuple[Spread, ...] = ("per_example", "global", "fixed")


@dataclass(frozen=True)
class Attack:
    """An attack, and what it needs.

    Attributes:
        judge: from evidence against one model to scores, float64 [N], high for members.
        replicas: how many reference networks it needs at least.
        probability: whether it judges probabilities only (see `Signal.log_probability`), and in comparison with a
            population.
        variant: whether it is for comparison with another, and carried out only when it is asked for.
    """

    judge: Callable[[Evidence], Floats]
    replicas: int = 0
    probability: bool = False
    variant: bool = False

    def __call__(self, evidence: Evidence) -> Floats:
        """Carry it out."""
        return self.judge(evidence)

    def judges(self, signal: str) -> bool:
        """Whether it can do with the signal of that name."""
        return SIGNALS[signal].log_probability or not self.probability


ATTACKS: Mapping[str, Attack] = {
    "threshold": Attack(threshold),
    "class_threshold": Attack(class_threshold),
    "calibrated": Attack(calibration.calibrated, replicas=2),
    "attack_r": Attack(calibration.attack_r, replicas=2),
    "lira_offline": Attack(lira.offline, replicas=2),
    "lira_online": Attack(lira.online, replicas=2),
    **{f"lira_offline_{s}": Attack(partial(lira.offline, spread=s), 2, variant=True) for s in SPREADS},
    **{f"lira_online_{s}": Attack(partial(lira.online, spread=s), 2, variant=True) for s in SPREADS},
    "rmia": Attack(rmia.offline, replicas=2, probability=True),
    "rmia_online": Attack(rmia.online, replicas=2, probability=True, variant=True),
    "curvature_nll": Attack(likelihood.nll, replicas=2),
    "curvature_nll_released": Attack(partial(likelihood.nll, released=True), 2, variant=True),
    "curvature_lr": Attack(likelihood.lr, replicas=2),
    "curvature_lr_released": Attack(partial(likelihood.lr, released=True), 2, variant=True),
}


def attacks_with(settings: RmiaSettings) -> Mapping[str, Attack]:
    """`ATTACKS`, with what RMIA leaves open."""
    settled = {"rmia": partial(rmia.offline, settings=settings), "rmia_online": partial(rmia.online, settings=settings)}
    return {**ATTACKS, **{name: replace(ATTACKS[name], judge=judge) for name, judge in settled.items()}}


def chosen(asked: Sequence[str], signals: Sequence[str], replicas: int) -> tuple[str, ...]:
    """The attacks ``asked`` for; if none, all that can be carried out and are no mere variants.

    Raises:
        InputError: an attack is unknown, needs more replicas, or can do with none of ``signals``.
    """
    for name in asked:
        if name not in ATTACKS:
            raise wrong("--attack", f"unknown name '{name}'.", did_you_mean(name, list(ATTACKS), "attacks"))
        if replicas < ATTACKS[name].replicas:
            what = f"{name} needs at least {ATTACKS[name].replicas} replicas, and there are to be {replicas}."
            raise wrong("--attack", what, "Ask for reference networks, for example --replicas 16.")
        if not any(ATTACKS[name].judges(signal) for signal in signals):
            able = ", ".join(signal for signal in SIGNALS if ATTACKS[name].judges(signal))
            what = f"{name} compares probabilities, and none of the signals is one."
            raise wrong("--attack", what, f"Ask for --signal {able} as well.")
    if asked and replicas and not any(ATTACKS[name].replicas for name in asked):
        what = f"{replicas} reference networks are asked for, and {', '.join(asked)} compares with none."
        raise wrong("--replicas", what, "Leave the option out, or ask for an attack that does.")
    return tuple(asked) or tuple(
        name for name, attack in ATTACKS.items() if attack.replicas <= replicas and not attack.variant
    )
