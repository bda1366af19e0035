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

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from auditing.reconstruction.scene import Recovered, Scene
from simulator.core.arrays import called
from simulator.core.flat_module import FlatModule

CERTAIN = 1e-9  # relative difference of gradients in float64
VISIBLE = 8.0  # times the rounding of models, from which on a unit's gradient is more than that
OUTSIDE = 0.02  # of the range of values, by which a sample may leave it
ALIKE = 1e-6  # relative distance that `torch.cdist` makes of nothing, and more
SHADE = 1 / 512  # relative difference up to which a sample counts as the one itself
LUCK = 1e-3  # expected number of mixtures that pass for a sample in an update, up to which it is certain
LIKELY = 0.05  # and up to which it is taken for one, not certified
ROWS = 2048  # of a layer, those that rounding has touched least


@dataclass(frozen=True)
class Single:
    """A sample that units hold alone, and its label.

    Attributes:
        sample: float64 [values].
        label: with which the network bears it out.
        certain: whether it is beyond chance.
    """

    sample: Tensor
    label: int
    certain: bool


@dataclass(frozen=True)
class Units:
    """What units of the first layer give, most exact ones first.

    Attributes:
        places: int64 [K], which units.
        samples: float64 [K, values], the gradient of the weights over that of the bias.
        weights, bias: these gradients, float64 [K, values] and [K].
        relative: float64 [K], by how much of itself each may be off.
    """

    places: Tensor
    samples: Tensor
    weights: Tensor
    bias: Tensor
    relative: Tensor

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, error: Tensor) -> Units:
        """Those whose gradient is more than rounding; ``error`` (float64 [units]) is what that may be."""
        relative = CERTAIN + error / bias.abs()
        places = torch.argsort(relative, stable=True)
        places = places[bias[places].abs() > VISIBLE * error[places]][:ROWS]
        weight, bias = weight[places], bias[places]
        return cls(places, weight / bias[:, None], weight, bias, relative[places])

    def mean(self, members: Tensor) -> Tensor:
        """float64 [values]: the least squares estimate of what ``members`` (int64 [M]) all hold."""
        bias = self.bias[members]
        mean: Tensor = (bias @ self.weights[members]) / (bias @ bias)
        return mean

    def alike(self) -> Tensor:
        """bool [K, K]: whether two give the same, as far as can be told."""
        size, relative = self.samples.norm(dim=1), (self.relative + self.relative[:, None]).clamp(ALIKE)
        found: Tensor = torch.cdist(self.samples, self.samples) <= relative * size.maximum(size[:, None])
        return found


def first_layer(scene: Scene) -> Recovered:
    """All samples that units hold alone; else, the only mean that all of the layer gives, which is not certified.

    Units are tried in rounds of one local step, whose batch has a known size. Where models were rounded, a sample that
    a single unit holds may be likely and not certain. After several steps the only candidate is the mean of the round's
    samples: the sample itself, where they were all one. There, to find nothing says little; `Recovered.limit` says so.
    """
    name = sample_layer(scene.network, scene.public)
    if name is None:
        return Recovered.nothing(scene, "no fully connected layer with a bias sees the sample")
    views, rounding = (scene.network.named_views(each) for each in (scene.gradient.total, scene.gradient.rounding))
    error, bias = rounding[f"{name}.weight"].amax(1).maximum(rounding[f"{name}.bias"]), views[f"{name}.bias"]
    units = Units.of(views[f"{name}.weight"], bias, error)
    if len(units.places) == 0:
        hidden = "rounding hides the gradient of the first layer" if bias.any() else "the first layer's gradient is 0"
        return Recovered.nothing(scene, hidden)
    alone = scene.gradient.steps == 1 and not scene.gradient.mixture
    if found := _singles(scene, name, units) if alone else []:
        samples = torch.stack([each.sample for each in found])
        sure, labels = (torch.tensor([getattr(each, part) for each in found]) for part in ("certain", "label"))
        return Recovered(_shaped(scene, samples), sure, labels)
    mean = units.mean(torch.arange(len(units.places)))
    limit = "" if alone else f"{_several(scene)}, so only the mean of all samples was looked for"
    return Recovered(_shaped(scene, mean[None]), torch.zeros(1, dtype=torch.bool), torch.tensor([-1]), limit)


def _several(scene: Scene) -> str:
    """Why the first layer's gradient is not that of one batch."""
    return f"there were {scene.gradient.steps} steps" if scene.gradient.steps > 1 else scene.gradient.mixture


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


def _singles(scene: Scene, name: str, units: Units) -> list[Single]:
    """Samples of units that agree and that the network bears out, those of the most exact units first.

    A sample that was alone in its unit has given it a gradient of the bias times the size of the batch. By chance a
    mixture passes that of one unit with a probability that `_luck` estimates. Each further unit that gives the same is
    tried as well; but the gradients of all units are linear in those of the classes, which add up to 0, so no more
    than one less than classes of them are evidence of their own.
    """
    alike, found = units.alike(), list[Single]()
    tries = _groups(alike) * scene.classes
    taken = ~_within(scene, units.samples)
    passed = {label: _luck(scene, name, units, label) for label in range(scene.classes)}
    for leader in range(len(units.places)):
        for label, luck in passed.items():
            if luck[leader].isnan() or taken[leader]:
                continue
            members = (alike[leader] & ~luck.isnan() & ~taken).nonzero().flatten()
            mistaken = tries * float(luck[members][: max(1, scene.classes - 1)].prod())
            if mistaken < LIKELY:
                found.append(Single(units.mean(members), label, mistaken < LUCK and scene.own_losses))
                taken = taken | alike[leader]
    return found


def _groups(alike: Tensor) -> int:
    """How many different vectors there are: those that are like no more exact one."""
    return int((~alike.tril(-1).any(1)).sum())


def _luck(scene: Scene, name: str, units: Units, label: int) -> Tensor:
    """By what chance a mixture would pass for a sample with this label in each unit, float64 [K]; NaN if none does.

    A unit passes if it has the gradient that its sample would have given it alone, as far as rounding lets tell. That
    says nothing where this gradient is nearly the same whatever the sample, as of a network that is sure of its answers
    (each class then adds 0, 1 or -1) or begins with zeros. So the room that rounding leaves is measured by how far the
    gradient moves as the sample does by the size of one.
    """
    whole, places = units.bias * scene.batch, units.places
    alone = _bias_gradients(scene, name, units.samples, label, places).detach()
    room = units.relative * whole.abs()
    fits = (((alone - whole).abs() <= room) & (units.relative < SHADE)).nonzero().flatten()
    chances = torch.full_like(room, torch.nan)
    if len(fits):
        samples = units.samples[fits].requires_grad_()
        moved = _slopes(_bias_gradients(scene, name, samples, label, places[fits]), samples)
        chances[fits] = (2 * room[fits] / (moved * _size(scene))).clamp(max=1.0)
    return chances


def _slopes(gradients: Tensor, samples: Tensor) -> Tensor:
    """By how much each of ``gradients`` (float64 [K]) moves with its own sample (float64 [K, values]), float64 [K]."""
    if not gradients.requires_grad:  # whatever the sample, it is the same
        return torch.zeros_like(gradients)
    (found,) = torch.autograd.grad(gradients.sum(), samples, allow_unused=True, materialize_grads=True)
    moved: Tensor = found.norm(dim=1)
    return moved


def _size(scene: Scene) -> float:
    """The mean norm of a sample, of public ones."""
    assert isinstance(scene.public, Tensor)  # `sample_layer` has looked
    return float(scene.public.double().flatten(1).norm(dim=1).mean())


def _bias_gradients(scene: Scene, name: str, candidates: Tensor, label: int, places: Tensor) -> Tensor:
    """The gradient of one of the first layer's outputs of each candidate by itself, float64 [K].

    Args:
        scene: with the network and its task.
        name: of the layer.
        candidates: float64 [K, values]; where these want gradients, the result can be differentiated once more.
        label: of all of them.
        places: int64 [K], which output.
    """
    network = scene.network
    network.bind(scene.gradient.start)
    outputs: list[Tensor] = []

    def keep(layer: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> Tensor:
        outputs.append(found if found.requires_grad else found.requires_grad_())
        return outputs[-1]

    hook = network.module.get_submodule(name).register_forward_hook(keep)
    try:
        scores = called(network.module, _shaped(scene, candidates))
    finally:
        hook.remove()
    losses = scene.node.data.task.losses(scores, torch.full((len(candidates),), label))
    (found,) = torch.autograd.grad(losses.sum(), outputs[0], create_graph=candidates.requires_grad)
    return found[torch.arange(len(places)), places]


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


def _shaped(scene: Scene, flat: Tensor) -> Tensor:
    assert isinstance(scene.public, Tensor)  # `sample_layer` has looked
    return flat.reshape(len(flat), *scene.public.shape[1:])
