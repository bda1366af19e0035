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
from simulator.core.torchvision_import import import_torchvision

GROUPS = 4  # of group normalisation, or fewer where the width is no multiple of it
POOLED = 4  # height and width of what an internal classifier's linear layer sees


class MultiExitVideo(Model):
    """One stream a modality, each a few strided stages with an exit after each (PKD: Soufleri et al. 2024).

    As in the code of arXiv:2407.02713, a stream sees every picture of its modality by itself and averages the logits
    over pictures (temporal segments), and an internal classifier is a 3x3 convolution, a normalisation, pooling to 4x4
    and one linear layer. A stage is one strided convolution, unless ResNets are asked for; group normalisation stands
    for batch normalisation, whose running averages moved on while the backbone was frozen.
    """

    class Config(PartSettings):
        """What the stages are.

        Attributes:
            widths: the channels after each stage, which halves height and width, of streams without a ResNet.
            resnets: by modality, a ResNet of torchvision whose four stages the stream has instead: in the paper
                ``{mv: resnet18, residual: resnet18, iframe: resnet50}``.
        """

        name: str = "multi_exit_video"
        widths: tuple[PositiveInt, ...] = Field((8, 16, 32, 64), min_length=2)
        resnets: dict[str, str] = Field(default_factory=dict)

    config: Config
    has_exits: ClassVar[bool] = True

    takes = frozenset({"images"})

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network, with a stream for each group of the images' channels.

        Raises:
            InputError: the images are gray or RGB pictures, which have no modalities, or lack one that is to have a
                ResNet; there is no such ResNet, or streams would have unlike numbers of stages.
        """
        if not inputs.channels:
            raise wrong(
                "model",
                "multi_exit_video has a stream for each modality, and these images are plain pictures.",
                "Take a data set of compressed video, such as moving_shapes or video_folder, or another model.",
            )
        found = {band.modality: band for band in bands(inputs.channels)}
        if others := sorted(set(self.config.resnets) - set(found)):
            what = f"there is no modality {', '.join(others)}; the clips have {', '.join(found)}."
            raise wrong("model.resnets", what, "Correct the name.")
        streams = {name: Stream(band, self._stages(band), outputs.width) for name, band in found.items()}
        if len({len(each.stages) for each in streams.values()}) > 1:
            what = f"has {len(self.config.widths)} stages, and the ResNets beside them 4."
            raise wrong("model.widths", what, "Give four widths.")
        return Streams(streams)

    def _stages(self, band: ModalityChannels) -> Stages:
        if band.modality in self.config.resnets:
            return _resnet(band.depth, self.config.resnets[band.modality], f"model.resnets.{band.modality}")
        return [(_stage(*pair), pair[1]) for pair in pairwise((band.depth, *self.config.widths))]


Stages = Sequence[tuple[nn.Module, int]]  # each with its number of channels


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

    def __init__(self, band: ModalityChannels, stages: Stages, classes: int) -> None:
        super().__init__()
        self.band = band
        self.stages = nn.ModuleList(stage for stage, _ in stages)
        self.internal = nn.ModuleList(_internal(width, classes) for _, width in stages[:-1])
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stages[-1][1], classes))

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


def _resnet(depth: int, name: str, where: str) -> Stages:
    """Its beginning with its first layer, and its other three."""
    models = import_torchvision().models
    try:
        network = models.get_model(name, weights=None, norm_layer=_norm)
    except (ValueError, TypeError) as error:  # no network, or one without such a setting
        raise wrong(where, f"{name} is no ResNet of torchvision.", "Name one, such as resnet18.") from error
    if not isinstance(network, models.ResNet):
        raise wrong(where, f"{name} is no ResNet of torchvision.", "Name one, such as resnet18.")
    network.conv1 = nn.Conv2d(depth, network.conv1.out_channels, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    first = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool, network.layer1)
    layers = [network.layer1, network.layer2, network.layer3, network.layer4]
    widths = [layer[0].downsample[0].out_channels if layer[0].downsample else 64 for layer in layers]
    return list(zip([first, *layers[1:]], widths, strict=True))


def _internal(width: int, classes: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(width, width, 3, padding=1, bias=False), _norm(width)),
        *(nn.AdaptiveAvgPool2d(POOLED), nn.Flatten(), nn.Linear(width * POOLED**2, classes)),
    )


def _norm(width: int) -> nn.Module:
    return nn.GroupNorm(gcd(GROUPS, width), width)
