"""What keeps a run from being audited as asked, beside what attacks, signals and replicas object to themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditing.attacks.attack import ATTACKS
from auditing.views.observe import observe
from auditing.views.record import RunRecord
from auditing.views.view import VIEWS, Unseen
from simulator.core.errors import Problem
from simulator.core.normalizer import Normalizer
from simulator.runs.run import Run


def different_transforms(run: Run) -> Iterator[Problem]:
    """Nodes that see the same image differently: signals look at all models through one preparation."""
    preparations = [node.data.preparation for node in run.nodes]
    if len({each.transform for each in preparations if isinstance(each, Normalizer)}) > 1:
        what = "nodes see images through different input transforms, and mixed models have no image of their own."
        yield Problem("methods", what, "Audit a run in which all nodes have the same, or none.")


def of_groups(attacks: Sequence[str], samples_of_group: int | None) -> Iterator[Problem]:
    """What is asked for that is about groups, where samples come in none."""
    what = "the samples of this run come in no groups."
    if samples_of_group:
        advice = "Leave it out; `samples` limits how many of a node are asked about."
        yield Problem("samples_of_group", what, advice)
    if named := [name for name in attacks if ATTACKS.load(name).groups]:
        yield Problem("--attack", what, f"Leave {' and '.join(named)} out: other attacks ask about each sample.")


def not_alone(views: Sequence[str]) -> Iterator[Problem]:
    """Views that would stand without what others see of the same messages."""
    if views and not any(VIEWS.load(view).alone for view in views):
        what = f"{' and '.join(views)} would stand alone, as if nothing but labels left a node."
        yield Problem("--view", what, "Ask for --view message as well, by the same samples.")


def nothing_to_see(run: Run, views: Sequence[str]) -> Iterator[Problem]:
    """Those of the ``views`` asked for from which there is nothing to see."""
    record, topology = RunRecord.of(run), run.directory.topology
    for view in views:
        try:
            observe(record, topology, [view])
        except Unseen as error:
            yield from error.problems
