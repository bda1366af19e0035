"""Evidence: what an attacker has against one model, and how the signal of a sample spreads over reference models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import log, pi
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Spread = Literal["per_example", "global", "fixed"]
FLOOR = 0.01  # of the standard deviation within candidates: references that agree by chance are not sure of anything


@dataclass(frozen=True)
class Evidence:
    """What an attacker has against one model; signals are high for members.

    Attributes:
        signal: float64 [N], of the candidates.
        labels: int64 [N], their classes.
        population: float64 [P], the signal in the same model of samples that nobody trained on.
        population_labels: int64 [P], their classes.
        references: float64 [M, N], the candidates' signal in the same place of M replicas; None where there are none.
        member_of: bool [M, N], whether the candidate's node trained on it in that replica.
        population_references: float64 [M, P], the population's signal there; None where no attack asked for it.
        node: int64 [N], whose pool each candidate is from; by default all are from one.
        features: float64 [N, d], what anybody knows of the candidates' inputs; None where no attack asked for it.
        population_features: float64 [P, d], the same of the population.
        group: int64 [N], which candidates were trained on together or not at all; None where each is its own.

    Raises:
        InputError: a signal is not finite. A comparison with NaN is false, so such a sample would pass for an unlikely
            member, or for a sure one.
    """

    signal: Floats
    labels: NDArray[np.int64]
    population: Floats
    population_labels: NDArray[np.int64]
    references: Floats | None = None
    member_of: Bools | None = None
    population_references: Floats | None = None
    node: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    features: Floats | None = None
    population_features: Floats | None = None
    group: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "node", np.broadcast_to(self.node, self.signal.shape))
        for name in ("signal", "population", "references", "population_references"):
            if (values := getattr(self, name)) is not None:
                _check_finite(name, values)

    def at(self, rows: Bools) -> Evidence:
        """The evidence about the candidates in ``rows`` alone, bool [N]."""
        of_references = {
            name: values[:, rows] for name in ("references", "member_of") if (values := getattr(self, name)) is not None
        }
        of_candidates = {
            name: values[rows]
            for name in ("signal", "labels", "node", "features", "group")
            if (values := getattr(self, name)) is not None
        }
        return replace(self, **of_references, **of_candidates)

    @property
    def inside(self) -> References:
        """The references that trained on the candidate."""
        assert self.references is not None  # an attack that needs them is refused where there are none
        assert self.member_of is not None
        return References(self.references, self.member_of)

    @property
    def outside(self) -> References:
        """The references that did not; all that an offline attack may look at."""
        assert self.references is not None  # as above
        assert self.member_of is not None
        return References(self.references, ~self.member_of)


@dataclass(frozen=True)
class References:
    """A signal in those of M reference models that are ``chosen``: float64 and bool [M, N].

    What too few references tell of a candidate is taken from the others: it has their mean where it has no reference
    itself, and their spread where it has fewer than two.
    """

    values: Floats
    chosen: Bools

    @property
    def mean(self) -> Floats:
        """The mean signal of each candidate, float64 [N]."""
        count, total = self.chosen.sum(axis=0), np.where(self.chosen, self.values, 0.0).sum(axis=0)
        mean = total / np.maximum(count, 1)
        return np.where(count > 0, mean, mean[count > 0].mean() if (count > 0).any() else 0.0)

    def sd(self, spread: Spread) -> Floats:
        """The standard deviation of each candidate, float64 [N].

        It is at least `FLOOR` of the one within candidates, and 1 where that is 0.

        Args:
            spread: ``per_example``: of the candidate's own references; ``global``: within candidates, the same for all;
                ``fixed``: of all references of all candidates together, so of the candidates' differences as well.
        """
        count = self.chosen.sum(axis=0)
        squares = np.where(self.chosen, self.values - self.mean, 0.0) ** 2
        within = float(np.sqrt(squares[:, count > 1].sum() / max(count[count > 1].sum(), 1)))
        if spread == "per_example":
            found = np.where(count > 1, np.sqrt(squares.sum(axis=0) / np.maximum(count, 1)), within)
        elif spread == "global":
            found = np.full(len(count), within)
        else:
            found = np.full(len(count), self.values[self.chosen].std() if self.chosen.any() else 0.0)
        found = np.maximum(found, FLOOR * within)
        return np.where(found > 0, found, 1.0)

    def quantile(self, q: float) -> Floats:
        """The quantile of each candidate's references, float64 [N], linear between two of them."""
        empty, values = ~self.chosen.any(axis=0), np.where(self.chosen, self.values, np.nan)
        values[:, empty] = self.mean[empty]
        ordered = np.sort(values, axis=0)  # NaN comes last
        place = q * ((~np.isnan(ordered)).sum(axis=0) - 1)
        low, high = (
            np.take_along_axis(ordered, end(place).astype(np.int64)[None], 0)[0] for end in (np.floor, np.ceil)
        )
        found: Floats = low + (place - np.floor(place)) * (high - low)
        return found


def _check_finite(name: str, values: Floats) -> None:
    """Refuse NaN and infinity, ``values`` being float64 [samples] or [references, samples]."""
    if not np.isfinite(values).all():
        *reference, sample = (int(place[0]) for place in np.nonzero(~np.isfinite(values)))
        model = f"reference {reference[0]}" if reference else "the attacked model"
        kind = "population sample" if name.startswith("population") else "candidate"
        what = f"{kind} {sample} has the signal {values[*reference, sample]} in {model}."
        raise wrong("--signal", what, "Audit an earlier round, or a run that did not diverge.")


def log_density(x: Floats, mean: Floats, sd: Floats) -> Floats:
    """The logarithm of the normal density, log N(x; mean, sd^2)."""
    return -(((x - mean) / sd) ** 2) / 2 - np.log(sd) - log(2 * pi) / 2
