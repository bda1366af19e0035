"""Samples from the gradient of a first fully connected layer with a bias: exact, and certified.

With z = A x + b the first layer's outputs and delta_n the gradient of the loss of sample n with respect to z, row i of
the gradient of A, divided by entry i of that of b, is a mean of the samples with weights delta_ni. So a unit that is
active for one sample only holds that sample, to the last digit (Phong et al. 2017; Geiping et al. 2020,
arXiv:2003.14053, proposition 3.1).

Whether a unit does so can be told without the truth: what it gives is put through the known network, and if it was that
sample alone, the gradient of the bias that it has by itself is the unit's entry. Rows that give the same vector prove
nothing: with two classes, units that are active for the same samples all give the same mixture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from auditing.reconstruction.scene import Recovered, Scene
from simulator.core.arrays import called
from simulator.core.flat_module import FlatModule

CERTAIN = 1e-9  # relative difference of gradients in float64
ROUNDED = 16.0  # times the rounding of models, relative to a unit's gradient
VISIBLE = 8.0  # times the rounding, from which on a unit's gradient is more than that
ALIKE = 1e-3  # relative distance of two recovered samples that are one
OUTSIDE = 0.02  # of the range of values, by which a sample may leave it


def first_layer(scene: Scene) -> Recovered:
    """All samples that single units hold; else, the only mean that all of the layer gives, which is not certified.

    Certificates need a round of one local step, whose batch has a known size. After several steps the only candidate is
    the mean of the round's samples: the sample itself, where they were all one.
    """
    name = sample_layer(scene.network, scene.public)
    if name is None:
        return Recovered.nothing(scene, "The network has no fully connected layer with a bias that sees the sample.")
    views, rounding = (scene.network.named_views(each) for each in (scene.gradient.total, scene.gradient.rounding))
    weight, bias = views[f"{name}.weight"], views[f"{name}.bias"]
    error = rounding[f"{name}.weight"].amax(1).maximum(rounding[f"{name}.bias"])
    units = (bias.abs() > VISIBLE * error).nonzero().flatten()
    if len(units) == 0:
        return Recovered.nothing(scene, "Nothing to invert: the gradient of the first layer's bias is 0.")
    candidates = weight[units] / bias[units, None]
    relative = CERTAIN + ROUNDED * error[units] / bias[units].abs() * (1 + candidates.abs().amax(1))
    if scene.gradient.steps == 1 and not scene.gradient.mixture:
        right, labels = _certified(scene, name, candidates, units, bias[units], relative)
        if right.any():
            kept = _distinct(candidates[right], relative[right])
            found, of = candidates[right][kept], labels[right][kept]
            return Recovered(_shaped(scene, found), torch.ones(len(found), dtype=torch.bool), of)
    mean = (bias[units] @ weight[units]) / (bias[units] @ bias[units])
    why = "No unit of the first layer holds a single sample for certain; shown is the mean that all of them hold."
    return Recovered(_shaped(scene, mean[None]), torch.zeros(1, dtype=torch.bool), torch.tensor([-1]), (why,))


def sample_layer(network: FlatModule, inputs: object) -> str | None:
    """The name of a trained fully connected layer with bias whose input is the sample itself, flattened; else None."""
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        return None
    one, seen = inputs[:1].to(network.dtype), dict[str, Tensor]()
    layers = {name: layer for name, layer in network.module.named_modules() if _fits(layer, one)}
    hooks = [layer.register_forward_pre_hook(_kept(seen, name)) for name, layer in layers.items()]
    try:
        with torch.no_grad():
            called(network.module, one)
    finally:
        for hook in hooks:
            hook.remove()
    trained = network.named_views(network.initial)
    for name, given in seen.items():
        whole = given.shape == (1, one[0].numel()) and torch.equal(given, one.reshape(1, -1))
        if whole and {f"{name}.weight", f"{name}.bias"} <= trained.keys():
            return name
    return None


def _fits(layer: nn.Module, one: Tensor) -> bool:
    return isinstance(layer, nn.Linear) and layer.bias is not None and layer.in_features == one[0].numel()


def _kept(seen: dict[str, Tensor], name: str):  # type: ignore[no-untyped-def]
    def keep(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.setdefault(name, given[0].detach())

    return keep


def _certified(
    scene: Scene, name: str, candidates: Tensor, units: Tensor, bias: Tensor, relative: Tensor
) -> tuple[Tensor, Tensor]:
    """Which candidates are single samples (bool [K]), and their labels (int64 [K]), by what the network makes of them.

    A sample that was alone in its unit has given it a gradient of ``bias`` times the size of the batch.
    """
    right, labels = torch.zeros(len(units), dtype=torch.bool), torch.full((len(units),), -1)
    right_range = _within(scene, candidates)
    for label in range(scene.classes):
        alone = _bias_gradients(scene, name, candidates, label)[torch.arange(len(units)), units]
        fits = (alone - bias * scene.batch).abs() <= relative * (bias * scene.batch).abs()
        labels[fits & right_range & ~right] = label
        right |= fits & right_range
    return right, labels


def _bias_gradients(scene: Scene, name: str, candidates: Tensor, label: int) -> Tensor:
    """float64 [K, units]: the gradient of the first layer's outputs of each candidate by itself, with this label."""
    network = scene.network
    network.bind(scene.gradient.start)
    outputs: list[Tensor] = []

    def keep(layer: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> Tensor:
        outputs.append(found.requires_grad_() if not found.requires_grad else found)
        return outputs[-1]

    hook = network.module.get_submodule(name).register_forward_hook(keep)
    try:
        scores = called(network.module, _shaped(scene, candidates))
    finally:
        hook.remove()
    losses = scene.node.data.task.losses(scores, torch.full((len(candidates),), label))
    (found,) = torch.autograd.grad(losses.sum(), outputs[0])
    return found.detach()


def _within(scene: Scene, candidates: Tensor) -> Tensor:
    """bool [K]: whether all values are such as inputs have, where that is known."""
    if scene.lowest is None or scene.highest is None:
        return torch.ones(len(candidates), dtype=torch.bool)
    low, high = (
        each.expand(scene.public.shape[1:]).reshape(-1)  # type: ignore[union-attr]
        for each in (scene.lowest, scene.highest)
    )
    room = OUTSIDE * (high - low)
    return ((candidates >= low - room) & (candidates <= high + room)).all(1)


def _distinct(candidates: Tensor, relative: Tensor) -> Tensor:
    """int64: places of the candidates without those that are told apart from a more certain one by rounding only."""
    kept: list[int] = []
    for place in torch.argsort(relative, stable=True).tolist():
        apart = [(candidates[place] - candidates[other]).norm() / candidates[other].norm().clamp(1e-12) for other in kept]
        if all(distance > ALIKE for distance in apart):
            kept.append(place)
    return torch.tensor(kept)


def _shaped(scene: Scene, flat: Tensor) -> Tensor:
    assert isinstance(scene.public, Tensor)  # `sample_layer` has looked
    return flat.reshape(len(flat), *scene.public.shape[1:])
