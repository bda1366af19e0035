"""How much each canary seems to have been in: scores that an attacker gives it, high where its node trained on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.candidates import Candidates, population_of
from auditing.membership.scoring import signals_of
from auditing.privacy.update_regression import coefficients
from auditing.views.positions import observe
from auditing.views.record import RunRecord
from auditing.views.view import Observed, Unseen, View
from simulator.core.errors import wrong
from simulator.core.samples import Samples
from simulator.runs.run import Run

Floats = NDArray[np.float64]
VIEWS = ("final_model", "message", "all_rounds", "global")


def canaries_of(run: Run) -> Candidates:
    """The canaries of all nodes, with the labels that they were given; members are those trained on.

    Raises:
        InputError: the run has none.
    """
    kept, train = run.directory.partition(), run.nodes[0].data.train
    if "canary_index" not in kept:
        what = "this run has no canaries, so there is nothing to guess."
        advice = "Run it again with, for example, data.canaries=20 record.every=1 record.without=[mixed]."
        raise wrong("data.canaries", what, advice)
    samples = Samples(train.images, train.labels, torch.from_numpy(kept["canary_index"]))
    return Candidates(samples, kept["canary_node"], kept["canary_included"])


def scores_of(run: Run, canaries: Candidates, signals: Sequence[str], known: int) -> dict[str, Floats]:
    """float64 [m] by name, in an order that does not depend on the scores.

    First, where the run recorded updates, `coefficients` (see there for ``known``); then each signal from each of
    `VIEWS` that there is.
    """
    record, first = RunRecord.of(run), run.nodes[0]
    seen = [name for name in VIEWS if _is_seen(name, record, run)]
    observed, _ = observe(record, run.directory.topology, seen)
    nobody = population_of(first.data.test, 1, first.seed)  # these attacks compare with no population
    values, _ = signals_of(signals, run, observed, canaries, dict.fromkeys(signals, nobody))
    found = {"update regression": coefficients(run, record, canaries, known)} if "global" in seen else {}
    for name in signals:
        found |= {f"{name}, {view.name}": score for view, score in _viewed(observed, values[name], canaries)}
    return found


def _is_seen(name: str, record: RunRecord, run: Run) -> bool:
    with suppress(Unseen):
        observe(record, run.directory.topology, [name])
        return True
    return False


def _viewed(observed: Observed, values: Floats, canaries: Candidates) -> Iterator[tuple[View, Floats]]:
    """Of each view, float64 [m]: the mean over all who look on; 0 of a node that nobody looks on."""
    for view in observed.views:
        score = np.zeros(len(canaries))
        for victim in {pair.victim for pair in view.pairs}:
            seen = dict.fromkeys(pair.observation for pair in view.pairs if pair.victim == victim)
            mine = canaries.node == victim
            score[mine] = np.mean([each.signal(values)[mine] for each in seen], axis=0)
        yield view, score
