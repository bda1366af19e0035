"""How much each canary seems to have been in: scores that an attacker gives it, high where its node trained on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.attacks.signal import Signal
from auditing.candidates import Candidates, population_of
from auditing.membership.measurement import Measurement
from auditing.privacy.update_regression import coefficients
from auditing.views.observe import Observed, observe
from auditing.views.position import Position
from auditing.views.record import RunRecord
from auditing.views.view import Unseen
from simulator.core.errors import Problem
from simulator.core.samples import Samples
from simulator.runs.run import Run

Floats = NDArray[np.float64]
VIEWS = ("final_model", "message", "all_rounds", "global")
NO_CANARIES = Problem(
    "data.canaries",
    "this run has no canaries, so there is nothing to guess.",
    "Run it again with, for example, data.canaries=20 record.every=1 record.without=[mixed].",
)


def has_canaries(run: Run) -> bool:
    """Whether there are canaries in a run."""
    return "canary_index" in run.directory.partition()


def one_sided(run: Run) -> Iterator[Problem]:
    """Canaries that chance has put all on one side, beside which there is nothing to compare."""
    included = run.directory.partition()["canary_included"]
    if included.all() or not included.any():
        what = f"the coins of all {len(included)} canaries came out alike, so there is nothing to tell apart."
        yield Problem("data.canaries", what, "Run it again with more canaries.")


def canaries_of(run: Run) -> Candidates:
    """The canaries of honest nodes, with the labels that they were given; members are those trained on."""
    kept, train = run.directory.partition(), run.nodes[0].data.train
    asked = ~np.isin(kept["canary_node"], sorted(run.directory.attackers))
    samples = Samples(train.inputs, train.targets, torch.from_numpy(kept["canary_index"][asked]))
    return Candidates(samples, kept["canary_node"][asked], kept["canary_included"][asked])


def scores_of(run: Run, canaries: Candidates, signals: Mapping[str, Signal], known: int) -> dict[str, Floats]:
    """The scores of m canaries, float64 [m] by name, in an order that does not depend on the scores.

    First, where the run recorded updates, `coefficients` (see there for ``known``); then each signal from each of
    `VIEWS` that there is.
    """
    record, first = RunRecord.of(run), run.nodes[0]
    seen = [name for name in VIEWS if _is_seen(name, record, run)]
    observed, _ = observe(record, run.directory.topology, seen)
    nobody = population_of(first.data.test, 1, first.seed)  # these attacks compare with no population
    values = Measurement(run, signals, canaries, dict.fromkeys(signals, nobody)).of(observed).candidates
    found = {"update regression": coefficients(run, record, canaries, known)} if "global" in seen else {}
    for name in signals:
        found |= {f"{name}, {position.name}": score for position, score in _viewed(observed, values[name], canaries)}
    return found


def _is_seen(name: str, record: RunRecord, run: Run) -> bool:
    with suppress(Unseen):
        observe(record, run.directory.topology, [name])
        return True
    return False


def _viewed(observed: Observed, values: Floats, canaries: Candidates) -> Iterator[tuple[Position, Floats]]:
    """The score from each position, float64 [m]: the mean over its observers; 0 of a node that has none."""
    for position in observed.positions:
        score = np.zeros(len(canaries))
        for victim in {pair.victim for pair in position.pairs}:
            seen = dict.fromkeys(pair.observation for pair in position.pairs if pair.victim == victim)
            mine = canaries.node == victim
            sums = [np.sum([part.signal(values)[mine] for part in each.parts], axis=0) for each in seen]
            score[mine] = np.mean(sums, axis=0)
        yield position, score
