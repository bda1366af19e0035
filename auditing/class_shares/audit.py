"""The audit of class shares: what a node's messages tell of the classes that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import PositiveInt
from scipy.stats import spearmanr

from auditing.attackers import attackers_in, honest_nodes
from auditing.class_shares.attackers import ATTACKERS, RecordedRound, Shares
from auditing.class_shares.report import section
from auditing.networks import network_of
from auditing.progress import Countdown
from auditing.public_labels import PublicLabels
from auditing.views.record import RunRecord
from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.report import Section
from simulator.core.soft_labels import SoftLabels
from simulator.results.audit_folder import AuditFolder
from simulator.results.recordings import Recordings
from simulator.runs.audit import Audit
from simulator.runs.run import Run


class ClassSharesAudit(Audit):
    """Estimates which classes a node holds from its labels, its model and its updates, and compares with the truth."""

    class Config(PartSettings):
        """Which messages are read.

        Attributes:
            name: the audit's.
            rounds: whose messages are read; default: all recorded ones.
        """

        name: str = "class_shares"
        rounds: tuple[PositiveInt, ...] = ()

    config: Config
    needs: ClassVar[frozenset[str]] = frozenset({"classes"})

    def objections(self, run: Run) -> Iterator[Problem]:
        """Runs without a public set or recorded messages, and rounds that were not recorded."""
        if run.nodes[0].data.public is None:
            what = "attackers try models on public samples, and this run has none."
            yield Problem("data.public", what, "Run with a public set, for example photo_patches.")
        record = RunRecord.of(run)
        if not record.rounds:
            what = "this run has kept no messages."
            yield Problem("record", what, "Run it again with, for example, record.every=10.")
        elif unknown := sorted(set(self.config.rounds) - set(record.rounds)):
            shown = ", ".join(map(str, record.rounds[:10])) + (" ..." if len(record.rounds) > 10 else "")
            yield Problem("rounds", f"round {unknown[0]} was not recorded.", f"Choose among {shown}.")
        elif not record.keeps("start"):
            what = "updates are measured from the models that rounds began with, and this run left these out."
            yield Problem("record.without", what, "Run it again without start in record.without.")

    def conduct(self, run: Run, folder: AuditFolder) -> dict[str, Any]:
        """Read the messages of honest nodes in recorded rounds, each for itself and all together."""
        record, network, victims = RunRecord.of(run), network_of(run, "fp32"), honest_nodes(run)
        rounds, truth = sorted(set(self.config.rounds)) or record.rounds, _true_shares(victims)
        countdown = Countdown(f"class shares: {len(rounds)} rounds of {len(victims)} models to try")
        found = (RecordedRound(record, each, victims, network, _told(run, each)).estimates() for each in rounds)
        estimates = list(countdown.over(found, [1.0] * len(rounds)))
        return {
            "rounds": list(rounds),
            **attackers_in(run),
            "truth": truth.tolist(),
            "attackers": {
                name: {
                    "all": _measured(_mean([each[name] for each in estimates]), truth),
                    "by_round": [_measured(each[name], truth) for each in estimates],
                }
                for name in ATTACKERS
            },
        }

    @classmethod
    def metrics(cls, result: Mapping[str, Any]) -> dict[str, float]:
        """``<attacker>/tv``, ``<attacker>/rank_correlation`` and ``<attacker>/largest_class``: means over nodes."""
        return {
            f"{name}/{measure}".replace(" ", "_"): float(np.mean(known))
            for name, measured in result["attackers"].items()
            for measure in MEASURES
            if (known := [value for value in measured["all"][measure] if value is not None])
        }

    @classmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """One section: how close each attacker comes, over all nodes and node by node."""
        return [section(folder.result())]


def _told(run: Run, round: int) -> dict[int, SoftLabels]:
    """The labels in the message that a node's first receiver got, by node."""
    labels = PublicLabels(Recordings(run.path / "recordings"), run.nodes[0])
    return {node.id: told for node in honest_nodes(run) if (told := labels.told(round, node.id)) is not None}


def _true_shares(nodes: Sequence[Node]) -> Shares:
    """The class shares of the labels that the nodes train with, float64 [nodes, classes]."""
    train, classes = [node.data.train for node in nodes], nodes[0].data.classes
    counts = [np.bincount(each.targets_at(torch.arange(len(each))).numpy(), minlength=classes) for each in train]
    return np.array([each / each.sum() for each in counts])


def _mean(estimates: Sequence[Shares]) -> Shares:
    """The mean over the rounds in which something is known of a node; NaN where nothing ever is."""
    known = [~np.isnan(each) for each in estimates]
    total = np.sum([np.where(there, each, 0.0) for there, each in zip(known, estimates, strict=True)], axis=0)
    count = np.sum(known, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _measured(estimates: Shares, truth: Shares) -> dict[str, list[float | None]]:
    """How close ``estimates`` are to ``truth``, both float64 [nodes, classes]: a figure a node, None where unknown."""
    pairs = [
        (None, right) if np.isnan(guess).any() else (guess, right)
        for guess, right in zip(estimates, truth, strict=True)
    ]
    return {
        name: [None if guess is None else _known(measure(guess, right)) for guess, right in pairs]
        for name, measure in MEASURES.items()
    }


def total_variation(guess: Shares, truth: Shares) -> float:
    """Half the sum of absolute differences: 0 for the truth, at most 1."""
    return float(np.abs(guess - truth).sum() / 2)


def rank_correlation(guess: Shares, truth: Shares) -> float:
    """Spearman's rank correlation over classes; NaN where all classes are guessed alike."""
    return float(spearmanr(guess, truth).statistic) if np.ptp(guess) > 0 < np.ptp(truth) else np.nan


def largest_class(guess: Shares, truth: Shares) -> float:
    """1 if the class of the largest share is right, 0 if wrong; among classes guessed alike, the chance to pick it."""
    if np.isnan(guess).any():
        return np.nan
    first = np.flatnonzero(guess == guess.max())
    return float(np.isin(first, np.flatnonzero(truth == truth.max())).mean())


MEASURES = {"tv": total_variation, "rank_correlation": rank_correlation, "largest_class": largest_class}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
