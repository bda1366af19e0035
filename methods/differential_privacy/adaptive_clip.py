"""A clip that follows the norms of a node's gradients, privately (Andrew et al. 2021, arXiv:1905.03871)."""

from __future__ import annotations

from math import exp, inf, sqrt

import numpy as np
from pydantic import Field

from simulator.core.registry import Settings


class AdaptiveClipSettings(Settings):
    """How the clip moves.

    Attributes:
        quantile: share of the gradients that shall be left as they are.
        learning_rate: how fast the clip moves there, step by step, on a log scale.
        count_noise: standard deviation of the noise on how many gradients were left; by default a twentieth of a
            batch's expected length.
        max_clip: the clip goes no higher; None: there is no bound. Noise grows with the clip, and where it moves models
            more than their gradients do, norms grow with it, and so on without end.
    """

    quantile: float = Field(0.5, gt=0, lt=1)
    learning_rate: float = Field(0.2, gt=0)
    count_noise: float | None = Field(None, gt=0)
    max_clip: float | None = Field(None, gt=0)


class AdaptiveClip:
    """The clip of a node, moved after every step by how many of the batch's gradients it left as they were.

    With s the noise on the count, m the expected length of a batch, gamma the quantile and eta the learning rate::

        u = 1/2 + (sum_i (1[|g_i| <= C] - 1/2) + N(0, s^2)) / m
        C <- min(max_clip, C exp(-eta (u - gamma)))

    A sample moves that sum by 1/2, which noise of s hides as well as noise of 2 s hides a clipped gradient in units of
    C. Gradients under sigma_eff C and the count under s are together one Gaussian mechanism under the noise multiplier
    sigma if sigma_eff^-2 + (2 s)^-2 = sigma^-2 (there, theorem 1). So the account is of sigma, and C is public.

    Attributes:
        value: C.
    """

    def __init__(self, settings: AdaptiveClipSettings, value: float, length: float) -> None:
        self._settings, self._length, self.value = settings, length, value

    @property
    def count_noise(self) -> float:
        """s."""
        given = self._settings.count_noise
        return self._length / 20 if given is None else given

    def noise_multiplier(self, sigma: float) -> float:
        """sigma_eff of the gradients, where the account is of ``sigma``; infinite if the count alone costs as much."""
        share = 1 - (sigma / (2 * self.count_noise)) ** 2
        return sigma / sqrt(share) if share > 0 else inf

    def move(self, left: int, of: int, rng: np.random.Generator) -> None:
        """Move it after a step that has left so many gradients of a batch ``of`` so many as they were."""
        noisy = left - of / 2 + self.count_noise * rng.standard_normal()
        moved = self.value * exp(-self._settings.learning_rate * (0.5 + noisy / self._length - self._settings.quantile))
        self.value = min(moved, self._settings.max_clip or inf)
