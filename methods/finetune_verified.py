"""Fine-tuning on verified samples: what Verifix (Kodge et al. 2024, arXiv:2403.08618) is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy

from simulator.core.arrays import called
from simulator.core.linear_memory import Memory
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.report import FinishedRun, Section
from simulator.core.traits import Traits
from simulator.training.selection import Selection, select

MEASURED = ("test/accuracy/mean", "consensus/test/accuracy")


class FinetuneVerified(Method):
    """Plain SGD on the ``fit`` half of a node's verified samples, from the model that training left.

    Every rate in ``rates`` is tried, for ``epochs`` passes without augmentation; the one of highest accuracy on the
    ``select`` half is taken, and the model stays as it is unless one is better. Labels are needed for both halves.
    """

    class Config(PartSettings):
        """When models are tuned, how long, and what becomes of them.

        Attributes:
            use: what is tuned: a ``copy`` of the final model, a copy at every evaluation (``probe``), or the final
                model itself (``replace``).
            epochs: passes over the fit set; the paper takes 50.
            batch_size: samples a step.
            rates: learning rates to choose from. Empty: nothing is ever tuned.
        """

        name: str = "finetune_verified"
        use: Literal["copy", "probe", "replace"] = "copy"
        epochs: PositiveInt = 20
        batch_size: PositiveInt = 32
        rates: tuple[PositiveFloat, ...] = (0.001, 0.01)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"use": "replace", "rates": ()}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """What it tunes is never sent."""
        way = "trains models on private samples that a node has verified"
        return Traits(
            stackable=True, needs=frozenset({"classes", "verified_data"}), beside_gradients=way, memory=Memory()
        )

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """How good the tuned copies are; nothing under ``replace``, where they are the nodes' models."""
        last = max((metric.round for metric in record.metrics()), default=0)
        network = [metric for metric in record.metrics() if metric.round == last and metric.node is None]
        found = {metric.name: metric.value for metric in network}
        if f"{config.name}/{MEASURED[0]}" not in found:
            return ()
        nodes, consensus = (f"{found[name]:.1%} to {found[f'{config.name}/{name}']:.1%}" for name in MEASURED)
        verdict = (
            f"Fine-tuning copies of the models on verified samples took the nodes' mean test accuracy from {nodes}, "
            f"and that of the average of the copies from {consensus}."
        )
        return [Section("Fine-tuning on verified samples", (verdict,), verdict)]

    def finalize(self, node: Node) -> None:
        """End with a tuned model, under ``replace``."""
        if self.config.use == "replace":
            node.parameters.copy_(self._tune(node).parameters)

    def variant(self, node: Node) -> Tensor | None:
        """The tuned model, at the end under ``copy`` and always under ``probe``."""
        is_due = self.config.use == "probe" or (self.config.use == "copy" and node.round == node.rounds)
        return self._tune(node).parameters.clone() if is_due else None

    def _tune(self, node: Node) -> Selection:
        verified = node.data.verified
        assert verified is not None  # checked before the run: this method needs verified data
        tuned = (self._tuned(node, rate) for rate in self.config.rates)
        chosen = select(node.model, node.parameters, tuned, verified.select, node.data, node.buffers)
        node.log("finetune_verified/rate", self.config.rates[chosen.place] if chosen.is_changed else 0.0)
        node.log("finetune_verified/select/accuracy/before", chosen.before)
        node.log("finetune_verified/select/accuracy/after", chosen.after)
        return chosen

    def _tuned(self, node: Node, rate: float) -> Tensor:
        """float [parameters]: a copy after all steps at this rate."""
        assert node.data.verified is not None  # checked before the run
        model, samples, parameters = node.model, node.data.verified.fit, node.parameters.clone()
        model.bind(parameters, node.buffers and node.buffers.clone())
        with node.drawing("finetune_verified.network"):
            for positions in self._batches(node, len(samples)):
                inputs = node.data.preparation(samples.inputs_at(positions), model.dtype)
                with model.autocast():
                    outputs = called(model.module, inputs)
                model.differentiate(cross_entropy(outputs.to(model.dtype), samples.targets_at(positions)))
                parameters.sub_(model.gradient, alpha=rate)
        return parameters

    def _batches(self, node: Node, samples: int) -> Iterator[Tensor]:
        """int64 [B] positions: one shuffled pass after the other, the same for every rate."""
        rng = node.rng("finetune_verified")
        for _ in range(self.config.epochs):
            yield from torch.split(torch.from_numpy(rng.permutation(samples)), self.config.batch_size)
