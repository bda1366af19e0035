"""The ensembles that one node could ask, each chosen by a rule of its own, under the same attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auditing.progress import Countdown
from auditing.robustness.ensemble import AttackedModel, Ensemble
from auditing.robustness.neighbourhood import CHOSEN, Neighbourhood
from auditing.robustness.selection import Members, mean_between
from auditing.robustness.settings import RobustnessSettings
from auditing.robustness.threats import Threats
from auditing.robustness.transfer import Transfers, transfers
from simulator.core.samples import Samples
from simulator.core.seeding import generator

Accuracies = Mapping[str, float]
SINGLE = "best single member"


@dataclass(frozen=True)
class EnsembleComparison:
    """Ensembles of ``models`` under the same attacks.

    Attributes:
        models: of all nodes.
        settings: the audit's.
        seed: the run's.
    """

    models: Sequence[AttackedModel]
    settings: RobustnessSettings
    seed: int

    def measured(self, samples: Samples) -> Transfers:
        """What transfers between all nodes, on ``samples``."""
        rng = generator(self.seed, "audit.robustness.transfers")
        strengths = [strength * self.settings.eps for strength in self.settings.strengths]
        images, labels = pixels_of(samples)
        return transfers(self.models, images, labels, strengths, self.settings.budget, rng)

    def around(self, place: Neighbourhood, own: Samples, test: Samples) -> dict[str, Any]:
        """For ``result.json``: whom the node can ask, and how its ensembles do.

        Args:
            place: where the node is.
            own: images of the node, by which it chooses.
            test: images that are attacked.
        """
        settings, measured = self.settings, self.measured(own)
        rng = generator(self.seed, "audit.robustness.random", node=place.host)
        rules = place.ensembles(settings.size, measured, settings.eps, settings.slack, settings.draws, rng)
        metric = measured.metric(settings.eps)
        between = {rule: np.mean([mean_between(metric, each) for each in found]) for rule, found in rules.items()}
        return {
            "host": place.host,
            "candidates": list(place.candidates),
            "surrogate": place.surrogate,
            "insiders": list(place.insiders),
            "members": rules,
            "transferability": {rule: float(value) for rule, value in between.items()},
            "accuracies": self._accuracies(place, rules, test),
        }

    def _accuracies(
        self, place: Neighbourhood, rules: Mapping[str, Sequence[Members]], test: Samples
    ) -> dict[str, Accuracies]:
        """Accuracies by rule, averaged over its ensembles; and of the best single member chosen, figure by figure."""
        images, labels = pixels_of(test)
        threats = Threats(images, labels, self.settings.budget, self.settings.attacks, self.seed)
        crafted = {node: threats.crafted(self.models[node]) for node in (place.surrogate, *place.insiders)}
        insiders = [crafted[node] for node in place.insiders]
        singles = [(node,) for node in rules[CHOSEN][0]]
        asked = list(dict.fromkeys(chain(*rules.values(), singles)))
        under_attack = (threats.against(self._ensemble(each), crafted[place.surrogate], insiders) for each in asked)
        countdown = Countdown(f"{len(asked)} ensembles and single members that node {place.host} could ask")
        found = dict(zip(asked, countdown.over(under_attack, [len(each) for each in asked]), strict=True))
        accuracies = {rule: _each(np.mean, [found[each] for each in members]) for rule, members in rules.items()}
        return accuracies | {SINGLE: _each(np.max, [found[single] for single in singles])}

    def _ensemble(self, members: Members) -> Ensemble:
        return Ensemble([self.models[node] for node in members], vote=self.settings.answer == "vote")


def pixels_of(samples: Samples) -> tuple[Tensor, Tensor]:
    """The pixels, float [N, height, width, channels] from 0 to 255, and the labels, int64 [N]."""
    everything = torch.arange(len(samples))
    return samples.images_at(everything).float(), samples.targets_at(everything)


def _each(summary: Any, found: Sequence[Accuracies]) -> Accuracies:
    return {name: float(summary([accuracies[name] for accuracies in found])) for name in found[0]}
