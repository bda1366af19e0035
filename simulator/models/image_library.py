"""Networks for images from a library, by name: its own, with a head for the outputs at hand."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from simulator.core.errors import wrong
from simulator.core.model import Model
from simulator.core.registry import PartSettings
from simulator.core.specification import InputSpec, OutputSpec
from simulator.models.local_weights import load_weights


class ImageLibrary(Model):
    """Builds one of a library's networks. Nothing is downloaded: without ``weights`` it begins at random.

    They see RGB images. Gray ones are given three times; as everywhere, images are scaled by their own mean and
    standard deviation, not by those of ImageNet.
    """

    class Config(PartSettings):
        """Which network.

        Attributes:
            network: what the library calls it.
            weights: a file that it begins with, but for a head of another size: see `simulator.models.local_weights`.
            train: "all" of it, or the "head" alone; then only the head is sent, and the rest is held once.
            arguments: further ones of the library's, such as ``{image_size: 64}`` of a vision transformer.
        """

        network: str
        weights: Path | None = None
        train: Literal["all", "head"] = "all"
        arguments: dict[str, Any] = Field(default_factory=dict)

    config: Config

    takes = frozenset({"images"})
    ignored: ClassVar[tuple[str, ...]] = ()  # beginnings of the names of weights that networks here do without

    @abstractmethod
    def known(self) -> Sequence[str]:
        """The names of all networks of the library.

        Raises:
            InputError: the library is not installed.
        """

    @abstractmethod
    def create(self, outputs: int) -> nn.Module:
        """The network, at random, with so many outputs."""

    @abstractmethod
    def head(self, network: nn.Module) -> nn.Module:
        """The layer of ``network`` that puts out its outputs."""

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network.

        Raises:
            InputError: there is none of this name, weights do not fit, or it does not take such images.
        """
        config = self.config
        _check_images(config.name, inputs)
        names = self.known()
        if config.network not in names:
            close = ", ".join(get_close_matches(config.network, names, n=3, cutoff=0.4))
            advice = f"Did you mean {close}? " if close else ""
            advice += f"{config.name}.list_models() in Python lists all {len(names):,}."
            raise wrong("model.network", f"{config.name} has no network '{config.network}'.", advice)
        if config.train == "head" and config.weights is None:
            raise wrong("model.train", "all but the head would stay at random.", "Set weights, or train: all.")
        try:
            network = self.create(outputs.width)
        except (TypeError, ValueError, AssertionError) as error:
            what = f"{config.network} cannot be made with {config.arguments}: {error}."
            raise wrong("model.arguments", what, "Correct them, or leave them out.") from error
        whole = ImageNetwork(network, *self._begun(network))
        _check_size(config.network, whole, inputs)
        return whole

    def notes(self, network: nn.Module) -> Iterable[str]:
        """Which weights were loaded, and that gray images are given thrice."""
        assert isinstance(network, ImageNetwork)
        return network.notes

    def _begun(self, network: nn.Module) -> list[str]:
        """Load and freeze what is asked for; what was loaded, in words."""
        head = {id(each) for each in self.head(network).parameters()}
        names = {name for name, each in network.named_parameters() if id(each) in head}
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(self.config.train == "all" or name in names)
        if self.config.weights is None or next(network.parameters()).is_meta:  # without memory there is no loading
            return []
        return [load_weights(network, self.config.weights, names, self.ignored)]


class ImageNetwork(nn.Module):
    """A library's network for RGB images, given float [B, 1 or 3, height, width]; ``notes`` tell how it was made."""

    def __init__(self, network: nn.Module, *notes: str) -> None:
        super().__init__()
        self.network, self.notes = network, notes

    def forward(self, images: Tensor) -> Tensor:
        """Its outputs, [B, outputs]."""
        outputs: Tensor = self.network(images.expand(-1, 3, -1, -1))
        return outputs


def _check_images(name: str, inputs: InputSpec) -> None:
    if inputs.channels or inputs.shape[2] not in (1, 3):
        what = f"networks of {name} take gray or RGB images, and these have {inputs.shape[2]} channels."
        raise wrong("model", what, "Choose another model, or bring a network of your own: model: my_file.py:Net.")


def _check_size(name: str, network: nn.Module, inputs: InputSpec) -> None:
    """Refuse images that the network fails on; a network on PyTorch's device "meta" does not fail on anything."""
    if next(network.parameters()).is_meta:
        return
    height, width, depth = inputs.shape
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, depth, height, width))
    except (RuntimeError, AssertionError) as error:
        what = f"{name} does not take images of {height}x{width}: {str(error).splitlines()[0]}."
        advice = "Give larger images, or tell the network their size in arguments (vision transformers)."
        raise wrong("model.network", what, advice) from error
    network.train()
