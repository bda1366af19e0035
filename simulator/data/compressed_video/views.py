"""From a clip to one sample: a few frames, each seen as motion, as residual and as its I-frame, stacked as channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from simulator.core.acting import Acts, If
from simulator.core.channel import Channel
from simulator.core.registry import Settings
from simulator.data.compressed_video.features import Features, follow
from simulator.data.compressed_video.motion import QUARTERS
from simulator.data.compressed_video.reader import BrokenClip, Clip, UnsupportedCoding, decode
from simulator.data.conform import resize

Modality = Literal["step_mv", "mv", "residual", "iframe"]
_ZERO = 128  # of values with a sign
_CHANNELS: dict[Modality, Callable[[int], tuple[Channel, ...]]] = {
    "step_mv": lambda n: (Channel("step_mv", n, _ZERO, horizontal=True), Channel("step_mv", n, _ZERO)),
    "mv": lambda n: (Channel("mv", n, _ZERO, horizontal=True), Channel("mv", n, _ZERO)),
    "residual": lambda n: (Channel("residual", n, _ZERO),) * 3,
    "iframe": lambda n: (Channel("iframe", n),) * 3,
}


class VideoViews(Settings):
    """How a clip becomes a sample.

    Attributes:
        modalities: what is seen of each frame: "mv" (motion since the I-frame, 2 channels), "residual" (3), "iframe"
            (3) and "step_mv" (motion since the frame before, 2). Each modality's channels are neighbours, frame after
            frame.
        segments: parts of equal length that the clip is cut into; one frame of each is seen (Wang et al. 2016,
            arXiv:1608.00859).
        size: height and width of a sample in pixels; the whole picture is squeezed into it.
        reach: motion of so many of the sample's pixels, and all beyond, is the largest that uint8 holds; CoViAR: 20.
    """

    acts: ClassVar[Acts] = {"reach": If(modalities=("mv", "step_mv"))}

    modalities: tuple[Modality, ...] = ("mv", "residual", "iframe")
    segments: int = Field(default=3, ge=1)
    size: int = Field(default=56, ge=1)
    reach: float = Field(default=20, gt=0)

    @field_validator("modalities")
    @classmethod
    def _list_each_once(cls, modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
        if not modalities or len(set(modalities)) < len(modalities):
            raise ValueError("name at least one modality, and none twice")
        return modalities

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What each channel of a sample holds."""
        pictures = range(self.segments)
        return tuple(chain.from_iterable(_CHANNELS[kind](n) for kind in self.modalities for n in pictures))

    def sample(self, clip: Clip) -> NDArray[np.uint8]:
        """uint8 [size, size, channels] of a clip.

        Motion is stored as 128 + 127 / ``reach`` times the displacement in the sample's pixels, a residual as 128 plus
        the difference, both cut off at what uint8 holds.

        Raises:
            BrokenClip: the clip cannot be decoded.
            UnsupportedCoding: its motion cannot be followed.
        """
        seen = [self._see(features) for features in _chosen_features(clip, self.segments)]
        pixels = torch.cat([seen[n][kind] for kind in self.modalities for n in range(self.segments)])
        sample: NDArray[np.uint8] = pixels.permute(1, 2, 0).contiguous().numpy()
        return sample

    def _see(self, features: Features) -> dict[Modality, Tensor]:
        """uint8 [channels, size, size] of each modality that is wanted."""
        looks: dict[Modality, Callable[[], Tensor]] = {
            "step_mv": lambda: self._motion(features.motion),
            "mv": lambda: self._motion(features.accumulated),
            "residual": lambda: self._fit(features.residual) + _ZERO,
            "iframe": lambda: self._fit(features.iframe),
        }
        return {kind: looks[kind]().round().clamp(0, 255).to(torch.uint8) for kind in self.modalities}

    def _motion(self, displacements: NDArray[np.int32]) -> Tensor:
        """Displacements shrink with the picture: otherwise size and magnitude would disagree."""
        height, width, _ = displacements.shape
        pixels = (
            self._fit(displacements) / QUARTERS * torch.tensor([self.size / width, self.size / height])[:, None, None]
        )
        return _ZERO + (pixels * (127 / self.reach)).clamp(-127, 127)

    def _fit(self, values: NDArray[np.int32] | NDArray[np.int16] | NDArray[np.uint8]) -> Tensor:
        """float [channels, size, size] of [height, width, channels]."""
        return resize(torch.from_numpy(values).permute(2, 0, 1)[None].float(), self.size, self.size)[0]


def choose(intra: Sequence[bool], segments: int) -> list[int]:
    """The P-frame nearest to the middle of each segment, the earlier one of two; none where there are no P-frames.

    Args:
        intra: for each frame, whether it is an I-frame.
        segments: how many frames to choose; short clips give some frames twice.
    """
    predicted = [place for place, is_intra in enumerate(intra) if not is_intra]
    middles = [(n + 0.5) * len(intra) / segments - 0.5 for n in range(segments)]
    return [min(predicted, key=lambda place: abs(place - middle)) for middle in middles] if predicted else []


def _chosen_features(clip: Clip, segments: int) -> list[Features]:
    """The clip is decoded twice: first to see how long it is and where its I-frames are."""
    intra = [frame.is_intra for frame in decode(clip)]
    chosen = choose(intra, segments)
    if len(intra) == 1:
        raise BrokenClip.of(clip.name, "holds a single frame, which tells no motion")
    if not chosen:
        raise UnsupportedCoding.of(clip.name, "has I-frames only, so it tells no motion")
    starts = [max(place for place in range(last) if intra[place]) for last in chosen]
    needed = sorted({place for start, last in zip(starts, chosen, strict=True) for place in range(start, last + 1)})
    wanted = set(needed)
    features = follow(frame for place, frame in enumerate(decode(clip)) if place in wanted)
    found = {place: each for place, each in zip(needed, features, strict=True) if place in chosen}
    return [found[place] for place in chosen]
