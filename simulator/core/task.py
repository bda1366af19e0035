"""A task: what is predicted, what a prediction costs, and how good predictions are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from simulator.core.registry import Part, Registry
from simulator.core.specification import OutputSpec

Sums = Mapping[str, Tensor]


class Task(Part, ABC):
    """Owns loss, targets, the meaning of outputs, and scores.

    Outputs are float [B, width] of B samples (of tokens [B, T, width]); what targets are, each task says. Two batches,
    or two sites, are scored together by adding up their `statistics`.

    Attributes:
        scores: the names of all scores, in the order of tables, and whether more of each is better; "loss" is one.
        headline: the score that tables show first.
        has_classes: whether a sample has one of several classes as its target, int64 [B], and outputs are their logits.
        takes_logits: whether outputs are logits, as where it ``has_classes``.
        by_token: whether each token of a sample has outputs of its own, which may depend on none that comes after it.
    """

    scores: ClassVar[Mapping[str, bool]]
    headline: ClassVar[str]
    has_classes: ClassVar[bool] = False
    takes_logits: ClassVar[bool] = False
    by_token: ClassVar[bool] = False

    @property
    def higher_is_better(self) -> bool:
        """Whether more of the headline is better."""
        return self.scores[self.headline]

    @abstractmethod
    def specify(self, targets: Tensor, names: Sequence[str], vocabulary: int) -> OutputSpec:
        """What a network has to put out.

        Args:
            targets: of all training samples.
            names: of classes, labels or quantities, as the data set gives them; empty where it gives none.
            vocabulary: how many different tokens the inputs have; 0 where they are none.

        Raises:
            InputError: the targets are not what the task is about.
        """

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample, float [B], to be differentiated; training minimises their mean.

        It is called under `torch.func.vmap` too, so what it does must not depend on the values it is given.
        """

    @abstractmethod
    def statistics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """float64 or int64 sums over the samples, by name, of which `metrics` makes the scores.

        They are all that a score needs: those of two sets of samples, added up, are those of both sets together.
        """

    @abstractmethod
    def metrics(self, sums: Sums) -> dict[str, float]:
        """The scores, by name: "loss", the headline and others; without those that are undefined for these samples."""

    @abstractmethod
    def undefined(self, sums: Sums, names: Sequence[str] = ()) -> dict[str, str]:
        """Why a score is missing in `metrics`, by its name: "no sample has the label 1".

        What a mean over labels or quantities leaves out stands here too, as "auroc/cough".

        Args:
            sums: as those of `metrics`.
            names: of classes, labels or quantities, as in `OutputSpec`; where there are none, their numbers stand here.
        """

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """float [B]: by how much each sample's target is preferred, high for a confident right answer.

        None where the task knows no such thing.
        """
        return None

    def baseline(self, targets: Tensor, width: int) -> Tensor | None:
        """float64 [width]: outputs that suit ``targets`` where nothing is known of a sample, the same for all of them.

        What a network is worth shows beside the scores of these. None where the task knows no such thing.

        Args:
            targets: of training samples.
            width: size of the last dimension of the network's outputs.
        """
        return None


TASKS: Registry[Task] = Registry("tasks")


def added_up(one: Sums, other: Sums) -> dict[str, Tensor]:
    """The statistics of two sets of samples together."""
    return {name: one[name] + other[name] for name in one}
