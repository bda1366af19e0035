"""Verifix (Kodge et al. 2024, arXiv:2403.08618): the method itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from methods.verifix import report
from methods.verifix.activations import layer_inputs, layers
from methods.verifix.projection import Spectrum, corrected, spectrum
from methods.verifix.settings import VerifixSettings
from simulator.core.errors import Problem, diverged
from simulator.core.linear_memory import Memory
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.report import FinishedRun, Section
from simulator.core.traits import Traits
from simulator.training.selection import Selection, select


class Verifix(Method):
    """A model trained on noisy labels keeps only what a small verified set has a use for.

    Each node puts the ``fit`` half of its verified samples through its model. With R the inputs of a linear layer, or
    the patches that a convolution sees, as columns, and R = U S V^T, the layer's weights W, one row an output, become::

        s_i = S_i^2 / sum_j S_j^2 ;  lambda_i = alpha s_i / ((alpha - 1) s_i + 1)
        W <- W (U diag(lambda) U^T)^T

    all layers at once, biases and normalisation untouched. No labels are needed for this. The one alpha for all layers
    is that of highest accuracy on the ``select`` half; the model stays as it is unless one is better, and of those that
    are equally good the largest alpha, which changes the model least, wins (this last rule is ours). A model that goes
    on training after a correction does so with its optimizer's momentum at 0; list this method before others with a
    momentum of their own, so that they see corrected models.

    Where the fit half has fewer rows than a layer has inputs, directions it has nothing in are lost under every alpha:
    the report names such layers. Samples of few classes keep the directions of these classes only. Layers other than
    `torch.nn.Linear` and `torch.nn.Conv2d` keep their weights, and so does one that the network never calls.

    Unlike the released code, verified samples are given, not chosen by their curvature, and all their patches count.
    """

    Config = VerifixSettings
    config: VerifixSettings
    neutral: ClassVar[Mapping[str, Any]] = {"use": "after_mixing", "every": 1, "alphas": ()}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Corrections are not linear where corrected models are trained on."""
        return Traits(
            stackable=True,
            needs=frozenset({"classes", "verified_data"}),
            beside_gradients="lets private samples that a node has verified decide on the models that it makes",
            memory=None if config.feeds_back else Memory(),
        )

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """``every`` belongs to the uses that feed back, and must come to pass."""
        if config.feeds_back and config.every is None:
            what = f"{config.use} is done every so many rounds, and it is not said how many."
            yield Problem("every", what, "Set every, for example every: 10.")
        elif config.every is not None and config.every > plan.rounds:
            what = f"the first correction would be after {config.every} rounds, and the run has {plan.rounds}."
            yield Problem("every", what, f"Choose {plan.rounds} at most.")

    @classmethod
    def check_network(cls, config: Any, network: nn.Module) -> Iterable[Problem]:
        """Each layer must have one input space and a weight of its own."""
        own = {name for name, _ in network.named_parameters()}
        for name, layer in layers(network):
            if isinstance(layer, nn.Conv2d) and layer.groups > 1:
                what = f"cannot correct the grouped convolution {name}: its {layer.groups} groups see different inputs."
                yield Problem("", what, "Take a network without grouped convolutions, or remove the method.")
            if name not in own:
                what = f"cannot correct {name}: another layer has the same weight."
                yield Problem("", what, "Take a network without shared weights, or remove the method.")

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """Accuracy before and after at each node and for the consensus model, alphas, and what the layers kept."""
        return report.sections(config, record)

    def after_local_training(self, node: Node) -> None:
        """Send a corrected model, under ``before_mixing``."""
        if self.config.use == "before_mixing" and self._is_due(node):
            self._replace(node)

    def after_mixing(self, node: Node) -> None:
        """Go on with a corrected model, under ``after_mixing``."""
        if self.config.use == "after_mixing" and self._is_due(node):
            self._replace(node)

    def finalize(self, node: Node) -> None:
        """End with a corrected model, under ``replace``."""
        if self.config.use == "replace":
            self._replace(node)

    def variant(self, node: Node) -> Tensor | None:
        """The corrected model, at the end under ``copy`` and always under ``probe``."""
        is_due = self.config.use == "probe" or (self.config.use == "copy" and node.round == node.rounds)
        return self._correct(node).parameters.clone() if is_due else None

    def _is_due(self, node: Node) -> bool:
        assert self.config.every is not None  # checked before the run
        return node.round % self.config.every == 0

    def _replace(self, node: Node) -> None:
        chosen = self._correct(node)
        if chosen.is_changed:
            node.parameters.copy_(chosen.parameters)
            if node.momentum is not None:
                node.momentum.zero_()

    def _correct(self, node: Node) -> Selection:
        model, verified = node.model, node.data.verified
        assert verified is not None  # checked before the run: this method needs verified data
        given = layer_inputs(model, verified.fit, node.data.preparation)
        if not all(inputs.matrix.isfinite().all() for inputs in given.values()):
            raise diverged(node.id, node.round, "activations")
        spectra = {name: spectrum(inputs) for name, inputs in given.items()}
        alphas = sorted(self.config.alphas, reverse=True)
        candidates = (corrected(model, node.parameters, spectra, alpha) for alpha in alphas)
        chosen = select(model, node.parameters, candidates, verified.select, node.data, node.buffers)
        _record(node, chosen, alphas, spectra)
        return chosen


def _record(node: Node, chosen: Selection, alphas: Sequence[float], spectra: Mapping[str, Spectrum]) -> None:
    """An alpha of infinity stands for no correction, its limit on a verified set that is large enough."""
    alpha = alphas[chosen.place] if chosen.is_changed else inf
    node.log("verifix/alpha", alpha)
    node.log("verifix/select/accuracy/before", chosen.before)
    node.log("verifix/select/accuracy/after", chosen.after)
    node.log("verifix/layers_short_of_rank", sum(layer.rank < layer.size for layer in spectra.values()))
    node.save(
        "verifix",
        alpha=np.array(alpha),
        alphas=np.array(alphas),
        accuracies=chosen.accuracies,
        **{f"{report.SHARES}{name}": layer.all_shares.cpu().numpy() for name, layer in spectra.items()},
        **{f"{report.RANK}{name}": np.array(layer.rank) for name, layer in spectra.items()},
    )
