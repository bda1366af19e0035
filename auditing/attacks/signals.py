"""Signals: one number that a model gives for a labelled sample, and which of them members of its training set have.

A signal does not know how it is judged; see `auditing.attacks.membership`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from auditing.attacks import curvature
from simulator.core.errors import wrong
from simulator.core.flat_module import EVALUATION_BATCH, FlatModule
from simulator.core.samples import Normalizer, Samples

SMALLEST = 1e-22  # added before a logarithm is taken, as in the released code of Curvature Clues

OnBatch = Callable[[FlatModule, Tensor, Tensor, np.random.Generator], Tensor]


@dataclass(frozen=True)
class Signal:
    """A signal.

    Attributes:
        on_batch: from the network, images float [B, channels, height, width], labels int64 [B] and random numbers to
            one number a sample, float [B].
        members: whether samples that a model was trained on have low or high values.
        bends: whether it is of second order in the image.
        logarithm: whether to take that of its values, which are positive and spread over orders of magnitude: attacks
            that take a signal as Gaussian need it, and others do not mind.
        kinks: whether it takes differences across kinks of the network, which swamp means; see `curvature`.
        log_probability: whether what `measure` gives is the logarithm of the true label's probability.
    """

    on_batch: OnBatch
    members: Literal["low", "high"] = "low"
    bends: bool = False
    logarithm: bool = False
    kinks: bool = False
    log_probability: bool = False

    def measure(
        self, network: FlatModule, samples: Samples, normalizer: Normalizer, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """float64 [N]: one number a sample at the parameters that ``network`` has bound, high for members.

        Arguments and errors are those of `values`.
        """
        values = self.values(network, samples, normalizer, rng)
        values = np.log(values.clip(min=0) + SMALLEST) if self.logarithm else values  # estimates may lie below 0
        return values if self.members == "high" else -values

    def values(
        self, network: FlatModule, samples: Samples, normalizer: Normalizer, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """float64 [N]: the same as it is, whatever members have.

        Args:
            network: in the precision to compute in.
            samples: labelled; never augmented.
            normalizer: that of the run.
            rng: for estimators; the same numbers for each model make models easier to compare.

        Raises:
            InputError: curvature cannot be had in this precision, or of this network.
        """
        if self.bends and network.precision == "bf16":
            what = "curvature cannot be measured in bf16: outputs rounded to 8 bits are steps, which do not bend."
            raise wrong("precision", what, "Measure it in fp64, as audits do whatever the run was trained in.")
        network.module.eval()
        rows = []
        for chunk in torch.split(torch.arange(len(samples)), EVALUATION_BATCH):
            images = normalizer(samples.images_at(chunk), network.dtype)
            rows.append(self.on_batch(network, images, samples.labels_at(chunk), rng).detach())
        values: NDArray[np.float64] = torch.cat(rows).to(torch.float64).numpy()
        return values


@torch.no_grad()
def loss(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Cross-entropy (Yeom et al. 2018)."""
    return cross_entropy(network.module(images), labels, reduction="none")


@torch.no_grad()
def logit_margin(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """log p_y - log sum_{k != y} p_k with y the true label (Carlini et al. 2022, LiRA, eq. 6)."""
    logits = network.module(images)
    others = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(1)
    margin: Tensor = logits.gather(1, labels[:, None])[:, 0] - others
    return margin


@torch.no_grad()
def modified_entropy(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """-(1 - p_y) log p_y - sum_{k != y} p_k log(1 - p_k) (Song and Mittal 2021, eq. 8)."""
    logits = network.module(images)
    log_p = logits.log_softmax(1)
    # log(1 - p_k) from the other logits: exact where p_k rounds to 1.
    off = torch.eye(logits.shape[1], dtype=torch.bool)
    log_rest = logits[:, None, :].masked_fill(off, -torch.inf).logsumexp(2) - logits.logsumexp(1, keepdim=True)
    true = torch.nn.functional.one_hot(labels, logits.shape[1]).bool()
    return -torch.where(true, log_rest.exp() * log_p, log_p.exp() * log_rest).sum(1)


def gradient_norm(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Euclidean norm of the loss's gradient in the parameters, sample by sample (Nasr et al. 2019)."""

    def sample_loss(parameters: Mapping[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network.module, dict(parameters), (image[None],))
        return cross_entropy(logits, label[None])

    parameters = {name: parameter.detach() for name, parameter in network.module.named_parameters()}
    gradients = vmap(grad(sample_loss), in_dims=(None, 0, 0))(parameters, images, labels)
    return torch.stack([each.flatten(1).square().sum(1) for each in gradients.values()]).sum(0).sqrt()


SIGNALS: Mapping[str, Signal] = {
    "loss": Signal(loss, log_probability=True),
    "logit_margin": Signal(logit_margin, members="high"),
    "modified_entropy": Signal(modified_entropy),
    "gradient_norm": Signal(gradient_norm),
    "curvature_trace": Signal(curvature.trace, bends=True, logarithm=True),
    "curvature_frobenius": Signal(curvature.frobenius, bends=True, logarithm=True),
    "curvature_hvp": Signal(curvature.hvp, bends=True),
    "curvature_fd": Signal(curvature.fd, bends=True, logarithm=True, kinks=True),
    "curvature_zo": Signal(curvature.zo, bends=True, logarithm=True, kinks=True),
    "curvature_zo_trace": Signal(curvature.zo_trace, bends=True, kinks=True),
}
