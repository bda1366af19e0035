"""The recorder of per-sample trajectories: what nodes watch, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from methods.trajectories import report
from simulator.core.acting import Acts, If
from simulator.core.canary_marks import BlockMarks
from simulator.core.errors import Problem
from simulator.core.linear_memory import Memory
from simulator.core.method import Method
from simulator.core.nested_state import load_nested, nested
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.report import FinishedRun, Section
from simulator.core.samples import Batch, Samples
from simulator.core.traits import Traits
from simulator.training.observations import Passing, evaluated
from simulator.training.trajectories import Trajectories

AT_ONCE = 1024  # looks that are summed up together


class TrajectoryRecorder(Method):
    """Each node keeps statistics of its own samples over training: cumulative loss, margin, forgetting, EL2N.

    ``mode: byproduct`` takes the losses that training computes in any case: of the samples in a batch, augmented, by
    the model before the step. ``mode: eval_pass`` looks at the whole training set in every ``every``-th round after
    local training, without augmentation: a forward pass more. Labels are those that the node trains on, right or wrong.

    At the end it saves the artifact ``trajectories``, and ``trajectories_validation``, with the arrays of
    `simulator.training.trajectories.Trajectories` and ``index``, the samples' rows in the data set's training arrays;
    and ``trajectories_weights`` with ``norm``, float64 [rounds]: of the node's weights after local training, NaN where
    it was away. Its peak is where to stop early without a validation set, says CSG (ICLR 2026).

    The scores are those of Toneva et al. 2019 (arXiv:1812.05159), Pleiss et al. 2020 (arXiv:2001.10528), Paul et al.
    2021 (arXiv:2107.07075) and Ravikumar et al. ("Towards Memorization Estimation", ICML 2025). Nothing is sent, and
    training is bit-identical to training without it, under any settings.
    """

    class Config(PartSettings):
        """Whether samples are looked at as they are trained on, or in passes of their own.

        Attributes:
            mode: where observations of training samples come from.
            every: rounds from one forward pass to the next.
            early: EL2N is averaged over a sample's first so many observations.
            validation: watch validation samples as well, by a forward pass in either mode.
            keep: keep every loss of every sample, not only statistics.
        """

        acts: ClassVar[Acts] = {"every": If(mode="eval_pass", validation=True)}

        name: str = "trajectories"
        mode: Literal["byproduct", "eval_pass"] = "byproduct"
        every: PositiveInt = 1
        early: PositiveInt = 10
        validation: bool = False
        keep: bool = False

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"mode": "byproduct"}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """It only looks on."""
        return Traits(
            stackable=True,
            row_wise=True,
            needs=frozenset({"classes"} | ({"validation_data"} if config.validation else set())),
            losses="watches",
            beside_gradients=None,
            memory=Memory(),
        )

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Some forward pass must fall into the run."""
        if config.every > plan.rounds and (config.mode == "eval_pass" or config.validation):
            what = f"there is a forward pass every {config.every} rounds, and there are only {plan.rounds}."
            yield Problem("every", what, f"Take {plan.rounds} at most, or more rounds.")

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """How samples fared at each node, and whether that finds what was corrupted."""
        return report.sections(config.mode, record)

    def setup(self, node: Node) -> None:
        """Nothing is observed yet."""
        self._passing = Passing(node)
        self._norm = torch.zeros(node.rounds, dtype=torch.float64)  # 0 where there is none
        self._seen = {
            name: Trajectories(len(samples), self.config.early, keep=self.config.keep)
            for name, samples in self._watched(node).items()
        }

    def _watched(self, node: Node) -> Mapping[str, Samples]:
        train, validation = {"train": node.data.train}, {"validation": node.data.validation}
        return train | validation if self.config.validation else train

    def per_sample_loss(self, node: Node, batch: Batch, logits: Tensor, losses: Tensor) -> Tensor:
        """Note the logits of the batch before the step."""
        if self.config.mode == "byproduct":
            self._passing.note(node.round, batch, logits)
        return losses

    def after_local_training(self, node: Node) -> None:
        """Make the forward passes of this round, and take the norm of the weights."""
        self._norm[node.round - 1] = _norm(node)
        if len(self._passing) >= AT_ONCE:
            self._sum_up()
        if node.round % self.config.every == 0:
            for name, samples in self._watched(node).items():
                if name != "train" or self.config.mode == "eval_pass":
                    rounds = torch.full((len(samples),), node.round)
                    self._seen[name].add(torch.arange(len(samples)), evaluated(node, samples), rounds)

    def _sum_up(self) -> None:
        """When this is done makes no difference to the sums."""
        if len(self._passing):
            self._seen["train"].add(*self._passing.take())

    def finalize(self, node: Node) -> None:
        """Save the statistics."""
        self._sum_up()
        for name, samples in self._watched(node).items():
            artifact = "trajectories" if name == "train" else f"trajectories_{name}"
            node.save(artifact, index=samples.index.numpy(), **self._seen[name].arrays())
        node.save("trajectories_weights", norm=self._norm.where(self._norm > 0, torch.nan).numpy())

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive: the statistics of all samples seen, and norms so far."""
        self._sum_up()
        return {"norm": self._norm.clone(), **nested((f"{name}.", seen) for name, seen in self._seen.items())}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self._norm = state["norm"].cpu().clone()
        load_nested(((f"{name}.", seen) for name, seen in self._seen.items()), state)


def _norm(node: Node) -> float:
    """Of the node's weights; a canaries' block, which the network never reads, is none of them."""
    parameters = node.parameters.double()
    block = node.marks.shown(parameters) if isinstance(node.marks, BlockMarks) else parameters.new_zeros(1)
    return float((parameters.square().sum() - block.square().sum()).sqrt())
