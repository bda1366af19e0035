"""Which tokens were in a round's batches, from the gradient of the embedding: exactly, their set and not their order.

A row of an embedding has a gradient only if its token was in a batch. That fails where the rows are those of another
layer as well (tied weights), and where something moves all rows, such as weight decay, unless it was taken out.
"""

from __future__ import annotations

from torch import nn

from auditing.reconstruction.scene import Scene
from simulator.core.flat_module import FlatModule


def token_set(scene: Scene) -> set[int] | None:
    """The tokens; None where no embedding tells them."""
    name = token_embedding(scene.network, scene.node.data.inputs.vocabulary)
    if name is None:
        return None
    moved, rounding = (
        scene.network.named_views(each)[f"{name}.weight"].abs()
        for each in (scene.gradient.total, scene.gradient.rounding)
    )
    return set((moved > 4 * rounding).any(1).nonzero().flatten().tolist())


def token_embedding(network: FlatModule, vocabulary: int) -> str | None:
    """The name of a trained embedding of the whole vocabulary that no other layer shares; None where there is none."""
    trained = network.named_views(network.initial)
    held = [id(each) for layer in network.module.modules() for each in layer._parameters.values() if each is not None]
    for name, layer in network.module.named_modules():
        alone = isinstance(layer, nn.Embedding) and held.count(id(layer.weight)) == 1
        if alone and f"{name}.weight" in trained and len(trained[f"{name}.weight"]) >= vocabulary > 0:
            return str(name)
    return None
