"""What a signal is: one number that a model gives for a labelled sample, and which of them members have.

A signal does not know how it is judged; see `auditing.attacks.attack`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.attacks.probed_model import ProbedModel
from simulator.core.arrays import Arrays
from simulator.core.errors import wrong
from simulator.core.flat_module import EVALUATION_BATCH
from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.samples import Samples

SMALLEST = 1e-22  # added before a logarithm is taken, as in the released code of Curvature Clues


class Signal(Part, ABC):
    """One number that a model gives for a labelled sample; override `on_batch`.

    The first line of its docstring says what it is, in `rumormill list signals`.

    Attributes:
        needs: what samples and task must offer, by names in `simulator.core.traits.NEEDS`; unless it says otherwise,
            classes: most formulas are about them.
        members: whether samples that a model was trained on have low or high values.
        second_order: whether it is of second order in the input, so that bf16 would be too coarse for it.
        logarithm: whether to take that of its values, which are positive and spread over orders of magnitude: attacks
            that take a signal as Gaussian need it, and others do not mind.
        kinks: whether it takes differences across kinks of the network, which swamp means; see `curvature`.
        log_probability: whether what `measure` gives is, where the task is a choice among classes, the logarithm of the
            true one's probability.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"classes"})
    members: ClassVar[Literal["low", "high"]] = "low"
    second_order: ClassVar[bool] = False
    logarithm: ClassVar[bool] = False
    kinks: ClassVar[bool] = False
    log_probability: ClassVar[bool] = False

    @abstractmethod
    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """The signal of each sample in ``model``, float [B].

        Args:
            model: in evaluation mode; gives `ProbedModel.outputs` and `ProbedModel.losses`.
            inputs: as the network takes them; of images float [B, channels, height, width], normalised.
            targets: as the task has them; classes are int64 [B].
            rng: for estimators.
        """

    def measure(self, model: ProbedModel, samples: Samples, rng: np.random.Generator) -> NDArray[np.float64]:
        """The signal of each of N samples in ``model``, high for members. float64 [N].

        Arguments and errors are those of `values`.
        """
        values = self.values(model, samples, rng)
        values = np.log(values.clip(min=0) + SMALLEST) if self.logarithm else values  # estimates may lie below 0
        return values if self.members == "high" else -values

    def values(self, model: ProbedModel, samples: Samples, rng: np.random.Generator) -> NDArray[np.float64]:
        """The signal of each of N samples as `on_batch` gives it, whatever members have. float64 [N].

        Args:
            model: with parameters bound.
            samples: labelled; never augmented.
            rng: for estimators; the same numbers for each model make models easier to compare.

        Raises:
            InputError: curvature cannot be had in this precision, or of this network.
        """
        network = model.network
        if self.second_order and network.precision == "bf16":
            what = "curvature cannot be measured in bf16: outputs rounded to 8 bits are steps, which do not bend."
            raise wrong("precision", what, "Measure it in fp64, as audits do whatever the run was trained in.")
        network.module.eval()
        rows = []
        for chunk in torch.split(torch.arange(len(samples)), EVALUATION_BATCH):
            inputs = model.preparation(samples.inputs_at(chunk), network.dtype)
            rows.append(self.on_batch(model, inputs, samples.targets_at(chunk), rng).detach())
        values: NDArray[np.float64] = torch.cat(rows).to(torch.float64).numpy()
        return values


SIGNALS: Registry[Signal] = Registry("signals")


def signals_named(names: Sequence[str]) -> dict[str, Signal]:
    """The signals called ``names``, in this order.

    Raises:
        InputError: there is no such signal.
    """
    return {name: SIGNALS.build(PartSettings(name=name)) for name in names}
