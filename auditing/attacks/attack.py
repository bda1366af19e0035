"""What an attack is: from a signal of a sample to how sure the attacker is that it was trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from auditing.attacks.evidence import Evidence, Floats
from auditing.attacks.signal import SIGNALS, Signal
from auditing.order import in_order
from simulator.core.errors import Problem
from simulator.core.registry import Part, Registry

# In results and reports attacks stand in this order, and those of other packages after them.
ORDER = (
    *("threshold", "class_threshold", "calibrated", "attack_r", "lira_offline", "lira_online", "bavaria_offline"),
    *("bavaria_online", "rmia", "quantile"),
    *("curvature_nll", "curvature_lr", "group_offline", "group_online"),
)


class Attack(Part, ABC):
    """Tells members from non-members by a signal; override `judge`.

    The first line of its docstring says what it is, in `rumormill list attacks`. What an attack does not say of signals
    it can do with any of them.

    Attributes:
        needs: what samples and task must offer, by names in `simulator.core.traits.NEEDS`.
        replicas: how many reference networks it needs at least.
        probability: whether it judges probabilities only (see `Signal.log_probability`).
        population: whether it compares with samples that nobody trained on; if it needs replicas, in these as well.
        features: whether it looks at `Evidence.features`.
        groups: whether it judges whole groups of samples, by `Evidence.group`, and gives all of a group the same score.
        variant: whether it is for comparison with another, and carried out only when it is asked for.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    replicas: ClassVar[int] = 0
    probability: ClassVar[bool] = False
    population: ClassVar[bool] = False
    features: ClassVar[bool] = False
    groups: ClassVar[bool] = False
    variant: ClassVar[bool] = False

    @abstractmethod
    def judge(self, evidence: Evidence) -> Floats:
        """Scores of the N candidates of ``evidence`` against one model, float64 [N], high for members."""

    @classmethod
    def judges(cls, signal: Signal | type[Signal]) -> bool:
        """Whether it can do with ``signal``."""
        return signal.log_probability or not cls.probability


ATTACKS: Registry[Attack] = Registry("attacks")


def attacks_named(names: Iterable[str], **settings: Any) -> dict[str, Attack]:
    """The attacks called ``names``, in this order, each with those of the ``settings`` that its ``Config`` has.

    Raises:
        InputError: there is no such attack.
    """
    kinds = {name: ATTACKS.load(name) for name in names}
    return {
        name: kind(
            kind.Config(name=name, **{key: settings[key] for key in settings if key in kind.Config.model_fields})
        )
        for name, kind in kinds.items()
    }


def usual_attacks(replicas: int) -> tuple[str, ...]:
    """The names of all attacks that so many replicas are enough for, without mere variants."""
    kinds = {name: ATTACKS.load(name) for name in in_order(ATTACKS.names(), ORDER)}
    return tuple(name for name, kind in kinds.items() if kind.replicas <= replicas and not kind.variant)


def lacking(attacks: Sequence[str], signals: Sequence[str], replicas: int) -> Iterator[Problem]:
    """What keeps ``attacks`` from being carried out: too few replicas, or signals none of which they can judge.

    Where no signal is left, that is told of the signals.
    """
    judged = [SIGNALS.load(signal) for signal in signals]
    kinds = {name: ATTACKS.load(name) for name in attacks}
    for name, kind in kinds.items():
        if replicas < kind.replicas:
            what = f"{name} needs at least {kind.replicas} replicas, and there are to be {replicas}."
            yield Problem("--attack", what, "Ask for reference networks, for example --replicas 16.")
        if judged and not any(kind.judges(signal) for signal in judged):
            able = ", ".join(name for name in SIGNALS.names() if kind.judges(SIGNALS.load(name)))
            what = f"{name} compares probabilities, and none of the signals is one."
            yield Problem("--attack", what, f"Ask for --signal {able} as well.")
    if attacks and replicas and not any(kind.replicas for kind in kinds.values()):
        what = f"{replicas} reference networks are asked for, and {', '.join(attacks)} compares with none."
        yield Problem("--replicas", what, "Leave the option out, or ask for an attack that does.")
