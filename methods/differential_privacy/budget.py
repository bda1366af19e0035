"""A node's privacy budget: how much noise, what it has cost so far, and when it is spent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.core.errors import wrong
from simulator.core.node import Node
from simulator.privacy.accounting import LARGEST, GaussianSteps
from simulator.privacy.budget_settings import BudgetSettings
from simulator.privacy.calibration import noise_multiplier_for
from simulator.privacy.loss_distributions import SMALLEST_DELTA


@dataclass
class Budget:
    """What a node may spend and has spent, with what it has told of its samples before round 1 (`NodeData.released`).

    Attributes:
        steps: Gaussian steps taken.
        a_round: steps that a round takes.
        affordable: steps that keep within ``max_epsilon``; None where there is none.
    """

    mechanism: GaussianSteps
    a_round: int
    affordable: int | None
    steps: int = 0

    @classmethod
    def of(cls, config: BudgetSettings, node: Node, sample_rate: float, a_round: int, pass_length: int = 1) -> Budget:
        """The budget of ``node``, unspent.

        Args:
            config: how much noise, and what it may cost.
            node: whose training set and rounds are counted.
            sample_rate: with which probability a step looks at what is protected.
            a_round: steps a round.
            pass_length: steps in which it is looked at once; see `GaussianSteps`.

        Raises:
            InputError: the promise would be empty, or cannot be kept.
        """
        delta, planned = _delta(config, node, sample_rate < 1), a_round * node.rounds
        sigma = config.noise_multiplier or 0.0
        mechanism = GaussianSteps(sigma, sample_rate, delta, config.accountant, node.data.released, pass_length)
        if config.target_epsilon is not None:
            mechanism = _with_noise_for(config.target_epsilon, config, mechanism, planned)
        _check_size(config, mechanism, planned)
        affordable = None
        if config.max_epsilon is not None:
            affordable = mechanism.affordable(config.max_epsilon, planned)
            if affordable < a_round:
                what = (
                    f"one round costs an epsilon of {mechanism.epsilon(a_round):.3g}, more than {config.max_epsilon:g}."
                )
                raise wrong(f"{config.name}.max_epsilon", what, "Allow more, add noise, or take fewer local steps.")
        return cls(mechanism, a_round, affordable)

    @property
    def epsilon(self) -> float:
        """What the steps taken cost."""
        return self.mechanism.epsilon(self.steps)

    @property
    def is_spent(self) -> bool:
        """Whether one more round would cost too much."""
        return self.affordable is not None and self.steps + self.a_round > self.affordable

    def end_round(self, node: Node) -> None:
        """Ask for the end of the run once the budget is spent."""
        if self.is_spent and node.round < node.rounds:
            node.stop(
                f"its privacy budget is spent: epsilon is {self.epsilon:.4g}, and one more round would exceed it."
            )


def _delta(config: BudgetSettings, node: Node, sampled: bool) -> float:
    samples = len(node.data.train)
    delta = 0.1 / samples if config.delta is None else config.delta
    if delta >= 1 / samples:
        what = f"{delta:g} of {samples} training samples promises nothing: one sample may be given away as it is."
        raise wrong(f"{config.name}.delta", what, f"Choose a delta below {1 / samples:.2g}, or leave it out.")
    if sampled and delta < SMALLEST_DELTA and config.accountant != "rdp":
        what = f"{delta:g} is below what {config.accountant} can tell from rounding errors."
        raise wrong(f"{config.name}.delta", what, f"Choose {SMALLEST_DELTA:g} or more, or accountant: rdp.")
    return delta


def _with_noise_for(target: float, config: BudgetSettings, mechanism: GaussianSteps, steps: int) -> GaussianSteps:
    try:
        return replace(mechanism, noise_multiplier=noise_multiplier_for(target, mechanism, steps))
    except ValueError as error:
        told = "" if mechanism.released is None else ", beside what statistics cost before round 1"
        what = f"no noise is enough for {target:g}{told}: {config.accountant} cannot show so little."
        other = "accountant: pld" if config.accountant == "rdp" else "a larger target_epsilon"
        raise wrong(f"{config.name}.target_epsilon", what, f"Set {other}, or a larger delta.") from error


def _check_size(config: BudgetSettings, mechanism: GaussianSteps, steps: int) -> None:
    """Convolution by ``prv`` needs memory that grows with epsilon."""
    if mechanism.accountant != "prv" or mechanism.noise_multiplier == 0:
        return
    bound = replace(mechanism, accountant="rdp").epsilon(steps)
    if bound > 2 * LARGEST:
        what = f"prv cannot count an epsilon as large as this noise leads to, about {bound:.3g}."
        raise wrong(f"{config.name}.accountant", what, "Set accountant: pld, or add noise.")
