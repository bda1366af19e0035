"""A small network for compressed video, with a stream and internal classifiers for each modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from math import gcd
from typing import ClassVar, NamedTuple

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from simulator.core.channel import Channel
from simulator.core.errors import wrong
from simulator.core.model import Model
from simulator.core.multi_exit import MultiExit
from simulator.core.registry import PartSettings
from simulator.core.specification import InputSpec, OutputSpec

GROUPS = 4  # of group normalisation, or fewer where the width is no multiple of it
POOLED = 4  # height and width of what an internal classifier's linear layer sees


class MultiExitVideo(Model):
    """One stream a modality, each a few strided stages with an exit after each (PKD: Soufleri et al. 2024).

    As in the code of arXiv:2407.02713, a stream sees every picture of its modality by itself and averages the logits
    over pictures (temporal segments), and an internal classifier is a 3x3 convolution, a normalisation, pooling to 4x4
    and one linear layer. Its ResNets are here one strided convolution a stage, and group normalisation stands for batch
    normalisation, whose running averages moved on while the backbone was frozen.
    """

    class Config(PartSettings):
        """How wide each stage is: ``widths`` are the channels after each stage, which halves height and width."""

        name: str = "multi_exit_video"
        widths: tuple[PositiveInt, ...] = Field((8, 16, 32, 64), min_length=2)

    config: Config
    has_exits: ClassVar[bool] = True

    takes = frozenset({"images"})

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network, with a stream for each group of the images' channels.

        Raises:
            InputError: the images are gray or RGB pictures, which have no modalities.
        """
        if not inputs.channels:
            raise wrong(
                "model",
                "multi_exit_video has a stream for each modality, and these images are plain pictures.",
                "Take a data set of compressed video, such as moving_shapes or video_folder, or another model.",
            )
        return Streams(
            {band.modality: Stream(band, self.config.widths, outputs.width) for band in bands(inputs.channels)}
        )


class ModalityChannels(NamedTuple):
    """The channels of one modality: ``pictures`` of ``depth`` channels each, from channel ``start`` on."""

    modality: str
    start: int
    pictures: int
    depth: int


def bands(channels: Sequence[Channel]) -> Iterator[ModalityChannels]:
    """One for each group of ``channels``."""
    start = 0
    for modality, group in groupby(channels, key=lambda channel: channel.group):
        members = list(group)
        pictures = len({channel.picture for channel in members})
        yield ModalityChannels(modality, start, pictures, len(members) // pictures)
        start += len(members)


class Stream(nn.Module):
    """Stages, each with a classifier, on every picture of one modality; see `MultiExit`."""

    def __init__(self, band: ModalityChannels, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.band = band
        self.stages = nn.ModuleList(_stage(*pair) for pair in pairwise((band.depth, *widths)))
        self.internal = nn.ModuleList(_internal(width, classes) for width in widths[:-1])
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))

    def walk(self, images: Tensor) -> Iterator[Tensor]:
        """Logits of one exit after the other."""
        x = self._pictures(images)
        for stage, classifier in zip(self.stages, self.internal, strict=False):
            x = stage(x)
            yield self._mean(classifier(x.detach()))
        yield self._mean(self.head(self.stages[-1](x)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the final exit."""
        x = self._pictures(images)
        for stage in self.stages:
            x = stage(x)
        return self._mean(self.head(x))

    def _pictures(self, images: Tensor) -> Tensor:
        """float [B * pictures, depth, height, width] of float [B, channels, height, width]."""
        _, start, pictures, depth = self.band
        return images[:, start : start + pictures * depth].reshape(-1, depth, *images.shape[2:])

    def _mean(self, logits: Tensor) -> Tensor:
        """float [B, classes] of float [B * pictures, classes]."""
        return logits.view(-1, self.band.pictures, logits.shape[1]).mean(dim=1)


class Streams(MultiExit):
    """Streams by modality."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        super().__init__()
        self.streams = nn.ModuleDict(streams)
        self.modalities = tuple(streams)
        self.stages = len(next(iter(streams.values())).stages)

    def walk(self, images: Tensor, modality: str) -> Iterator[Tensor]:
        """The logits of each exit of a modality, as the network gets to it."""
        stream = self.streams[modality]
        assert isinstance(stream, Stream)
        return stream.walk(images)

    def final(self, images: Tensor, modality: str) -> Tensor:
        """The prediction of all modalities together."""
        logits: Tensor = self.streams[modality](images)
        return logits

    def internal_parameters(self) -> frozenset[str]:
        """The parameters of the internal classifiers alone."""
        return frozenset(name for name, _ in self.named_parameters() if ".internal." in name)


def _stage(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), _norm(after), nn.ReLU())


def _internal(width: int, classes: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(width, width, 3, padding=1, bias=False), _norm(width)),
        *(nn.AdaptiveAvgPool2d(POOLED), nn.Flatten(), nn.Linear(width * POOLED**2, classes)),
    )


def _norm(width: int) -> nn.Module:
    return nn.GroupNorm(gcd(GROUPS, width), width)
