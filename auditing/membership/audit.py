"""The membership audit: attacks on messages and models, from every position in the graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from auditing.attackers import attackers_in, honest_nodes
from auditing.attacks.attack import ATTACKS, Attack, attacks_named, lacking
from auditing.attacks.features import public_features
from auditing.attacks.rmia import RmiaSettings
from auditing.attacks.signal import SIGNALS, Signal, signals_named
from auditing.candidates import Candidates, classes_of, groups_in, not_comparable, planted_in, population_of
from auditing.membership.choice import Choice
from auditing.membership.findings import Judged, SignalAttack, findings
from auditing.membership.measurement import Measurement
from auditing.membership.objections import different_transforms, not_alone, nothing_to_see, of_groups
from auditing.membership.overfitting import gap_of, overfitting_gaps
from auditing.membership.references import reference_signals
from auditing.membership.report import section, told_copies, too_narrow
from auditing.membership.self_check import self_check, told
from auditing.metrics import Resamples
from auditing.replicas import not_replicable, train
from auditing.trained_elsewhere.files import audit_files
from auditing.views.observe import observe
from auditing.views.record import RunRecord
from auditing.views.view import VIEWS, Unseen
from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.registry import PartSettings, Registry
from simulator.core.report import Section
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.results.audit_folder import AuditFolder
from simulator.results.console import Console
from simulator.results.terminal import Terminal
from simulator.runs.audit import Audit
from simulator.runs.run import Run
from simulator.runs.trained_elsewhere import TrainedElsewhere


class MembershipAudit(Audit):
    """Who can tell that a sample was in a node's training set, from what they see of the run or get at its end."""

    class Config(PartSettings):
        """What is attacked, from where, by what, and how surely it is to be known.

        Attributes:
            name: the audit's.
            attacks: names of attacks; by default all that the replicas are enough for, without mere variants.
            signals: names of signals, that attacks judge by. Of attacks and signals that nobody named, those that do
                not suit the samples and their task are left out, which is told.
            replicas: how many reference networks to train, each on other halves of the nodes' pools.
            views: names of views; by default all from which there is something to see in the run.
            samples: at most this many members, and as many non-members, of each node. Attacks compare them with test
                samples, with as many by signals that take long, and with all by signals that are probabilities.
            samples_of_group: where samples come in groups, at most this many of each, by the run's seed, so that within
                the same time there are more groups to ask about; by default all.
            resamples: of the bootstrap that gives intervals.
            rmia: what RMIA leaves open.
        """

        name: str = "membership"
        attacks: tuple[str, ...] = ()
        signals: tuple[str, ...] = ("loss", "logit_margin", "modified_entropy", "gradient_norm", "curvature_hvp")
        replicas: NonNegativeInt = 0
        views: tuple[str, ...] = ()
        samples: PositiveInt = 1000
        samples_of_group: PositiveInt | None = None
        resamples: PositiveInt = 500
        rmia: RmiaSettings = RmiaSettings()

    config: Config
    names: ClassVar[Mapping[str, Registry[Any] | Collection[str]]] = {
        "attacks": ATTACKS,
        "signals": SIGNALS,
        "views": VIEWS,
    }

    def objections(self, run: Run) -> Iterator[Problem]:
        """Attacks that lack something, runs in which members cannot be told by others, views with nothing to see."""
        choice = self._choice(run)
        yield from choice.problems
        yield from lacking(self.config.attacks, choice.signals, self.config.replicas)
        yield from not_comparable(run.experiment)
        if groups_in(run.directory.partition()) is None:
            yield from of_groups(self.config.attacks, self.config.samples_of_group)
        if choice.needs_replicas:
            yield from not_replicable(run)
        yield from different_transforms(run)
        yield from not_alone(self.config.views)
        yield from nothing_to_see(run, self.config.views)

    def conduct(self, run: Run, folder: AuditFolder) -> dict[str, Any]:
        """Score the candidates by what each attacker holds, in double precision."""
        choice, terminal = self._choice(run), Terminal(stderr=True)
        for note in choice.notes:
            terminal.print(f"note: {note}", soft_wrap=True)
        signals, partition = signals_named(choice.signals), run.directory.partition()
        observed, unseen = observe(RunRecord.of(run), run.directory.topology, self.config.views)
        first, victims, of_group = run.nodes[0], honest_nodes(run), self.config.samples_of_group
        asked = Candidates.of(victims, self.config.samples, planted_in(partition), groups_in(partition), of_group)
        alone = asked.questions.alone.tolist()
        if alone:
            terminal.print(f"note: {too_narrow(alone)}", soft_wrap=True)
        copies = asked.copied(run.nodes)
        if copies:
            terminal.print(f"note: {told_copies(copies, len(asked))}", soft_wrap=True)
        resamples = Resamples(asked.questions.strata, self.config.resamples, generator(first.seed, "audit.resamples"))
        check = self_check(signals, run, asked, resamples)
        terminal.print(told(check), soft_wrap=True)
        replicas = train(run, self.config.replicas, [Console()]) if choice.needs_replicas else None
        population = self._population(first, signals)
        measurement = Measurement(run, signals, asked, population)
        task = first.data.task
        labels = {name: classes_of(each, task) for name, each in population.items()}
        attacks = attacks_named(choice.attacks, rmia=self.config.rmia)
        judged = Judged(asked, classes_of(asked.samples, task), observed, measurement.of(observed), labels, attacks)
        if any(attack.features for attack in attacks.values()):
            shown = (public_features(asked.samples, each, first.data.preparation) for each in population.values())
            judged = replace(judged, features=dict(zip(population, shown, strict=True)))
        if replicas:
            theirs = replace(measurement, population=_compared_in_replicas(population, signals, attacks))
            references = reference_signals(theirs, observed, replicas, folder.subfolder("references"))
            judged = replace(judged, references=references)
        pairs = product(signals, attacks)
        able = [SignalAttack(signal, attack) for signal, attack in pairs if attacks[attack].judges(signals[signal])]
        folder.save_arrays({**asked.arrays(), "model": np.array(observed.names), **judged.measured.candidates})
        return {
            "round": first.round,
            "nodes": len(run.nodes),
            **attackers_in(run),
            **findings(judged, able, resamples),
            "gaps": overfitting_gaps(run, asked),
            "gap": gap_of(task),
            "candidates": len(asked),
            "groups": asked.group is not None,
            "alone": alone,
            "unfit": list(choice.notes),
            "check": check,
            "left": _left(run),
            **({"copies": copies} if copies else {}),
            "unseen": [*_why(unseen), *_told_beforehand(run)],
        }

    @classmethod
    def of_models(cls, given: TrainedElsewhere, options: Mapping[str, Any]) -> Path:
        """See `auditing.trained_elsewhere`."""
        return audit_files(given, options)

    def _choice(self, run: Run) -> Choice:
        return Choice.of(self.config, run.nodes[0].data.offers)

    def _population(self, node: Node, signals: Mapping[str, Signal]) -> dict[str, Samples]:
        """By signal, what candidates are compared with: where that takes long, a part of the test samples."""
        limits = {name: None if signal.log_probability else self.config.samples for name, signal in signals.items()}
        return {name: population_of(node.data.test, limit, node.seed) for name, limit in limits.items()}

    @classmethod
    def metrics(cls, result: Mapping[str, Any]) -> dict[str, float]:
        """AUC and TPR at low FPR of each attack from each view: ``<view>/<signal>/<attack>/auc``."""
        return {
            f"{view}/{attack.replace(', ', '/')}/{name}".replace(" ", "_"): found[name]["value"]
            for attack, views in result["attacks"].items()
            for view, found in views.items()
            for name in ("auc", "tpr_at_0.01", "tpr_at_0.001")
            if found[name]
        }

    @classmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """One section: tables of attacks and views, ROC curves, leakage by node, distance, round and victim."""
        return [section(folder.result(), folder.run.topology)]


def _compared_in_replicas(
    population: Mapping[str, Samples], signals: Mapping[str, Signal], attacks: Mapping[str, Attack]
) -> dict[str, Samples]:
    """The ``population`` of those signals whose values of it in replicas an attack asks for."""
    asking = [attack for attack in attacks.values() if attack.population and attack.replicas]
    return {
        name: samples for name, samples in population.items() if any(attack.judges(signals[name]) for attack in asking)
    }


def _why(unseen: Sequence[Unseen]) -> list[str]:
    """What there is nothing to see from, by reason."""
    reasons = dict.fromkeys(each.problems[0].what for each in unseen)
    views = {what: [each.view for each in unseen if each.problems[0].what == what] for what in reasons}
    return [f"{', '.join(names)}: {what}" for what, names in views.items()]


def _left(run: Run) -> int:
    """How many training samples, of all nodes, a method took out of training on the way."""
    return sum(len(node.data.train) - len(node.training_set.private_positions) for node in honest_nodes(run))


def _told_beforehand(run: Run) -> Iterator[str]:
    """What nodes have told of their samples before the first round."""
    if run.directory.statistics():
        yield (
            "statistics: sums that sites told before round 1. On the way to node 0, a neighbour sees those of all "
            "who are behind it, which may be one site alone; no attack here looks at them."
        )
