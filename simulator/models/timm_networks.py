"""The networks of timm, PyTorch Image Models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from simulator.core.errors import wrong
from simulator.core.torchvision_import import import_torchvision
from simulator.models.image_library import ImageLibrary


class Timm(ImageLibrary):
    """Any network of ``timm`` (``rumormill[timm]``), such as ``convnext_atto``."""

    class Config(ImageLibrary.Config):
        """Which network, and what it begins with."""

        name: str = "timm"

    config: Config

    def known(self) -> Sequence[str]:  # noqa: D102
        names: list[str] = _timm().list_models()
        return names

    def create(self, outputs: int) -> nn.Module:  # noqa: D102
        network: nn.Module = _timm().create_model(
            self.config.network, pretrained=False, num_classes=outputs, **self.config.arguments
        )
        return network

    def head(self, network: Any) -> nn.Module:  # noqa: D102
        head = network.get_classifier()
        if not isinstance(head, nn.Module):  # of models for distillation, which have two
            what = f"{self.config.network} has no single layer that is its head."
            raise wrong("model.network", what, "Choose another network.")
        return head


def _timm() -> Any:
    import_torchvision()  # timm imports it in a way that fails beside some builds of torch
    try:
        import timm
    except ImportError as error:
        raise wrong("model", "timm is not installed.", "Install it: pip install 'rumormill[timm]'") from error
    return timm
