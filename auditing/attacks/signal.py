"""What a signal is: one number that a model gives for a labelled sample, and which of them members have.

A signal does not know how it is judged; see `auditing.attacks.attack`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.attacks.probed_batch import ProbedBatch, Stack
from auditing.attacks.probed_model import ProbedModel
from simulator.core.arrays import Arrays, mapped
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

    def on_models(self, batch: ProbedBatch, rng: np.random.Generator) -> Tensor:
        """The signal of each sample in each of n models, float [n, B]; as here, by `on_batch` one after the other.

        To be overridden where a signal can be had of all models in one pass, or of outputs that all signals share.

        Args:
            batch: the samples and the models.
            rng: for estimators; all models are probed alike.
        """
        rngs = [*(copy.deepcopy(rng) for _ in range(batch.models - 1)), rng]
        found = [
            self.on_batch(model, mapped(batch.inputs, torch.clone), batch.targets, own).detach()
            for model, own in zip(batch.each(), rngs, strict=True)
        ]
        return torch.stack(found)

    def measure(self, model: ProbedModel, samples: Samples, rng: np.random.Generator) -> NDArray[np.float64]:
        """The signal of each of N samples in ``model``, high for members. float64 [N].

        Arguments and errors are those of `values`.
        """
        return self.for_attacks(self.values(model, samples, rng))

    def for_attacks(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What `values` gave (float64 [...]), high for members."""
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
        values: NDArray[np.float64] = values_of({"": self}, model, samples, {"": rng})[""][0]
        return values


def values_of(
    signals: Mapping[str, Signal],
    model: ProbedModel,
    samples: Samples,
    rngs: Mapping[str, np.random.Generator],
    stack: Stack | None = None,
    done: Callable[[int], None] = lambda number: None,
) -> dict[str, NDArray[np.float64]]:
    """Several signals of N samples in n models, as `Signal.values` has them; what signals share is computed once.

    Args:
        signals: by name.
        model: the network; without a ``stack``, with the only model's parameters bound.
        samples: labelled; never augmented.
        rngs: for estimators, by signal.
        stack: the models.
        done: is told, batch by batch, how many more values there are.

    Returns:
        float64 [n, N] by signal.

    Raises:
        InputError: as `Signal.values`.
    """
    network = model.network
    if network.precision == "bf16" and any(signal.second_order for signal in signals.values()):
        what = "curvature cannot be measured in bf16: outputs rounded to 8 bits are steps, which do not bend."
        raise wrong("precision", what, "Measure it in fp64, as audits do whatever the run was trained in.")
    network.module.eval()
    found: dict[str, list[Tensor]] = {name: [] for name in signals}
    for chunk in torch.split(torch.arange(len(samples)), EVALUATION_BATCH):
        inputs = model.preparation(samples.inputs_at(chunk), network.dtype)
        batch = ProbedBatch(model, inputs, samples.targets_at(chunk), stack)
        for name, signal in signals.items():
            found[name].append(signal.on_models(batch, rngs[name]).detach())
        done(len(signals) * len(chunk) * batch.models)
    return {name: torch.cat(parts, 1).to(torch.float64).numpy() for name, parts in found.items()}


SIGNALS: Registry[Signal] = Registry("signals")


def signals_named(names: Sequence[str]) -> dict[str, Signal]:
    """The signals called ``names``, in this order.

    Raises:
        InputError: there is no such signal.
    """
    return {name: SIGNALS.build(PartSettings(name=name)) for name in names}
