"""Updates of small networks with known batches, for attacks to invert."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from auditing.reconstruction.gradients import observed_gradient
from auditing.reconstruction.scene import Scene
from auditing.reconstruction.updates import ObservedUpdate
from simulator.core.flat_module import FlatModule
from simulator.core.specification import InputSpec
from simulator.core.training import OptimizerSettings, TrainingSettings
from simulator.tasks.classification import Classification


def task():
    return Classification(Classification.Config(name="classification"))


def mlp(seed, inputs=64, hidden=512, classes=10):
    torch.manual_seed(seed)
    return FlatModule(
        nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes)), "fp64"
    )


def trained(network, batches, optimizer):
    """The parameters after a step on each of ``batches``, of (inputs, labels), by PyTorch's own SGD."""
    flat = network.initial.clone()
    network.bind(flat)
    parameters = [each for each in network.module.parameters() if each.requires_grad]
    sgd = torch.optim.SGD(parameters, **optimizer.model_dump())
    for inputs, labels in batches:
        loss = nn.functional.cross_entropy(network.module(inputs), labels)
        for each, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            each.grad = gradient
        sgd.step()
    return flat


def scene(network, batches, *, public=None, dtype=torch.float64, vocabulary=0, labels=None, seed=0, **settings):
    """What is seen of a first round of steps on ``batches``; models are rounded to ``dtype`` on their way."""
    optimizer = OptimizerSettings(lr=settings.pop("lr", 0.1), **settings)
    start, end = network.initial.clone(), trained(network, batches, optimizer)
    start, end = (each.to(dtype).double() for each in (start, end))
    rounding = torch.finfo(dtype).eps / 2 * (start.abs() + end.abs())
    update = ObservedUpdate(0, 1, "exact", None, start, end - start, rounding)
    training = TrainingSettings(local_steps=len(batches), batch_size=len(batches[0][1]), optimizer=optimizer)
    inputs = batches[0][0]
    spec = InputSpec("arrays", tuple(inputs.shape[1:]), vocabulary=vocabulary)
    outputs = network.module(inputs).shape[1]
    data = SimpleNamespace(task=task(), classes=outputs, inputs=spec, preparation=None)
    node = SimpleNamespace(data=data)
    return Scene(
        network,
        observed_gradient(update, training, optimizer.lr),
        len(inputs),
        node,
        torch.randn_like(inputs.double()) if public is None else public,
        np.random.default_rng(seed),
        labels=labels,
    )


def batch(seed, size, classes=10, inputs=64):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(size, inputs, generator=generator, dtype=torch.float64),
        torch.randint(classes, (size,), generator=generator),
    )
