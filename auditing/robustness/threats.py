"""Attackers, kept apart by what they have, and the share of images that an ensemble still answers rightly.

=========  =============================================================================================
transfer   the model of a node outside of the ensemble, with its quantizer: the attack is made for that
insider    a neighbour of the node that asks, with its own model: likewise; the most harmful neighbour counts
naive      the ensemble itself, gradients as autograd has them: quantizers make them 0 (not a threat but a trap)
adaptive   the ensemble itself, gradients through the quantizers' stand-ins (BPDA), attacks on the members
           together, and an attack without gradients
=========  =============================================================================================

Except for ``naive``, an image counts as lost if any of the attacks succeeds, or if it is answered wrongly as it is.
Nothing in the ensembles is random, so there is no expectation to take over (EOT).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from auditing.robustness import attacks
from auditing.robustness.apgd import apgd
from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.ensemble import AttackedModel, Ensemble
from auditing.robustness.square import square
from simulator.core.seeding import generator

ATTACKS: Mapping[str, attacks.Attack] = {
    "fgsm": attacks.fgsm,
    "pgd": attacks.pgd,
    "mi_fgsm": attacks.mi_fgsm,
    "apgd": apgd,
    "d_ag": attacks.by_dominant,
    "a_gd": attacks.by_votes,
    "u_gd": attacks.by_unanimity,
    "square": square,
}
CARRIED = ("fgsm", "pgd", "mi_fgsm")  # made for one model and shown to others
CHUNK = 64  # images: more fall out of a CPU's cache


@dataclass(frozen=True)
class Threats:
    """The attacks on N images.

    Attributes:
        images: float [N, height, width, channels] pixels.
        labels: int64 [N].
        budget: of each attack.
        names: in `ATTACKS`.
        seed: of what is random in them.
    """

    images: Tensor
    labels: Tensor
    budget: PerturbationBudget
    names: Sequence[str]
    seed: int

    def crafted(self, model: AttackedModel) -> list[Tensor]:
        """The images, attacked on ``model`` by each attack that is carried over."""
        budget = replace(self.budget, patient=True)
        return [self._attacked(name, Ensemble([model]), budget) for name in CARRIED if name in self.names]

    def against(
        self, ensemble: Ensemble, surrogate: Sequence[Tensor], insiders: Iterable[Sequence[Tensor]]
    ) -> dict[str, float]:
        """Accuracy: "clean", by threat, and "adaptive: <attack>" for each attack alone.

        Args:
            ensemble: what is attacked.
            surrogate: what `crafted` gives of the model outside.
            insiders: likewise of each insider.
        """
        clean = ensemble.right(self.images, self.labels)
        alone = {name: clean & self._survivors(name, ensemble) for name in self.names}
        survivors = {
            "clean": clean,
            "transfer": clean & self._withstands(ensemble, surrogate),
            "naive": clean & self._survivors("pgd", replace(ensemble, naive=True)),
            "adaptive": torch.stack([clean, *alone.values()]).all(0),
        } | {f"adaptive: {name}": right for name, right in alone.items()}
        found = {name: _share(right) for name, right in survivors.items()}
        return found | {"insider": min(_share(clean & self._withstands(ensemble, each)) for each in insiders)}

    def _withstands(self, ensemble: Ensemble, crafted: Sequence[Tensor]) -> Tensor:
        """Where no attack of the kind fools ``ensemble``, bool [N]."""
        return torch.stack([ensemble.right(images, self.labels) for images in crafted]).all(0)

    def _survivors(self, name: str, ensemble: Ensemble) -> Tensor:
        return ensemble.right(self._attacked(name, ensemble, self.budget), self.labels)

    def _attacked(self, name: str, ensemble: Ensemble, budget: PerturbationBudget) -> Tensor:
        rng = generator(self.seed, f"audit.robustness.{name}")  # all ensembles are attacked from the same places
        chunks = zip(torch.split(self.images, CHUNK), torch.split(self.labels, CHUNK), strict=True)
        return torch.cat([ATTACKS[name](ensemble, images, labels, budget, rng) for images, labels in chunks])


def _share(right: Tensor) -> float:
    return float(np.mean(right.numpy()))
