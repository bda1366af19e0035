"""The state of a module that serves many nodes: whose buffers it holds, and in which modes its layers are."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from simulator.core.buffers.layout import Buffers, Layout
from simulator.core.buffers.settings import BufferSettings


class State:
    """Puts a node's buffers into the places of a module's.

    Args:
        module: on its device, in its precision.
        layout: which of its buffers are state.
        settings: what becomes of them.

    Attributes:
        initial: the state that the module was made with.
    """

    def __init__(self, module: nn.Module, layout: Layout, settings: BufferSettings) -> None:
        places = dict(module.named_buffers())
        running = [places[name].detach().flatten() for name in layout.running]
        counters = [places[name].flatten().to(torch.int64) for name in layout.counters]
        nothing = next(module.parameters()).new_empty(0)
        self.initial = Buffers(
            layout, settings, torch.cat([nothing, *running]).detach(), torch.cat([nothing.to(torch.int64), *counters])
        )
        self._owners = [
            (layer, key, name)
            for name in (*layout.running, *layout.counters)
            for layer in module.modules()
            for key, buffer in layer._buffers.items()
            if buffer is places[name]
        ]
        self._bound: Buffers | None = None
        self._fixed = False

    def bind(self, buffers: Buffers | None) -> None:
        """Let the module's layers read and write ``buffers``.

        Raises:
            RuntimeError: there are none.
        """
        if buffers is None:
            raise RuntimeError("a network with running statistics is bound together with a model's: its buffers")
        if buffers.fixed != self._fixed:
            self.fix(buffers.fixed)
        if buffers is self._bound:
            return
        self._bound, views = buffers, buffers.views()
        for layer, key, name in self._owners:
            layer._buffers[key] = views[name]

    def fix(self, fixed: bool) -> None:
        """Let statistics move in training, or not; the layers are in the modes of training afterwards."""
        self._fixed = fixed
        for layer, _, _ in self._owners:
            layer.training = not fixed

    def set_modes(self) -> None:
        """Put the layers back into the modes of training."""
        self.fix(self._fixed)


def digest_of_constants(module: nn.Module, layout: Layout | None) -> str:
    """Of all that the nodes of a worker share of a network: frozen parameters, and buffers that are no state."""
    state = {*layout.running, *layout.counters} if layout else set()
    shared: list[Tensor] = [each for _, each in module.named_parameters() if not each.requires_grad]
    shared += [buffer for name, buffer in module.named_buffers() if name not in state]
    digest = hashlib.blake2b(digest_size=16)
    for tensor in shared:
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
