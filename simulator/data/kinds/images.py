"""Pictures: uint8 pixels, made into floats of mean 0 and variance 1 by channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.channel import Channel
from simulator.core.errors import wrong
from simulator.core.preparation import Preparation
from simulator.core.specification import InputSpec
from simulator.data.kinds.kind import InputKind, StoredArrays
from simulator.data.normalization import measure


@dataclass(frozen=True)
class Images(InputKind):
    """uint8 [N, height, width, channels]: gray (1), RGB (3), or as ``channels`` declares.

    Attributes:
        channels: what each channel holds; empty for gray and RGB pictures.
    """

    channels: tuple[Channel, ...] = ()

    def check(self, name: str, inputs: StoredArrays) -> None:
        """Type, shape, and that there are any."""
        if not isinstance(inputs, np.ndarray):
            raise wrong("", f"{name} holds several arrays: {', '.join(inputs)}.", "Images are one array of uint8.")
        if inputs.dtype != np.uint8:
            raise wrong("", f"{name} has type {inputs.dtype}, not uint8.", "Convert the pixels to uint8, 0 to 255.")
        declared = len(self.channels)
        if inputs.ndim != 4 or inputs.shape[3] not in ((declared,) if declared else (1, 3)):
            known = f"the {declared} channels that are declared" if declared else "1 channel (gray) or 3 (RGB)"
            advice = f"Images are [samples, height, width, channels] with {known}."
            raise wrong("", f"{name} has shape {inputs.shape}.", advice)
        if inputs.size == 0:
            raise wrong("", f"{name} holds no images: shape {inputs.shape}.", "Give at least one image.")

    def preparation(self, inputs: StoredArrays, rows: NDArray[np.int64]) -> Preparation:
        """Normalised by channel, with the statistics of ``rows``."""
        return measure(_pixels(inputs), rows)

    def specification(self, inputs: StoredArrays) -> InputSpec:
        """Height, width and channels."""
        _, height, width, depth = _pixels(inputs).shape
        return InputSpec("images", (height, width, depth), channels=self.channels)


def _pixels(inputs: StoredArrays) -> NDArray[np.uint8]:
    assert isinstance(inputs, np.ndarray)  # it was checked
    return inputs
