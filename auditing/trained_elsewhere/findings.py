"""What an audit of models finds: how well each attack tells members, model by model and over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.membership.leakage import LOW_RATES
from auditing.metrics import Estimate, Ranking, Resamples, estimates, resolvable
from auditing.questions import Questions
from auditing.trained_elsewhere.report import POOLED, write_page
from simulator.core.errors import wrong
from simulator.core.seeding import generator
from simulator.results.audit_folder import AuditFolder

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CURVE_POINTS = 60


@dataclass(frozen=True)
class ModelsAudit:
    """What was found of models that were trained elsewhere.

    Attributes:
        result: as ``result.json`` has it; no number in it is NaN.
        arrays: as ``scores.npz`` has them: ``members`` bool [N, M], each signal float64 [N, M], high for members, and
            by ``<signal>, <attack>`` how sure the attack is, float64 [N, M], or [N, groups].
    """

    result: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    def metrics(self) -> dict[str, float]:
        """Figures over all models by name, such as ``loss/lira_online/auc``."""
        return {
            f"{attack.replace(', ', '/')}/{name}": found[POOLED][name]["value"]
            for attack, found in self.result["attacks"].items()
            for name in ("auc", *_LOW)
            if found[POOLED][name]
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row for each attack and model, and for all models, as `pandas.DataFrame` takes them."""
        return [
            {"attack": attack, "model": model, **_columns(found)}
            for attack, models in self.result["attacks"].items()
            for model, found in models.items()
        ]

    def save(self, out: str | Path) -> Path:
        """Write ``result.json``, ``metrics.json``, ``scores.npz`` and ``report.html``; returns their folder.

        Raises:
            InputError: they cannot be written.
        """
        folder = AuditFolder(Path(out))
        try:
            folder.save_arrays(self.arrays)
            folder.save_metrics(self.metrics())
            write_page(folder.path / "report.html", self.result)
            folder.save_result(self.result)
        except OSError as error:
            raise wrong("--out", f"{out} cannot be written: {error.strerror}.", "Choose another folder.") from error
        return folder.path


def _columns(found: Mapping[str, Mapping[str, float] | None]) -> dict[str, float | None]:
    """Each estimate and the ends of its interval; None where it is not known."""
    return {
        name if key == "value" else f"{name}_{key}": each[key] if each else None
        for name, each in found.items()
        for key in ("value", "low", "high")
    }


_LOW = tuple(f"tpr_at_{rate}" for rate in LOW_RATES)


@dataclass(frozen=True)
class Asked:
    """Whose membership is asked: Q samples, or groups of samples that belong together, of N models.

    Attributes:
        names: of the models.
        member: bool [N, Q].
        of_samples: makes of the values of samples those of what is asked.
    """

    names: Sequence[str]
    member: Bools
    of_samples: Questions

    @classmethod
    def about(cls, names: Sequence[str], members: Bools, group: NDArray[np.int64] | None) -> Asked:
        """Of each sample, or of each ``group`` (int64 [M]) of samples.

        Raises:
            InputError: a model trained on a part of a group.
        """
        zeros = np.zeros(members.shape[1], dtype=np.int64)
        questions = Questions.about(zeros, zeros.astype(np.bool_), group)
        shares = np.stack([questions.scores(row.astype(np.float64)) for row in members])
        cut = (shares > 0) & (shares < 1)
        if cut.any():
            model = int(cut.any(axis=1).argmax())
            told = "what it knows of one part tells of the other."
            what = f"{names[model]} trained on a part of {cut[model].sum()} of the groups: {told}"
            raise wrong("--members", what, "Leave the other samples of these groups out, or leave out group.")
        return cls(names, shares > 0, questions)

    def scores(self, values: Floats) -> Floats:
        """float64 [N, Q] of float64 [N, M]: of groups the mean."""
        return np.stack([self.of_samples.scores(row) for row in values])

    def found(self, scores: Mapping[str, Floats], number: int, seed: int) -> dict[str, Any]:
        """For ``result.json``: how well each attack does by its ``scores`` (float64 [N, Q]), and the strongest's curve.

        Args:
            scores: by attack.
            number: of resamples.
            seed: of the resamples.
        """
        rng, samples = generator(seed, "audit.resamples"), self.member.shape[1]
        of_models = [Resamples(member.astype(np.int64), number, rng) for member in self.member]
        of_samples = Resamples(np.zeros(samples, dtype=np.int64), number, rng)
        attacks = {name: self._estimates(values, of_models, of_samples) for name, values in scores.items()}
        strongest = max(attacks, key=lambda name: attacks[name][POOLED]["auc"]["value"])
        return {
            "unit": "sample" if self.of_samples.of_candidate is None else "group",
            "asked": self.member.shape[1],
            "strongest": strongest,
            "attacks": attacks,
            "curve": self._curve(scores[strongest]),
        }

    def _estimates(self, scores: Floats, of_models: Sequence[Resamples], of_samples: Resamples) -> dict[str, Any]:
        """How well ``scores`` tell members: of each model, and of `POOLED`, all by one threshold.

        Intervals of one model are over its members and its non-members; of all models over samples, each of which is
        drawn with what all models say of it.
        """
        models, asked = scores.shape
        single = zip(self.names, scores, self.member, of_models, strict=True)
        found = {
            name: _estimated(values, member, np.arange(asked), drawn, int((~member).sum()))
            for name, values, member, drawn in single
        }
        rows, non_members = np.tile(np.arange(asked), models), int((~self.member).any(axis=0).sum())
        pooled = _estimated(scores.ravel(), self.member.ravel(), rows, of_samples, non_members)
        return {POOLED: pooled, **found}

    def _curve(self, scores: Floats) -> dict[str, list[float]]:
        """The ROC curve over all models."""
        roc = Ranking(scores.ravel(), self.member.ravel()).roc()
        grid = np.geomspace(1 / (~self.member).sum(), 1, CURVE_POINTS)
        return {"fpr": grid.tolist(), "tpr": roc.tprs_at(grid).tolist()}


def _estimated(
    scores: Floats, member: Bools, rows: NDArray[np.int64], resamples: Resamples, non_members: int
) -> dict[str, Any]:
    """Estimates as plain data; None where there are too few ``non_members`` to tell."""
    ranking = Ranking(scores, member)
    found = estimates(ranking.roc(), resamples.rocs(ranking, rows), lambda roc: {
        "auc": roc.auc, "balanced_accuracy": roc.balanced_accuracy,
        **{f"tpr_at_{rate}": roc.tpr_at(rate) for rate in LOW_RATES},
    })  # fmt: skip
    hidden = {f"tpr_at_{rate}" for rate in LOW_RATES if not resolvable(rate, non_members)}
    return {name: _plain(each) if name not in hidden else None for name, each in found.items()}


def _plain(estimate: Estimate) -> dict[str, float] | None:
    return asdict(estimate) if isfinite(estimate.value) else None
