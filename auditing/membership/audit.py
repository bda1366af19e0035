"""The membership audit: attacks on messages and models, from every position in the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from pydantic import PositiveInt
from rich.console import Console as Terminal

from auditing.attacks.membership import ATTACKS, attacks_with, chosen
from auditing.attacks.rmia import RmiaSettings
from auditing.attacks.signals import SIGNALS
from auditing.candidates import Candidates, check_exchangeable, labels_of, planted_in, population_of
from auditing.membership.findings import Judged, findings
from auditing.membership.overfitting import overfitting_gaps
from auditing.membership.references import reference_signals
from auditing.membership.report import section
from auditing.membership.scoring import signals_of
from auditing.membership.self_check import self_check, told
from auditing.metrics import Resamples
from auditing.replicas import train
from auditing.views.positions import VIEWS, observe
from auditing.views.record import RunRecord
from simulator.core import atomic
from simulator.core.damage import read_json
from simulator.core.errors import check_known, wrong
from simulator.core.node import Node
from simulator.core.report import Section
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.core.strict_json import dumps
from simulator.results.console import Console
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import Audit
from simulator.runs.run import Run, experiment_of


class MembershipAudit(Audit):
    """Who can tell that a sample was in a node's training set, from what they see of the run or get at its end."""

    class Config(Audit.Config):
        """Settings of `MembershipAudit`.

        Attributes:
            name: the audit's.
            attacks: names in `ATTACKS`; by default all that the replicas are enough for, without mere variants.
            signals: names in `SIGNALS`.
            views: names in `VIEWS`; by default all from which there is something to see in the run.
            samples: at most this many members, and as many non-members, of each node. Attacks compare them with test
                samples, with as many by signals that take long, and with all by signals that are probabilities.
            resamples: of the bootstrap that gives intervals.
            rmia: what RMIA leaves open.
        """

        name: str = "membership"
        signals: tuple[str, ...] = ("loss", "logit_margin", "modified_entropy", "gradient_norm", "curvature_hvp")
        views: tuple[str, ...] = ()
        samples: PositiveInt = 1000
        resamples: PositiveInt = 500
        rmia: RmiaSettings = RmiaSettings()

    config: Config

    def conduct(self, run: Path, results: Path) -> None:
        """Score the candidates by what each attacker holds, in double precision; see `Audit.conduct`."""
        check_known("--signal", self.config.signals, SIGNALS)
        attacks = chosen(self.config.attacks, self.config.signals, self.config.replicas)
        check_known("--view", self.config.views, VIEWS)
        audited = Run(RunDirectory.open(run), "finished")
        _check_one_view(audited)
        check_exchangeable(experiment_of(audited.directory))
        observed, unseen = observe(RunRecord.of(audited), audited.directory.topology, self.config.views)
        first = audited.nodes[0]
        asked = Candidates.of(audited.nodes, self.config.samples, planted_in(audited.directory.partition()))
        resamples = Resamples(asked.strata, self.config.resamples, generator(first.seed, "audit.resamples"))
        check = self_check(self.config.signals, audited, asked, resamples)
        Terminal(stderr=True).print(told(check), markup=False, highlight=False, soft_wrap=True)
        population = self._population(first)
        compared = any(ATTACKS[attack].replicas for attack in attacks)
        replicas = train(audited, self.config.replicas, [Console()]) if compared else None
        scored = self.config.signals, audited, observed, asked, population
        labels, settled = {name: labels_of(each) for name, each in population.items()}, attacks_with(self.config.rmia)
        judged = Judged(asked, observed, *signals_of(*scored), labels, attacks=settled)
        if replicas:
            signals = reference_signals(self.config.signals, audited, replicas, *scored[2:], results / "references")
            judged = replace(judged, references=signals)
        names = [f"{s}, {a}" for s, a in product(self.config.signals, attacks) if ATTACKS[a].judges(s)]
        result = {"settings": self.config.model_dump(mode="json"), "round": first.round, "nodes": len(audited.nodes)}
        result |= findings(judged, names, resamples) | {"gaps": overfitting_gaps(audited, asked)}
        result |= {"check": check, "left": _left(audited)}
        result |= {"unseen": [f"{each.view}: {each.problems[0].what}" for each in unseen]}
        results.mkdir(parents=True, exist_ok=True)
        (results / "result.json").unlink(missing_ok=True)
        asked.save(results / "scores.npz", judged.signals, observed.names)
        atomic.write(results / "result.json", dumps(result) + "\n")

    def _population(self, node: Node) -> dict[str, Samples]:
        """By signal, what candidates are compared with: where that takes long, a part of the test samples."""
        limits = {name: None if SIGNALS[name].log_probability else self.config.samples for name in self.config.signals}
        return {name: population_of(node.data.test, limit, node.seed) for name, limit in limits.items()}

    @classmethod
    def metrics(cls, results: Path) -> Mapping[str, float]:
        """AUC and TPR at low FPR of each attack from each view: ``<view>/<signal>/<attack>/auc``."""
        attacks = read_json(results / "result.json")["attacks"]
        return {
            f"{view}/{attack.replace(', ', '/')}/{name}".replace(" ", "_"): found[name]["value"]
            for attack, views in attacks.items()
            for view, found in views.items()
            for name in ("auc", "tpr_at_0.01", "tpr_at_0.001")
            if found[name]
        }

    @classmethod
    def sections(cls, results: Path) -> Sequence[Section]:
        """One section: tables of attacks and views, ROC curves, leakage by node, distance, round and victim."""
        topology = RunDirectory(results.parents[1]).topology
        return [section(read_json(results / "result.json"), topology)]


def _left(run: Run) -> int:
    """How many training samples, of all nodes, a method took out of training on the way."""
    return sum(len(node.data.train) - len(node.training_set.private_positions) for node in run.nodes)


def _check_one_view(run: Run) -> None:
    """Refuse nodes that see the same image differently: signals look at all models through one normalizer.

    Raises:
        InputError: they do.
    """
    if len({node.data.normalizer.transform for node in run.nodes}) > 1:
        what = "nodes see images through different input transforms, and mixed models have no image of their own."
        raise wrong("methods", what, "Audit a run in which all nodes have the same, or none.")
