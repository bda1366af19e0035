"""Signals of a network's outputs, and of its gradients in the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from auditing.attacks.signal import Signal
from simulator.core.flat_module import FlatModule


class Loss(Signal):
    """Cross-entropy (Yeom et al. 2018)."""

    log_probability: ClassVar[bool] = True

    @torch.no_grad()
    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """-log p_y with y the true label."""
        return cross_entropy(network.module(images), labels, reduction="none")


class LogitMargin(Signal):
    """Log-odds of the true label against all others (Carlini et al. 2022, LiRA, eq. 6)."""

    members: ClassVar[Literal["low", "high"]] = "high"

    @torch.no_grad()
    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """The margin log p_y - log sum_{k != y} p_k with y the true label."""
        logits = network.module(images)
        others = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
        margin: Tensor = logits.gather(1, labels[:, None])[:, 0] - others
        return margin


class ModifiedEntropy(Signal):
    """Entropy of the prediction, counted for or against the true label (Song and Mittal 2021, eq. 8)."""

    @torch.no_grad()
    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """-(1 - p_y) log p_y - sum_{k != y} p_k log(1 - p_k) with y the true label."""
        logits = network.module(images)
        log_p = logits.log_softmax(1)
        # log(1 - p_k) from the other logits: exact where p_k rounds to 1.
        off = torch.eye(logits.shape[1], dtype=torch.bool)
        log_rest = logits[:, None, :].masked_fill(off, -torch.inf).logsumexp(2) - logits.logsumexp(1, keepdim=True)
        true = torch.nn.functional.one_hot(labels, logits.shape[1]).bool()
        return -torch.where(true, log_rest.exp() * log_p, log_p.exp() * log_rest).sum(1)


class GradientNorm(Signal):
    """Norm of the loss's gradient in the parameters (Nasr et al. 2019)."""

    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """The Euclidean norm of each sample's own gradient."""

        def sample_loss(parameters: Mapping[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            logits = functional_call(network.module, dict(parameters), (image[None],))
            return cross_entropy(logits, label[None])

        parameters = {name: parameter.detach() for name, parameter in network.module.named_parameters()}
        gradients = vmap(grad(sample_loss), in_dims=(None, 0, 0))(parameters, images, labels)
        return torch.stack([each.flatten(1).square().sum(1) for each in gradients.values()]).sum(0).sqrt()
