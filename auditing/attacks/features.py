"""Features of samples that anybody has of their inputs: no model that trained on any of them is asked."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from simulator.core.arrays import leaves
from simulator.core.flat_module import EVALUATION_BATCH
from simulator.core.preparation import Preparation
from simulator.core.samples import Samples

Floats = NDArray[np.float64]
DIRECTIONS, COMPONENTS = 512, 32


def public_features(samples: Samples, population: Samples, preparation: Preparation) -> tuple[Floats, Floats]:
    """The principal components of the inputs of a population, at most `COMPONENTS`, in units of their mean length.

    Inputs of more numbers than `DIRECTIONS` are projected onto so many random directions first, which hardly changes
    distances (Johnson and Lindenstrauss).

    Args:
        samples: whose features are wanted, N; they have no say in what the components are.
        population: whose are, too, P.
        preparation: makes of them what networks are given: numbers, not tokens.

    Returns:
        float64 [N, d] and [P, d].
    """
    wanted, usual = (_flat(each, preparation) for each in (samples, population))
    components = PCA(min(COMPONENTS, *usual.shape), svd_solver="full").fit(usual)
    found = [components.transform(each) for each in (wanted, usual)]
    length = np.sqrt(np.mean(np.sum(found[1] ** 2, axis=1)))
    return found[0] / (length or 1.0), found[1] / (length or 1.0)


def _flat(samples: Samples, preparation: Preparation) -> Floats:
    """float64 [N, D] with D at most `DIRECTIONS`."""
    return np.concatenate([_row(preparation, samples, each) for each in _chunks(len(samples))])


def _row(preparation: Preparation, samples: Samples, chunk: torch.Tensor) -> Floats:
    arrays = leaves(preparation(samples.inputs_at(chunk), torch.float64))
    flat: Floats = np.concatenate([array.flatten(1).numpy() for array in arrays], axis=1)
    width = flat.shape[1]
    if width <= DIRECTIONS:
        return flat
    directions = np.random.default_rng(width).normal(size=(width, DIRECTIONS)) / np.sqrt(DIRECTIONS)
    return np.asarray(flat @ directions, np.float64)


def _chunks(number: int) -> tuple[torch.Tensor, ...]:
    return torch.split(torch.arange(number), EVALUATION_BATCH)
