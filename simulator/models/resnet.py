"""ResNet-20 for small images (He et al. 2016, arXiv:1512.03385, section 4.2), with a choice of normalisations."""

from __future__ import annotations

from math import gcd, sqrt
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from simulator.core.acting import Acts, If
from simulator.core.model import Model
from simulator.core.registry import PartSettings
from simulator.core.specification import InputSpec, OutputSpec

Norm = Literal["group", "evonorm", "batch"]


class ResNet20(Model):
    """Widths 16, 32, 64; three blocks each; 1x1 convolutions where the shape changes.

    With ``evonorm``, every normalisation is EvoNorm-S0, unlike the released IDKD network, which keeps batch
    normalisation at the end of each block: there, the confidence in a sample depends on the samples beside it.
    ``batch`` keeps running statistics, of which ``buffers`` of the experiment says what becomes; with
    ``allow_batch_norm`` it keeps none and uses each batch's own statistics, in evaluation too, where a sample's output
    then depends on the samples beside it.
    """

    class Config(PartSettings):
        """How wide it is, and how it normalises: ``groups`` is for ``norm: group``."""

        acts: ClassVar[Acts] = {"groups": If(norm="group"), "allow_batch_norm": If(norm="batch")}

        name: str = "resnet20"
        norm: Norm = "group"
        groups: int = Field(8, ge=1)
        allow_batch_norm: bool = False

    config: Config

    takes = frozenset({"images"})

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network; 272,474 parameters for RGB images and 10 classes, whichever the normalisation."""
        stages = [
            self._stage(before, after, stride) for before, after, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        ]
        network = nn.Sequential(
            nn.Conv2d(inputs.shape[2], 16, 3, padding=1, bias=False),
            self._norm(16, activation=True),
            *(block for stage in stages for block in stage),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, outputs.width),
        )
        _initialise(network)
        return network

    def _stage(self, before: int, after: int, stride: int) -> list[nn.Module]:
        first = Block(self._branch(before, after, stride), self._shortcut(before, after, stride), self._ends_in_relu)
        others = (Block(self._branch(after, after, 1), nn.Identity(), self._ends_in_relu) for _ in range(2))
        return [first, *others]

    @property
    def _ends_in_relu(self) -> bool:
        return self.config.norm != "evonorm"

    def _branch(self, before: int, after: int, stride: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            self._norm(after, activation=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            self._norm(after, activation=False),
        )

    def _shortcut(self, before: int, after: int, stride: int) -> nn.Module:
        if before == after:
            return nn.Identity()
        return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), self._norm(after, activation=False))

    def _norm(self, channels: int, *, activation: bool) -> nn.Module:
        if self.config.norm == "evonorm":
            return EvoNormS0(channels)
        if self.config.norm == "batch":
            norm: nn.Module = nn.BatchNorm2d(channels, track_running_stats=not self.config.allow_batch_norm)
        else:
            norm = nn.GroupNorm(gcd(self.config.groups, channels), channels)
        return nn.Sequential(norm, nn.ReLU()) if activation else norm


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, relu: bool) -> None:
        super().__init__()
        self.branch, self.shortcut, self.relu = branch, shortcut, relu

    def forward(self, x: Tensor) -> Tensor:
        """float [B, channels, height, width] to the next block's input."""
        total = self.branch(x) + self.shortcut(x)
        return functional.relu(total) if self.relu else total


class EvoNormS0(nn.Module):
    """y = x sigmoid(x) / groupstd(x) gamma + beta (Liu et al. 2020, arXiv:2004.02967, table 2, with v = 1).

    The standard deviation is over ``channels // groups`` channels and all pixels of one sample, with the unbiased
    variance.
    """

    def __init__(self, channels: int, groups: int = 32, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.eps = min(groups, channels), eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """float [B, channels, height, width], same shape out."""
        batch, channels, height, width = x.shape
        grouped = x.reshape(batch, self.groups, channels // self.groups, height, width)
        variance = grouped.var(dim=(2, 3, 4), keepdim=True)
        std = (variance + self.eps).sqrt().expand_as(grouped).reshape(x.shape)
        return functional.silu(x) / std * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, std=sqrt(2 / fan_out))
