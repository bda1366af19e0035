"""The audit of reconstruction: whose updates can be computed by whom, and what of the data can be rebuilt from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import PositiveInt

from auditing.attackers import attackers_in, attackers_planned
from auditing.network_privacy.not_linear import hears_sums
from auditing.reconstruction.attacks import ATTACKS, INVERSIONS, NEEDS, fits
from auditing.reconstruction.conduct import Conduct
from auditing.reconstruction.gradient_matching import MatchingSettings
from auditing.reconstruction.plan import Seen, is_linear, not_followed
from auditing.reconstruction.report import section
from auditing.reconstruction.victims import Victims
from auditing.views.record import RunRecord
from simulator.config.experiment import Experiment
from simulator.core.errors import Problem
from simulator.core.registry import PartSettings, Registry
from simulator.core.report import Section
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import Audit
from simulator.runs.run import Run

PLANNED = (
    "This is a plan: nothing has been trained. Which samples can be rebuilt from updates is asked of a run: run it "
    "with, for example, record.rounds=[1,10], and audit the run directory."
)


class ReconstructionAudit(Audit):
    """Who can compute whose updates, and which samples can be rebuilt from them.

    What can be computed follows from the topology, its schedule and its failures alone, so that it is told of an
    experiment that has not been run as well. The rest needs recorded messages.
    """

    class Config(PartSettings):
        """What is attacked, and how.

        Attributes:
            name: the audit's.
            attacks: default: all that take seconds and have what they need.
            observers: each node, every two nodes together, an eavesdropper on each link, or one who sees all messages.
            messages: whether a node sees each message, or, as by secure aggregation, only the weighted sum of all.
            victims: so many nodes are attacked, drawn by the run's seed.
            rounds: whose updates are attacked; default: the first and the last recorded one.
            averaging: of a plan: nodes do not train, but hold a value each and average in so many steps.
            labels: whether attacks work them out ("inferred") or are told them ("given"), as an upper bound.
            matching: of gradient_matching.
        """

        name: str = "reconstruction"
        attacks: tuple[str, ...] = ()
        observers: Literal["nodes", "pairs", "edges", "all"] = "nodes"
        messages: Literal["each", "sums"] = "each"
        victims: PositiveInt = 8
        rounds: tuple[PositiveInt, ...] = ()
        averaging: PositiveInt | None = None
        labels: Literal["inferred", "given"] = "inferred"
        matching: MatchingSettings = MatchingSettings()

    config: Config
    names: ClassVar[Mapping[str, Registry[Any] | Collection[str]]] = {"attacks": ATTACKS}
    node_by_node: ClassVar[bool] = True

    def objections(self, run: Run) -> Iterable[Problem]:
        """Messages that are not followed; attacks and rounds asked for that there are not."""
        return [*not_followed(run.experiment), *self._unseen(run.experiment), *self._unattackable(run)]

    def _unseen(self, experiment: Experiment) -> Iterator[Problem]:
        yield from self._sums_asked(experiment)
        nodes = experiment.topology.build(experiment.seed).base.num_nodes
        if self.config.observers == "pairs" and nodes <= 2:
            what = f"there are {nodes} nodes, and a pair of observers would have none but itself to learn of."
            yield Problem("observers", what, "Choose observers=nodes.")
        if hears_sums(experiment) and "messages" in self.config.model_fields_set and self.config.messages == "each":
            what = f"{experiment.mixer.name} masks messages, and nodes hear their sums alone."
            yield Problem("messages", what, "Leave it out, or audit an experiment with mixer: gossip.")
        if self._of_sums(experiment) and self.config.observers not in ("nodes", "pairs"):
            what = "sums are known to the nodes that they are made for, and these observers are none."
            yield Problem("observers", what, "Choose observers=nodes or observers=pairs.")

    def _sums_asked(self, experiment: Experiment) -> Iterator[Problem]:
        """What is asked of weighted sums where there are none."""
        asked = {"messages": self.config.messages == "sums", "averaging": self.config.averaging is not None}
        for setting in (name for name, there in asked.items() if there and not is_linear(experiment)):
            what = "it asks what weighted sums tell, and here a rule or an attacker goes by what the models are."
            yield Problem(setting, what, "Leave it out, or audit one with mixer: gossip in which nobody lies.")

    def _of_sums(self, experiment: Experiment) -> bool:
        """Whether nodes hear sums, as asked or since the mixer masks what they send."""
        return self.config.messages == "sums" or hears_sums(experiment)

    def _unattackable(self, run: Run) -> Iterator[Problem]:
        if self.config.averaging:
            what = "a run trains, and its messages are no averages of single values."
            yield Problem("averaging", what, "Leave it out, or audit the experiment: rumormill audit EXPERIMENT.")
        record = RunRecord.of(run)
        if problem := _nothing_kept(record):
            if self.config.attacks or self.config.rounds:
                yield problem
            return
        if unknown := sorted(set(self.config.rounds) - set(record.rounds)):
            shown = ", ".join(map(str, record.rounds[:10])) + (" ..." if len(record.rounds) > 10 else "")
            yield Problem("rounds", f"round {unknown[0]} was not recorded.", f"Choose among {shown}.")
        if not self.config.attacks:
            return
        victims = Victims(run, self.config.labels == "given")
        for attack in self.config.attacks:
            if not fits(attack, victims):
                advice = f"Leave it out; it needs {NEEDS[attack]}."
                yield Problem("--attack", f"{attack} finds nothing to work on in this run.", advice)

    def conduct(self, run: Run, folder: AuditFolder) -> dict[str, Any]:
        """Work out who sees what, and attack what was recorded."""
        seen, problem = self._seen(run.experiment), _nothing_kept(RunRecord.of(run))
        why = problem.what if problem else ""
        result = {"plan": seen.result(), "attacked": None, "unattacked": why, **attackers_in(run)}
        if problem is None:
            result["attacked"] = Conduct(run, folder, self.config).result(seen)
        return result

    def plan(self, experiment: Experiment) -> dict[str, Any]:
        """Who could compute whose updates, of an experiment that has not been run.

        Raises:
            InputError: its messages are not followed.
        """
        seen = self._seen(experiment)
        return {"plan": seen.result(), "attacked": None, "unattacked": PLANNED, **attackers_planned(experiment)}

    def plan_objections(self, experiment: Experiment) -> Iterable[Problem]:
        """As `objections`, before a run; attacks need one."""
        if self.config.attacks:
            what = "attacks need the messages of a run, and this is an experiment that has not been run."
            yield Problem("--attack", what, "Leave it out, or run the experiment with record.every and audit that.")
        for name in sorted({"labels", "matching", "rounds", "victims"} & self.config.model_fields_set):
            what = "it says what is attacked in a run, and this is an experiment that has not been run."
            yield Problem(name, what, "Leave it out, or run the experiment with record.every and audit that.")
        yield from (*not_followed(experiment), *self._unseen(experiment))

    def _seen(self, experiment: Experiment) -> Seen:
        sums = self._of_sums(experiment)
        return Seen.in_network(experiment, self.config.observers, self.config.averaging, sums)

    @classmethod
    def metrics(cls, result: Mapping[str, Any]) -> dict[str, float]:
        """``solved``: the share of updates that observers compute; ``<attack>/identified``, ``<attack>/skill``."""
        found = {"solved": _share(result["plan"])}
        for attack, by_how in ((result["attacked"] or {}).get("together") or {}).items():
            if attack in INVERSIONS and "exact" in by_how:
                found[f"{attack}/identified"] = by_how["exact"]["all"]["share"]
                if by_how["exact"]["all"]["skill"] is not None:
                    found[f"{attack}/skill"] = by_how["exact"]["all"]["skill"]
        return found

    @classmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """One section: who solves whom, what was rebuilt, beside what an attacker had anyway."""
        return [section(folder)]


def _nothing_kept(record: RunRecord) -> Problem | None:
    """Why no update can be attacked, if none can."""
    if not record.rounds:
        what = "this run has kept no messages, so nobody's data was attacked."
        return Problem("record", what, "Run it again with, for example, record.rounds=[1,10].")
    if not record.keeps("start"):
        what = "updates are measured from the models that rounds began with, and this run left these out."
        return Problem("record.without", what, "Run it again without start in record.without.")
    there = [(round, node) for round in record.rounds for node in range(record.nodes)]
    if not any(record.receivers(*each) for each in there):
        what = "no node sent anything in a recorded round, so nobody's data was attacked."
        return Problem("record", what, "Record other rounds, and run it again.")
    if any(record.masked_to(*each) for each in there):
        what = "this run's messages are masked, so nobody makes out the update of one node, and none was attacked."
        return Problem("mixer", what, "Audit a run with mixer: gossip to see what single messages would tell.")
    if not record.shows_trained:
        what = "this run's mixer sends no models that have just been trained, so messages hold no updates."
        return Problem("mixer", what, "Use gossip, adapt_then_combine.")
    return None


def _share(plan: Mapping[str, Any]) -> float:
    solved = sum(value or 0 for row in plan["solved"] for value in row)
    made = sum(value or 0 for row in plan["updates"] for value in row)
    return solved / made if made else 0.0
