"""Signals of tokens, which have no gradient: that of the loss in their embeddings, and how it bends there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from auditing.attacks import curvature
from auditing.attacks.curvature import Losses, Point
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import Signal
from simulator.core.arrays import Arrays
from simulator.core.errors import wrong

IDS = "ids"  # what tokens are called among several arrays
Hook = Callable[[nn.Embedding, tuple[Any, ...], Tensor], Tensor | None]


class EmbeddingGradient(Signal):
    """Norm of the loss's gradient in the embeddings of the sample's tokens."""

    needs: ClassVar[frozenset[str]] = frozenset({"tokens"})

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """The Euclidean norm over all tokens and dimensions; see `curvature.gradient_norm`."""
        return curvature.gradient_norm(*of_embeddings(model, inputs, targets))


class EmbeddingCurvature(Signal):
    """Squared norm of the loss's Hessian in the embeddings of the sample's tokens, by differences of gradients."""

    needs: ClassVar[frozenset[str]] = frozenset({"tokens"})
    second_order: ClassVar[bool] = True
    logarithm: ClassVar[bool] = True
    kinks: ClassVar[bool] = True

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H^2) by finite differences, which fused attention allows; see `curvature.fd`."""
        return curvature.fd(*of_embeddings(model, inputs, targets), rng)


def of_embeddings(model: ProbedModel, inputs: Arrays, targets: Tensor) -> tuple[Losses, Point]:
    """The task's losses as a function of the tokens' embeddings, and these.

    Embeddings are what each `torch.nn.Embedding` puts out that is given the tokens themselves; embeddings of positions
    are not.

    Raises:
        InputError: no embedding is given the tokens.
    """
    ids = inputs[IDS] if isinstance(inputs, Mapping) else inputs
    found = dict[nn.Embedding, Tensor]()

    def note(embedding: nn.Embedding, given: tuple[Any, ...], embedded: Tensor) -> None:
        if _same(given[0], ids):
            found[embedding] = embedded.detach()

    embeddings = [each for each in model.network.module.modules() if isinstance(each, nn.Embedding)]
    with torch.no_grad(), _hooked(embeddings, note):
        model.outputs(inputs)
    if not found:
        what = f"none of the network's {len(embeddings)} torch.nn.Embedding is given the tokens as they are."
        raise wrong("--signal", what, "Ask for signals that need no embeddings: loss, logit_margin or gradient_norm.")

    def outputs(at: Point) -> Tensor:
        ours = dict(zip(found, at, strict=True))
        with _hooked(ours, lambda embedding, given, _: ours[embedding] if _same(given[0], ids) else None):
            return model.outputs(inputs)

    return Losses(outputs, lambda outputs: model.task.losses(outputs, targets)), tuple(found.values())


@contextmanager
def _hooked(embeddings: Any, hook: Hook) -> Iterator[None]:
    handles = [embedding.register_forward_hook(hook) for embedding in embeddings]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _same(given: Any, ids: Tensor) -> bool:
    """Whether it is the tokens themselves, however they are shaped or passed on."""
    return isinstance(given, Tensor) and given.data_ptr() == ids.data_ptr() and given.numel() == ids.numel()
