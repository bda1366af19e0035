"""What the report says of training with differential privacy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from methods.differential_privacy.budget import Budget
from simulator.core.node import Node
from simulator.core.report import FinishedRun, LineChart, Section, Table
from simulator.privacy.budget_settings import BudgetSettings

EPSILON = "privacy/epsilon"
BY_RENYI = "epsilon_rdp"  # what the quick accountant makes of the same steps, which is never less
PASS_LENGTH = "pass_length"  # steps of a pass, where batches are the parts of passes
RELEASED = "released"  # the noise multiplier of statistics that nodes have told before round 1


def keep(node: Node, name: str, budget: Budget, **more: NDArray[np.float64]) -> None:
    """Save what the node has spent, and for what; and ``more``, such as the ``clip`` where that moves."""
    mechanism = budget.mechanism
    bound = replace(mechanism, accountant="rdp").epsilon(budget.steps)
    before = {} if mechanism.released is None else {RELEASED: np.array(mechanism.released)}
    passes = {} if mechanism.pass_length == 1 else {PASS_LENGTH: np.array(mechanism.pass_length)}
    node.save(
        name,
        **before,
        **passes,
        **more,
        epsilon=np.array(budget.epsilon),
        **{BY_RENYI: np.array(bound)},
        delta=np.array(mechanism.delta),
        noise_multiplier=np.array(mechanism.noise_multiplier),
        sample_rate=np.array(mechanism.sample_rate),
        steps=np.array(budget.steps),
    )


def section(name: str, unit: str, config: BudgetSettings, record: FinishedRun) -> Section:
    """The promise, what it cost each node, and how the cost grew.

    Args:
        name: of the method, under which the nodes saved their accounts.
        unit: what is protected.
        config: how.
        record: of the run.
    """
    accounts = record.artifacts(name)
    bounded = config.accountant != "rdp" and all(BY_RENYI in each.arrays for each in accounts)  # earlier runs have none
    in_passes = any(PASS_LENGTH in each.arrays for each in accounts)
    sampled = PASS_LENGTH if in_passes else "sample_rate"
    moved = ["clip"] if accounts and all("clip" in each.arrays for each in accounts) else []
    columns = ("epsilon", *([BY_RENYI] if bounded else []), "delta", "noise_multiplier", sampled, "steps", *moved)
    released = sorted({each.arrays[RELEASED].item() for each in accounts if RELEASED in each.arrays})
    one = {PASS_LENGTH: np.array(1)}  # of nodes whose batches are all that they have
    rows = [(str(each.node), *((one | dict(each.arrays))[column].item() for column in columns)) for each in accounts]
    spent = [(metric.round, metric.value) for metric in record.metrics() if metric.name == f"{EPSILON}/max"]
    rounds, values = np.array(spent, dtype=np.float64).reshape(-1, 2).T
    promise = (
        f"What is protected is {unit}, against anybody who sees all that the node sends: with it and without it, that "
        f"differs by no more than the (epsilon, delta) below (add-or-remove neighbours). Clip {config.clip:g}"
        f"{' at first' if moved else ''}, "
        f"accountant {config.accountant}. What the simulation measures (accuracies; mean and deviation of pixels, by "
        f"which images are normalised) is not covered."
    )
    if in_passes:
        promise += (
            " Batches are the parts of passes: each sample is in one step of every pass, and is accounted as if all "
            "knew in which. Without it means with its place in them empty."
        )
    if bounded:
        promise += " Beside each epsilon stands what Renyi divergences (rdp) bound it by, which are quicker and looser."
    if released:
        promise += (
            f" It does cover the statistics that nodes agreed on before round 1, under noise of {released[0]:g} times "
            "what one sample can change in them: that is the first step of every account below."
        )
    own = [each.arrays["stricter"] for each in accounts if "stricter" in each.arrays]
    if own:
        largest = ", ".join(f"{epsilon:.3g}" for epsilon in np.max(own, axis=0))
        promise += (
            f" Some samples have asked for less and are clipped to less: their epsilon is at most {largest}, by "
            "budget. The table is of all others, and who is who is told to nobody."
        )
    return Section(
        title=f"Differential privacy: {name}",
        paragraphs=(promise,),
        verdict=f"Differential privacy ({name}): epsilon is at most {values[-1]:.3g} for {unit}."
        if len(values)
        else "",
        tables=[Table(("node", *(column.replace("_", " ") for column in columns)), rows)] if rows else (),
        charts=[LineChart("Epsilon spent, the largest over nodes", "round", "epsilon", {name: (rounds, values)})],
    )
