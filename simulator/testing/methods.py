"""The laws of methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulator.core.method import METHODS, Method
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.seeding import generator
from simulator.testing import laws
from simulator.testing.declared import neutral_settings, rows_are_independent
from simulator.testing.given import class_and_settings
from simulator.testing.network import SteppedNetwork


def check_method(method: Any, config: PartSettings | None = None) -> None:
    """All laws of a method, on four nodes that are stepped by hand.

    Args:
        method: its class, a name as in an experiment file, settings with a name, or an object: ``Mine(mu=0.1)``.
        config: the settings, where the class or a name is given; its defaults unless given.

    Raises:
        AssertionError: a law is broken; the text says which.
        InputError: there is no such method.
    """
    part, config = class_and_settings(METHODS, method, config)
    laws.keeps_only_its_config(part, config)
    laws.settings_can_be_written_out(config)
    neutral_settings_change_nothing(part, config.name)

    def build() -> SteppedNetwork:
        return laws.ring(methods=lambda node: [part(config)])

    laws.hold_alike(build)
    laws.survives_pickling(lambda node: node.methods[0], build)
    loss_rows_depend_on_their_own_sample_only(build)


def neutral_settings_change_nothing(method: type[Method], name: str) -> None:
    """Under ``neutral`` settings, training is that without the method, to the bit; or its docstring says why not."""
    neutral = neutral_settings(method)
    if neutral is None:
        assert "neutral" in (method.__doc__ or ""), "say in the docstring why no settings are neutral"
        return
    assert neutral, f"{method.__name__}.neutral must name settings that switch the method off"
    config = method.Config.model_validate({"name": name, **neutral})
    used, unused = laws.ring(methods=lambda node: [method(config)]), laws.ring()
    assert np.array_equal(used.run(laws.ROUNDS), unused.run(laws.ROUNDS)), "neutral settings change training"


def loss_rows_depend_on_their_own_sample_only(build: laws.Build) -> None:
    """d losses[i] / d logits[j] is 0 for i != j, and another sample's logits do not move a loss."""
    node = build().nodes[0]
    method = node.methods[0]
    if type(method).per_sample_loss is Method.per_sample_loss or not rows_are_independent(method):
        return
    rows = torch.arange(5)
    images = node.data.preparation(node.data.train.inputs_at(rows), torch.float64)
    batch = Batch(images, node.data.train.targets_at(rows), rows)
    logits = torch.from_numpy(generator(0, "logits").normal(size=(5, node.data.classes))).requires_grad_()

    def losses(values: Tensor) -> Tensor:
        rows = torch.nn.functional.cross_entropy(values, batch.targets, reduction="none")
        return method.per_sample_loss(node, batch, values, rows)

    assert losses(logits).shape == (5,), "per_sample_loss must return one loss a sample"
    jacobian = torch.autograd.functional.jacobian(losses, logits)  # type: ignore[no-untyped-call]
    others = jacobian[~torch.eye(5, dtype=torch.bool)]
    assert (others == 0).all(), "a sample's loss depends on another sample"
