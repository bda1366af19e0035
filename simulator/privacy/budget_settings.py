"""Settings that all methods share which add Gaussian noise: what audits look for in an experiment."""

from __future__ import annotations

from pydantic import Field, model_validator

from simulator.core.registry import PartSettings
from simulator.privacy.accounting import LARGEST, Accountant


class BudgetSettings(PartSettings):
    """Settings of methods that add Gaussian noise.

    Attributes:
        clip: the largest Euclidean norm that is left as it is; noise is measured in units of it.
        noise_multiplier: standard deviation of the noise over ``clip``; this or ``target_epsilon`` is given.
        target_epsilon: what all planned rounds shall cost; each node gets the noise that its own number of samples and
            steps needs.
        max_epsilon: the run ends, with everything kept, when one more round would cost any node more than that. In a
            deployment such a node leaves with that round, and the others go on without it.
        delta: of the promise (epsilon, delta); by default a tenth of one over the node's number of training samples.
        accountant: "pld" is tight, "rdp" a quick bound above it: see `simulator.privacy.accounting`.
    """

    clip: float = Field(1.0, gt=0)
    noise_multiplier: float | None = Field(None, ge=0)
    target_epsilon: float | None = Field(None, gt=0, le=LARGEST)
    max_epsilon: float | None = Field(None, gt=0)
    delta: float | None = Field(None, gt=0, lt=1)
    accountant: Accountant = "pld"

    @model_validator(mode="after")
    def _one_says_how_much_noise(self) -> BudgetSettings:
        if (self.noise_multiplier is None) == (self.target_epsilon is None):
            raise ValueError("give either noise_multiplier or target_epsilon")
        return self
