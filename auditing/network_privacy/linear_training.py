"""The training of an experiment as `auditing.network_privacy.linear_rounds`, from what its mixer and methods declare.

The hooks of a round are carried out in their order on linear functions instead of vectors: of what a node holds when
the round begins, of what is injected, and of what is mixed. Weight decay and the optimizer's momentum are maps like
any other. Gradients count as signals: what they depend on is taken as given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from auditing.network_privacy.linear_rounds import Floats, Maps
from simulator.config.experiment import Experiment
from simulator.core.errors import InputError, Problem
from simulator.core.linear_memory import (
    GRADIENT,
    MIXED,
    PARAMETERS,
    SENT,
    SHARED,
    Change,
    Memory,
    Pace,
    overridden_since,
)
from simulator.core.method import METHODS, Method, traits_of
from simulator.core.mixer import MIXERS, Mixer
from simulator.core.registry import PartSettings
from simulator.core.training import TrainingSettings

Terms = Mapping[str, float]
INJECTED, MOMENTUM = "injected.", "optimizer.momentum"
ALIKE = 1e-12  # relative difference from which on two injections certainly go different ways


@dataclass(frozen=True)
class NoisePlace:
    """Where signal and noise enter a round.

    Attributes:
        method: which method of the list adds them to an update that it has clipped; None: no method does.
        every_step: whether they are on the gradient of every local step; else on the update of a round.
    """

    method: int | None = None
    every_step: bool = False


def maps_of(experiment: Experiment, place: NoisePlace) -> list[Maps]:
    """What every node does in each round, over as many slots in all rounds.

    Raises:
        InputError: a part says nothing of its memory, nodes do different things, or an update is clipped that depends
            on more than gradients.
    """
    problems = list(undeclared(experiment))
    if problems:
        raise InputError(*problems)
    found = [_maps(experiment, training, place) for training in _trainings(experiment)]
    changing = [each.name for each in experiment.methods if traits_of(each).changes_steps]
    if changing and (place.every_step or not all(maps.is_plain for maps in found[0])):
        what = f"{changing[0]} lets nodes take different numbers of steps, which is not accounted."
        raise InputError(Problem("methods", what, "Run without it."))
    if any(maps != found[0] for maps in found):
        what = "nodes whose steps differ do not remember alike, which is not accounted."
        raise InputError(Problem("training.nodes", what, "Give all nodes the same."))
    return found[0]


def undeclared(experiment: Experiment) -> Iterator[Problem]:
    """Parts of which nobody says how they carry updates from round to round."""
    pace = Pace(experiment.training.optimizer.lr, experiment.training.local_steps)
    parts: list[tuple[str, type[Method] | type[Mixer], PartSettings]] = [
        ("mixer", MIXERS.load(experiment.mixer.name), experiment.mixer),
        *(("methods", METHODS.load(settings.name), settings) for settings in experiment.methods),
    ]
    for where, part, settings in parts:
        if part.traits(settings).memory_at(pace) is None:
            what = f"{settings.name}, with these settings, declares no linear memory, so nobody can say by what ways "
            advice = "Run without it" if where == "methods" else "Run with mixer: gossip"
            way = "an update of one round reaches the messages of later ones."
            yield Problem(where, what + way, f"{advice}; a part of your own declares it by the memory of its traits.")
        elif since := overridden_since(part, "traits"):
            what = f"{settings.name} has a {since[0]} of its own, of which its base class's traits() does not speak."
            yield Problem(where, what, f"Let {part.__name__} override traits, or run without it.")


def remembering(experiment: Experiment) -> list[str]:
    """Names of what carries updates further otherwise than by the mixed model."""
    optimizer, pace = experiment.training.optimizer, Pace(experiment.training.optimizer.lr, 1)
    steps = {"weight decay": optimizer.weight_decay, "the optimizer's momentum": optimizer.momentum}
    methods = [each.name for each in experiment.methods if traits_of(each).memory_at(pace) != Memory()]
    early = MIXERS.load(experiment.mixer.name).traits(experiment.mixer).memory_at(pace)
    order = [f"the order of {experiment.mixer.name}"] if early is not None and early.before_round else []
    return [*(name for name, used in steps.items() if used), *methods, *order]


def share_of_a_gradient(experiment: Experiment, training: TrainingSettings, rate: float) -> float:
    """How much of the gradient of a round's only step is taken off what is sent, as the methods of a node let it be.

    That is the learning rate, unless a method scales the step.
    """
    plain = training.optimizer.model_copy(update={"momentum": 0.0, "nesterov": False, "weight_decay": 0.0})
    once = training.model_copy(update={"optimizer": plain, "local_steps": 1})
    return _Traced.of(experiment, once, rate, NoisePlace(every_step=True))[SENT].get(f"{INJECTED}0", rate)


def _trainings(experiment: Experiment) -> list[TrainingSettings]:
    """Of the nodes in general, and of those that train otherwise."""
    training = experiment.training
    return [training.of(-1), *(training.of(node) for node in training.nodes)]


def _maps(experiment: Experiment, training: TrainingSettings, place: NoisePlace) -> list[Maps]:
    traced: dict[float, _Traced] = {}
    rates = [training.optimizer.lr * training.schedule.factor(r, experiment.rounds) for r in range(experiment.rounds)]
    for rate in rates:
        if rate not in traced:
            traced[rate] = _Traced.of(experiment, training, rate, place)
    slots, unit = _slots(list(traced.values())), training.optimizer.lr if place.every_step else 1.0
    made = {rate: found.maps(slots, unit) for rate, found in traced.items()}
    return [made[rate] for rate in rates]


@dataclass
class _Traced:
    """Values of a round as linear functions, by the names of what they depend on.

    Attributes:
        values: those that were assigned; any other is what it was when the round began.
        clipped: what the parameters are when a method clips the update.
    """

    values: dict[str, Terms] = field(default_factory=dict)
    clipped: tuple[str, Terms] | None = None

    @classmethod
    def of(cls, experiment: Experiment, training: TrainingSettings, rate: float, place: NoisePlace) -> _Traced:
        """A round at this learning rate."""
        pace, trace = Pace(rate, training.local_steps), cls()
        mixer = MIXERS.load(experiment.mixer.name).traits(experiment.mixer).memory_at(pace) or Memory()
        methods = {
            f"{number}.": traits_of(settings).memory_at(pace) or Memory()
            for number, settings in enumerate(experiment.methods)
        }
        trace.change(mixer.before_round, "mixer.")
        for own, memory in methods.items():
            trace.change(memory.before_round, own)
        for step in range(pace.local_steps):
            trace.step(training, rate, methods, f"{INJECTED}{step}" if place.every_step else None)
        if not place.every_step and place.method is None:
            trace.inject()
        for number, (own, memory) in enumerate(methods.items()):
            if not place.every_step and number == place.method:
                trace.clipped = experiment.methods[number].name, trace[PARAMETERS]
                trace.inject()
            trace.change(memory.after_local_training, own)
        trace.change(mixer.after_local_training, "mixer.")
        trace.change(mixer.mix, "mixer.")
        for own, memory in reversed(methods.items()):
            trace.change(memory.after_mixing, own)
        return trace

    def __getitem__(self, name: str) -> Terms:
        return self.values.get(name, {name: 1.0})

    def change(self, change: Change, own: str = "") -> None:
        """Assign; ``own`` begins the names of what is not shared."""
        self.values |= {_full(name, own): self._sum(terms, own) for name, terms in change.items()}

    def _sum(self, terms: Terms, own: str) -> Terms:
        total: dict[str, float] = {}
        for name, factor in terms.items():
            for source, value in self[_full(name, own)].items():
                total[source] = total.get(source, 0.0) + factor * value
        return {source: value for source, value in total.items() if value}

    def step(
        self, training: TrainingSettings, rate: float, methods: Mapping[str, Memory], injected: str | None
    ) -> None:
        """A local step; see `simulator.core.training.OptimizerSettings`."""
        optimizer = training.optimizer
        self.values[GRADIENT] = {injected: -1.0} if injected else {}
        self.change({GRADIENT: {GRADIENT: 1.0, PARAMETERS: optimizer.weight_decay}})
        for own, memory in methods.items():
            self.change(memory.before_step, own)
        direction = {GRADIENT: 1.0}
        if optimizer.momentum:
            self.change({MOMENTUM: {MOMENTUM: optimizer.momentum, GRADIENT: 1.0}})
            direction = {GRADIENT: 1.0, MOMENTUM: optimizer.momentum} if optimizer.nesterov else {MOMENTUM: 1.0}
        self.change({PARAMETERS: {PARAMETERS: 1.0} | {name: -rate * factor for name, factor in direction.items()}})

    def inject(self) -> None:
        """Add signal and noise to the update."""
        self.values[PARAMETERS] = {**self[PARAMETERS], f"{INJECTED}0": 1.0}

    def maps(self, slots: Sequence[str], unit: float) -> Maps:
        """Over ``slots``, with injections of so many of the ``unit`` they come in.

        Raises:
            InputError: the update that a method clips is more than gradients.
        """
        if self.clipped:
            _check_clipped(*self.clipped, slots)
        rows = [self[slot] for slot in slots] + [self[SENT]]
        injections = sorted({name for row in rows for name in row if name.startswith(INJECTED)})
        before, injected = (
            np.array([[row.get(name, 0.0) for name in names] for row in rows]) for names in (slots, injections)
        )
        columns, signals = _joined(injected)
        mixed = tuple(self[slot].get(MIXED, 0.0) for slot in slots)
        return Maps(_tuples(before), _tuples(columns / unit), mixed, signals)


def _full(name: str, own: str) -> str:
    return name if name in SHARED else f"{own}{name}"


def _slots(rounds: Sequence[_Traced]) -> list[str]:
    """What must be kept from round to round: what messages depend on, and an injection ever reaches."""
    needed, reached = {name for round in rounds for name in _held(round[SENT])}, set[str]()
    while True:
        more = {name for round in rounds for slot in needed for name in _held(round[slot])}
        got = {slot for round in rounds for slot in needed | more if reached & set(round[slot]) or _fed(round[slot])}
        if more <= needed and got <= reached:
            return sorted(needed & reached, key=lambda name: (name != PARAMETERS, name))
        needed, reached = needed | more, reached | got


def _held(terms: Terms) -> set[str]:
    return {name for name in terms if name != MIXED and not name.startswith(INJECTED)}


def _fed(terms: Terms) -> bool:
    return set(terms) > _held(terms)


def _joined(columns: Floats) -> tuple[Floats, tuple[float, ...]]:
    """Injections [k + 1, J] that go the same way as one, and their largest signals beside their noise, over sqrt(J).

    Of sum_j a_j (s_j + z_j), where no s_j is above 1, the signal is at most sum_j abs(a_j), and the noise is
    sqrt(sum_j a_j^2).
    """
    count = columns.shape[1]
    longest = columns[:, np.argmax(np.abs(columns).sum(0))]
    sizes = (longest[:, None] * columns).sum(0) / (longest * longest).sum()
    if np.abs(columns - np.outer(longest, sizes)).max() > ALIKE * np.abs(longest).max():
        return columns, (1 / sqrt(count),) * count
    spread = sqrt(np.mean(sizes**2))
    return longest[:, None] * spread, (float(np.mean(np.abs(sizes))) / spread,)


def _tuples(matrix: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())


def _check_clipped(method: str, terms: Terms, slots: Sequence[str]) -> None:
    if {name: factor for name, factor in terms.items() if name in slots} != {PARAMETERS: 1.0}:
        what = f"{method} clips updates that answer to earlier models by more than their gradients, as by weight decay "
        why = "or a method's memory; what a clip leaves of that is not linear, and is not accounted."
        raise InputError(Problem("methods", what + why, f"Train without, or list what remembers after {method}."))
