"""Adapters of low rank (LoRA: Hu et al. 2021, arXiv:2106.09685) in a model that is frozen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pydantic import Field, PositiveInt
from torch import nn

from simulator.core.errors import wrong
from simulator.core.registry import Settings

SEED = 0  # of frozen A, which is the same whatever the seed of the experiment


class LoraSettings(Settings):
    """Adapters: a layer W x becomes W x + (alpha / r) B A x, where A, at random, and B, zero, are trained.

    Gossip averages A and B by themselves, and the mean of products is not the product of means: with (A, B) = (1, 1) at
    one node and (-1, -1) at another it is 1, and the product of the means is 0. So until nodes agree, mixing changes
    what they compute together. With ``freeze_a``, only B is trained and sent (FFA-LoRA: Sun et al. 2024,
    arXiv:2403.12313): then averages are exact, messages have half the size, and noise for privacy enters linearly.

    Attributes:
        r: rank.
        alpha: scale.
        target: the ends of the names of the layers that get an adapter: ``[query, value]``.
        freeze_a: whether A stays as it is.
    """

    r: PositiveInt = 8
    alpha: PositiveInt = 8
    target: tuple[str, ...] = Field(min_length=1)
    freeze_a: bool = False


def with_adapters(model: nn.Module, settings: LoraSettings) -> None:
    """Put adapters into ``model``, of which nothing else is trained any more.

    Raises:
        InputError: peft is not installed, or there are no such layers.
    """
    try:
        import peft
    except ImportError as error:
        what = "adapters are made by peft, which is not installed."
        raise wrong("model.lora", what, "Install it: pip install 'rumormill[peft]'") from error
    config = peft.LoraConfig(
        r=settings.r, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules=list(settings.target)
    )
    names = [name for name, _ in model.named_modules()]
    for each in settings.target:
        if not any(f".{name}".endswith(f".{each}") for name in names):
            linear = {name.rpartition(".")[2] for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
            what, advice = f"the model has no layer '{each}'.", f"Its linear layers are {', '.join(sorted(linear))}."
            raise wrong("model.lora.target", what, advice)
    with _generator_of_its_own(settings.freeze_a):
        try:
            peft.inject_adapter_in_model(config, model)
        except ValueError as error:
            raise wrong("model.lora.target", f"{str(error).splitlines()[0]}", "Name linear layers.") from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_B" in name or ("lora_A" in name and not settings.freeze_a))


@contextmanager
def _generator_of_its_own(is_wanted: bool) -> Iterator[None]:
    with torch.random.fork_rng(devices=[], enabled=is_wanted):
        if is_wanted:
            torch.manual_seed(SEED)
        yield
