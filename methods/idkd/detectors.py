"""Detectors: how much a sample looks like a node's own data. The higher the score, the more it does.

``DETECTORS[settings.detector](node, settings)`` looks at the node's current model, and where it must at its training
samples, and returns a `Scorer`. With z the logits of a sample and T the temperature, the scores are:

=========  ==============================================================================================
msp        max_c softmax(z / T)_c (Hendrycks and Gimpel 2017, arXiv:1610.02136), the paper's
energy     T log sum_c exp(z_c / T) (Liu et al. 2020, arXiv:2010.03759, eq. 4, with its sign turned)
max_logit  max_c z_c (Hendrycks et al. 2022, arXiv:1911.11132)
entropy    sum_c p_c log p_c with p = softmax(z / T): the entropy, with its sign turned
knn        cosine similarity of the penultimate features to the k-th nearest training sample's; the same order as
           minus their distance on the unit sphere (Sun et al. 2022, arXiv:2204.06507, section 3)
=========  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from methods.idkd.labels import soft_labels
from methods.idkd.settings import IDKDSettings
from simulator.core.errors import RunError
from simulator.core.node import Node
from simulator.core.samples import Samples
from simulator.training.features import classifier, inputs_of

CHUNK = 1024  # features of a whole public set would take too much memory


class Scored(NamedTuple):
    """What a detector says: logits, float [N, classes], and scores, float64 [N]."""

    logits: Tensor
    scores: Tensor


Scorer = Callable[[Samples], Scored]
Detector = Callable[[Node, IDKDSettings], Scorer]


def msp(logits: Tensor, temperature: float) -> Tensor:
    """float64 [N]: the maximum softmax probability."""
    return soft_labels(logits, temperature).amax(dim=1)


def energy(logits: Tensor, temperature: float) -> Tensor:
    """float64 [N]: minus the free energy."""
    return temperature * (logits.double() / temperature).logsumexp(dim=1)


def max_logit(logits: Tensor, temperature: float) -> Tensor:
    """float64 [N]: the largest logit, whatever the temperature."""
    return logits.double().amax(dim=1)


def entropy(logits: Tensor, temperature: float) -> Tensor:
    """float64 [N]: minus the entropy of the softmax, from -log(classes) to 0."""
    log_p = (logits.double() / temperature).log_softmax(dim=1)
    return (log_p.exp() * log_p).sum(dim=1)


def of_logits(score: Callable[[Tensor, float], Tensor]) -> Detector:
    """The detector that needs nothing but logits."""

    def fit(node: Node, settings: IDKDSettings) -> Scorer:
        def scorer(samples: Samples) -> Scored:
            logits = node.outputs(samples).cpu()
            return Scored(logits, score(logits, settings.temperature))

        return scorer

    return fit


def knn(node: Node, settings: IDKDSettings) -> Scorer:
    """The detector in feature space; fitted to the node's training samples, which never leave it."""
    _, train = logits_and_features(node, node.data.train)
    k = min(settings.nearest, len(train))

    def scorer(samples: Samples) -> Scored:
        pieces = []
        for chunk in torch.split(torch.arange(len(samples)), CHUNK):
            logits, features = logits_and_features(node, samples.subset(chunk))
            nearest = (features @ train.T).topk(k, dim=1).values
            pieces.append(Scored(logits, nearest[:, -1].double()))
        return Scored(*map(torch.cat, zip(*pieces, strict=True)))

    return scorer


def logits_and_features(node: Node, samples: Samples) -> tuple[Tensor, Tensor]:
    """Logits, float [N, classes], and what enters the last fully connected layer, float [N, features] of length 1.

    Raises:
        RunError: the model has no such layer.
    """
    layer = classifier(node.model.module)
    if layer is None:
        raise RunError(
            "idkd's detector knn takes its features before the model's last fully connected layer, and there is none.\n"
            "    Choose another model, or a detector of logits, such as msp."
        )
    with inputs_of(layer) as seen:
        logits = node.outputs(samples).cpu()
    return logits, normalize(torch.cat(seen).to(logits), dim=1)


DETECTORS: Mapping[str, Detector] = {
    "msp": of_logits(msp),
    "energy": of_logits(energy),
    "max_logit": of_logits(max_logit),
    "entropy": of_logits(entropy),
    "knn": knn,
}
