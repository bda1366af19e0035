"""The audit's check of itself: what a network says of the candidates that has seen none of them.

If it can tell members from non-members, these differ by themselves, and every figure of the audit is off by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import Signal
from auditing.candidates import Candidates
from auditing.finite import check_finite
from auditing.learning import copied, learn, passes
from auditing.metrics import Ranking, Resamples, estimates
from auditing.networks import network_of
from auditing.progress import Countdown
from auditing.threads import one_a_core
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData
from simulator.core.seeding import generator
from simulator.runs.run import Run

STEPS = 200  # of Adam on test samples: enough to know classes, and what is labelled wrong
PASSES = 16  # over the test samples, at most: more of a few only learn these by heart
OUTSIDER = "trained on test samples alone"


def self_check(
    signals: Mapping[str, Signal], run: Run, candidates: Candidates, resamples: Resamples
) -> dict[str, dict[str, Any]]:
    """By signal, the AUC of one threshold on it in a network like the run's that was `trained` on test samples alone.

    Returns:
        Each an `Estimate` as plain data, and ``passed``: whether .5 lies within its interval. By chance it does not
        once in twenty times.
    """
    data, seed = run.nodes[0].data, run.nodes[0].seed
    with one_a_core() as pool:  # one thread, so that the number of cores does not change results
        network = pool.submit(trained, network_of(run, "fp32", with_state=True), data, seed).result()
        found = {
            name: pool.submit(_auc, name, signal, copied(network, "fp64"), candidates, data, seed, resamples)
            for name, signal in signals.items()
        }
        countdown = Countdown(f"check: it scores {len(candidates):,} candidates", unit="signals")
        results = countdown.over((each.result() for each in found.values()), [1.0] * len(found))
        return dict(zip(found, results, strict=True))


def trained(network: FlatModule, data: NodeData, seed: int) -> FlatModule:
    """``network`` after some steps of Adam on the test samples, which are no node's; progress is told."""
    steps = min(STEPS, passes(PASSES, len(data.test)))
    countdown = Countdown(f"check: a network learns from {len(data.test):,} test samples alone", unit="steps")
    counted = countdown.over(range(steps), [1.0] * steps)
    targets = data.test.targets_at(torch.arange(len(data.test)))
    model, rng = ProbedModel(network, data.preparation, data.task), generator(seed, "audit.check.batches")
    learn(model, data.test, targets, counted, rng)
    return network


def told(check: Mapping[str, Mapping[str, Any]]) -> str:
    """One sentence on what `self_check` found, for people."""
    shown = ", ".join(
        f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}] ({name})" for name, each in check.items()
    )
    failed = [name for name, each in check.items() if not each["passed"]]
    verdict = "where .5 is right, within each interval"
    if failed:
        verdict = (
            f"but .5 is not within the interval of {', '.join(failed)}: members seem to differ from non-members by "
            "themselves, and the other AUCs are off by as much (by chance this happens once in twenty times)"
        )
    return f"Check: a network {OUTSIDER} tells members from non-members with an AUC of {shown}, {verdict}."


def _auc(
    name: str,
    signal: Signal,
    network: FlatModule,
    candidates: Candidates,
    data: NodeData,
    seed: int,
    resamples: Resamples,
) -> dict[str, Any]:
    model = ProbedModel(network, data.preparation, data.task)
    values = signal.measure(model, candidates.samples, generator(seed, f"audit.signals.{name}"))
    check_finite(values, name, candidates.samples, OUTSIDER)
    asked = candidates.questions
    ranking = Ranking(asked.scores(values), asked.member)
    resampled = resamples.rocs(ranking, np.arange(len(asked)))
    found = estimates(ranking.roc(), resampled, lambda roc: {"auc": roc.auc})["auc"]
    return asdict(found) | {"passed": found.low <= 0.5 <= found.high}
