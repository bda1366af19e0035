"""Promises: what a run's methods claim about one training sample of each node, and what speaks against the claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from auditing.attackers import honest_nodes
from simulator.core.errors import wrong
from simulator.core.method import traits_of
from simulator.core.node import Node
from simulator.privacy.accounting import GaussianSteps
from simulator.privacy.budget_settings import BudgetSettings
from simulator.results.run_directory import RunDirectory
from simulator.runs.run import Run, experiment_of


@dataclass(frozen=True)
class Promise:
    """(epsilon, delta) of one training sample, with it and without it; an epsilon of None promises nothing.

    Attributes:
        mechanism: what keeps the promise, where there is one.
        steps: how many steps of it the node took.
    """

    epsilon: float | None
    delta: float
    mechanism: GaussianSteps | None = None
    steps: int = 0


def promises_of(run: RunDirectory, without: float) -> dict[int, Promise]:
    """By honest node, the least epsilon that a method with a budget leaves it with.

    It holds whatever attackers send and however models are mixed, since that works on what has been made private. The
    delta is ``without`` where no method has a budget.

    Raises:
        InputError: such a method has not told what it has spent: the run has not ended.
    """
    claims: dict[int, list[Promise]] = {node: [] for node in range(run.topology.num_nodes)}
    for settings in _budgets(run):
        for node, arrays in _accounts(run, settings).items():
            claims[node].append(_promise(settings, arrays))
    honest = sorted(claims.keys() - run.attackers)
    return {node: min(claims[node], key=_size, default=Promise(None, without)) for node in honest}


def _size(promise: Promise) -> float:
    return inf if promise.epsilon is None else promise.epsilon


def _promise(settings: BudgetSettings, arrays: dict[str, Any]) -> Promise:
    """Clipped updates of two data sets are twice as far apart as one is from none, and it is these that differ."""
    names = ("epsilon", "delta", "noise_multiplier", "sample_rate", "steps")
    epsilon, delta, sigma, rate, steps = (arrays[name].item() for name in names)
    halved = traits_of(settings).noise == "updates"
    length = int(arrays.get("pass_length", 1))
    sigma = sigma / 2 if halved else sigma
    mechanism = GaussianSteps(sigma, rate, delta, settings.accountant, pass_length=length)
    epsilon = mechanism.epsilon(steps) if halved else epsilon
    return Promise(epsilon, delta, mechanism, steps) if isfinite(epsilon) else Promise(None, delta)


def flags_of(run: Run) -> Iterator[str]:
    """Accounts that are not of what the nodes do, whatever attacks achieve."""
    for settings in _budgets(run.directory):
        accounts = _accounts(run.directory, settings)
        shuffled = [str(node.id) for node in honest_nodes(run) if not _is_accounted(node, accounts[node.id])]
        if shuffled and any("pass_length" in account for account in accounts.values()):
            yield (
                f"{settings.name} accounts for one step of each pass, and the batches of nodes {', '.join(shuffled)} "
                f"are no parts of passes, so its epsilon is not proven."
            )
        elif shuffled:
            yield (
                f"{settings.name} accounts for Poisson samples, and the batches of nodes {', '.join(shuffled)} are "
                f"shuffled ones of fixed length, so its epsilon is not proven."
            )


def _is_accounted(node: Node, account: Mapping[str, Any]) -> bool:
    """Whether batches are drawn as the account has it."""
    if account["sample_rate"] < 1:
        return node.training_set.sampling == "poisson"
    return "pass_length" not in account or node.training_set.sampling in ("cyclic", "shuffled")


def _budgets(run: RunDirectory) -> list[BudgetSettings]:
    methods: Sequence[object] = experiment_of(run).methods
    return [settings for settings in methods if isinstance(settings, BudgetSettings)]


def _accounts(run: RunDirectory, settings: BudgetSettings) -> dict[int, dict[str, Any]]:
    """Of each node, what `methods.differential_privacy.report.keep` saved."""
    found = {each.node: dict(each.arrays) for each in run.artifacts(settings.name)}
    if len(found) != run.topology.num_nodes:
        what = f"the nodes have not told what {settings.name} has spent: the run has not ended."
        raise wrong(f"methods.{settings.name}", what, f"Finish it: rumormill resume {run.path}")
    return found
