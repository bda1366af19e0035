"""The membership audit: attacks on the final models of a run, from every position in the graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from auditing.attacks.membership import ATTACKS
from auditing.attacks.signals import SIGNALS
from auditing.candidates import Candidates, labels_of
from auditing.leakage import Leakage, leakage, leakage_matrix
from auditing.metrics import Resamples
from auditing.report import section
from auditing.scoring import scores_of, signals_of
from auditing.views import views_of
from simulator.core.audit import Audit
from simulator.core.errors import did_you_mean, wrong
from simulator.core.report import Section
from simulator.core.seeding import generator
from simulator.launch import Run
from simulator.results.run_directory import RunDirectory

Floats = NDArray[np.float64]
CURVE_POINTS = 60


class MembershipAudit(Audit):
    """Who can tell that a sample was in a node's training set, from the model they end up with."""

    class Config(Audit.Config):
        """Settings of `MembershipAudit`.

        Attributes:
            name: the audit's.
            attacks: names in `ATTACKS`.
            signals: names in `SIGNALS`.
            samples: at most this many members, and as many non-members, of each node.
            resamples: of the bootstrap that gives intervals.
        """

        name: str = "membership"
        attacks: tuple[str, ...] = tuple(ATTACKS)
        signals: tuple[str, ...] = ("loss", "logit_margin", "modified_entropy", "gradient_norm", "curvature_hvp")
        samples: PositiveInt = 1000
        resamples: PositiveInt = 500

    config: Config

    def conduct(self, run: Path, results: Path) -> None:
        """Score every candidate by every node's final model, in double precision; see `Audit.conduct`."""
        _check_known("--attack", self.config.attacks, ATTACKS)
        _check_known("--signal", self.config.signals, SIGNALS)
        audited = Run(RunDirectory.open(run), "finished")
        asked, data = Candidates.of(audited.nodes, self.config.samples), audited.nodes[0].data
        signals, population = (signals_of(self.config.signals, audited, each) for each in (asked.samples, data.test))
        scores = scores_of(self.config.attacks, signals, asked.labels, population, labels_of(data.test))
        result = self._result(audited, asked, scores)
        results.mkdir(parents=True, exist_ok=True)
        (results / "result.json").unlink(missing_ok=True)
        asked.save(results / "scores.npz", signals)
        (results / "result.json").write_text(json.dumps(result) + "\n")

    @classmethod
    def sections(cls, results: Path) -> Sequence[Section]:
        """One section: tables of attacks and views, ROC curves, leakage by node and by distance."""
        return [section(json.loads((results / "result.json").read_text()))]

    def _result(self, run: Run, asked: Candidates, scores: Mapping[str, Floats]) -> dict[str, Any]:
        """The content of ``result.json``."""
        views, first = views_of(run.directory.topology), run.nodes[0]
        resamples = Resamples(asked.strata, self.config.resamples, generator(first.seed, "audit.resamples"))
        leaks = {name: [leakage(each, asked, view, resamples) for view in views] for name, each in scores.items()}
        strongest = max(leaks, key=lambda name: leaks[name][0].estimates["auc"].value)
        members, non_members = int(asked.member.sum()), int((~asked.member).sum())
        grid = np.geomspace(1 / non_members, 1, CURVE_POINTS)
        return {
            "settings": self.config.model_dump(mode="json"),
            "round": first.round,
            "nodes": len(run.nodes),
            "members": members,
            "non_members": non_members,
            "strongest": strongest,
            "matrix": leakage_matrix(scores[strongest], asked).tolist(),
            "fpr": grid.tolist(),
            "attacks": {name: {leak.view.name: _plain(leak, grid) for leak in found} for name, found in leaks.items()},
        }


def _plain(leak: Leakage, grid: Floats) -> dict[str, Any]:
    """For JSON, in which there is no NaN: what is not known is null. ``tpr`` is the ROC curve at the FPRs ``grid``."""
    values = {name: asdict(estimate) for name, estimate in leak.estimates.items()}
    known = {name: value if isfinite(value["value"]) else None for name, value in values.items()}
    return {"distance": leak.view.distance, **known, "tpr": [leak.roc.tpr_at(fpr) for fpr in grid]}


def _check_known(option: str, names: Sequence[str], known: Mapping[str, object]) -> None:
    noun = f"{option.removeprefix('--')}s"
    for name in names:
        if name not in known:
            raise wrong(option, f"unknown name '{name}'.", did_you_mean(name, list(known), noun))
