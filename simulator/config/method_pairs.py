"""Methods that are fine one by one, and of which one undoes what another has done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from simulator.config.experiment import Experiment
from simulator.config.yaml_file import Location
from simulator.core.errors import Problem
from simulator.core.method import METHODS, Method
from simulator.core.registry import PartSettings
from simulator.training.hooks import combines, overrides

Found = Iterator[tuple[Location, Problem]]
Listed = tuple[PartSettings, type[Method]]

ONE_ONLY: Mapping[str, Callable[[PartSettings, type[Method]], bool]] = {
    "decides how many local steps nodes take": lambda settings, method: method.traits(settings).changes_steps,
    "changes what nodes see of their samples": lambda settings, method: overrides(method, "input_transform"),
    "exchanges messages before the local steps": lambda settings, method: method.traits(settings).exchanges > 0,
    "combines the gradients of single samples": lambda settings, method: combines(method),
}
"""What a second method would do once more to what the first has done, or instead of it."""


def at_odds(experiment: Experiment) -> Found:
    """Every method of ``experiment`` that does not go with one before it, or with gradients by sample."""
    methods = [(settings, METHODS.load(settings.name)) for settings in experiment.methods]
    for number, listed in enumerate(methods):
        for problem in (*_after(methods[:number], *listed), *_without_gradients_by_sample(methods, *listed)):
            yield ("methods", number), problem


def _after(before: list[Listed], settings: PartSettings, method: type[Method]) -> Iterator[Problem]:
    if any(method is other for _, other in before):
        what = f"{settings.name} is named twice: both would keep and send the same things under the same names."
        yield Problem("", what, "Keep one of the two.")
        return
    for what, does in ONE_ONLY.items():
        first = next((other.name for other, cls in before if does(other, cls)), None)
        if first and does(settings, method):
            yield Problem("", f"{settings.name} {what}, and {first} does so already.", "Keep one of the two.")
    lost = next((other.name for other, cls in before if _loss_use(other, cls) != "watches"), None)
    if lost and _loss_use(settings, method) == "replaces":
        what = f"{settings.name} puts losses of its own in the place of those that {lost} has made."
        yield Problem("", what, f"Name {settings.name} before {lost}, or remove one of them.")


def _loss_use(settings: PartSettings, method: type[Method]) -> str:
    return method.traits(settings).losses if overrides(method, "per_sample_loss") else "watches"


def _without_gradients_by_sample(
    methods: list[Listed], settings: PartSettings, method: type[Method]
) -> Iterator[Problem]:
    combining = next((other.name for other, cls in methods if combines(cls)), None)
    traits = method.traits(settings)
    missing = [name for name in ("row_wise", "stackable") if not getattr(traits, name)]
    if combining and missing and overrides(method, "per_sample_loss"):
        what = f"the loss that {settings.name} gives a sample has no gradient of its own, and {combining} needs that."
        declared = f"Traits({', '.join(f'{name}=True' for name in missing)})"
        yield Problem("", what, f"Keep one of the two; or, if it is yours and has one, declare it: {declared}.")
