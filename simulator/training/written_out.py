"""Gradients sample by sample, written out: each sample has its own row of parameters, and all rows are run at once.

Opacus' hooks would do the same for one node, but where activations are channels-last, as here, those of convolutions
are wrong (Opacus 1.6: `unfold2d` takes the strides of a contiguous image for granted).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from simulator.core.arrays import Arrays, mapped
from simulator.core.flat_module import FlatModule, fill
from simulator.core.sample_gradients import GradientRows
from simulator.training.stacked_module import StackedModule


class WrittenOut:
    """Of whatever network can be vectorised.

    Args:
        module: whose forward pass; its own parameters are left alone.
    """

    def __init__(self, module: FlatModule) -> None:
        self._stacked = StackedModule(module)

    def gradients(
        self, parameters: Sequence[Tensor], lengths: Sequence[int], inputs: Arrays, loss: Callable[[Tensor], Tensor]
    ) -> list[GradientRows]:
        """Those of each node's samples; arguments are those of `simulator.training.layerwise.Layerwise.gradients`.

        Raises:
            RunError: ``loss`` depends on the parameters of the module itself.
        """
        module = self._stacked.module
        matrices = [own.expand(length, -1) for own, length in zip(parameters, lengths, strict=True)]
        matrix = matrices[0] if len(matrices) == 1 else torch.cat(matrices)
        views = {name: view.detach().requires_grad_() for name, view in module.named_views(matrix).items()}
        outputs = self._stacked.outputs(views, mapped(inputs, lambda array: array[:, None]))[:, 0]
        rows = outputs.new_zeros(len(outputs), module.num_parameters, dtype=module.dtype)
        fill(module.views(rows), self._stacked.differentiate(loss(outputs), views))
        return [GradientRows(own, module.views) for own in torch.split(rows, list(lengths))]
