"""The networks of torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from simulator.core.torchvision_import import import_torchvision
from simulator.models.image_library import ImageLibrary
from simulator.models.small_images import for_small_images

# Classifiers beside the last one, with losses of their own, which no task knows of
_AUXILIARY: dict[str, Any] = {"aux_logits": False, "init_weights": True}


class Torchvision(ImageLibrary):
    """Any classification network of ``torchvision.models``, such as ``resnet18``."""

    class Config(ImageLibrary.Config):
        """Which network, and what it begins with.

        Attributes:
            small_images: whether a ResNet or a VGG gets the ends that are usual for images of 32x32 pixels: see
                `simulator.models.small_images`.
        """

        name: str = "torchvision"
        small_images: bool = False

    config: Config

    ignored: ClassVar[tuple[str, ...]] = ("aux1.", "aux2.", "AuxLogits.")

    def known(self) -> Sequence[str]:  # noqa: D102
        models = import_torchvision().models
        names: list[str] = models.list_models(module=models)
        return names

    def create(self, outputs: int) -> nn.Module:  # noqa: D102
        arguments = _AUXILIARY if self.config.network in ("googlenet", "inception_v3") else {}
        given = {**arguments, **self.config.arguments}
        network: nn.Module = import_torchvision().models.get_model(
            self.config.network, weights=None, num_classes=outputs, **given
        )
        if self.config.small_images:
            for_small_images(self.config.network, network, outputs)
        return network

    def head(self, network: nn.Module) -> nn.Module:
        """The last layer with weights, which it is in all of them."""
        return [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
