"""What is carried out of all that could be: the attacks and signals that were named, or those that suit the run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from auditing.attacks.attack import ATTACKS, usual_attacks
from auditing.attacks.signal import SIGNALS
from auditing.fitting import told, unfit
from simulator.core.errors import Problem


class Asked(Protocol):
    """What the audit's settings ask for."""

    @property
    def attacks(self) -> Sequence[str]:
        """Names of attacks; none: the usual ones."""
        ...

    @property
    def signals(self) -> Sequence[str]:
        """Names of signals."""
        ...

    @property
    def replicas(self) -> int:
        """How many reference networks there are to be."""
        ...

    @property
    def model_fields_set(self) -> Collection[str]:
        """What somebody set, and did not leave as it is by default."""
        ...


@dataclass(frozen=True)
class Choice:
    """Attacks and signals of an audit, by name.

    Attributes:
        attacks: to carry out.
        signals: to judge by.
        notes: what was left out since it does not suit samples or task, a sentence each.
        problems: what was asked for and does not suit them.
    """

    attacks: Sequence[str]
    signals: Sequence[str]
    notes: Sequence[str]
    problems: Sequence[Problem]

    @classmethod
    def of(cls, settings: Asked, offers: frozenset[str]) -> Choice:
        """The choice for samples and a task that offer ``offers``, by names in `simulator.core.traits.NEEDS`."""
        attacks = settings.attacks or usual_attacks(settings.replicas)
        unfit_attacks = unfit("--attack", ATTACKS, attacks, offers)
        unfit_signals = unfit("--signal", SIGNALS, settings.signals, offers)
        named = (unfit_attacks if settings.attacks else {}) | (
            unfit_signals if "signals" in settings.model_fields_set else {}
        )
        left_out = [each for name, each in (unfit_signals | unfit_attacks).items() if name not in named]
        return cls(
            [name for name in attacks if name not in unfit_attacks],
            [name for name in settings.signals if name not in unfit_signals],
            told(left_out),
            list(named.values()),
        )

    @property
    def needs_replicas(self) -> bool:
        """Whether any of the attacks does."""
        return any(ATTACKS.load(name).replicas for name in self.attacks)
