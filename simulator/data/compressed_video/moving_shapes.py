"""A data set of made-up action clips, really encoded and decoded: works offline."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.capacity import check_memory
from simulator.core.paths import located
from simulator.core.registry import PartSettings
from simulator.core.seeding import generator
from simulator.data.compressed_video.cache import Arrays, Cache
from simulator.data.compressed_video.encoder import Codec, encode
from simulator.data.compressed_video.reader import Clip
from simulator.data.compressed_video.scenes import ACTIONS, render
from simulator.data.compressed_video.views import VideoViews
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.kinds.images import Images


class MovingShapes(Dataset):
    """Clips of a shape that moves left, right, up or down, rotates, grows or blinks: seven classes.

    Motion tells most actions apart, residuals show what blinks, and the shape's form hints at the action, as scenes do
    in real clips. Each class has as many clips as the others, or one more.
    """

    class Config(PartSettings):
        """How many clips there are, how large and long, and how much a single frame tells.

        Attributes:
            train: number of training clips.
            test: number of test clips.
            frames: pictures a clip; every twelfth is an I-frame.
            side: height and width of the clips in pixels, of which a macroblock takes 16x16.
            hint: the chance that a clip shows the shape typical of its action.
            nuisance: how much else moves; 0 for nothing.
            codec: "mpeg4" or "h264".
            views: how a clip becomes a sample.
            seed: another seed gives other clips; the experiment's seed has no say in them.
            cache: the folder that samples are kept in, absolute or relative to the data root; null for none.
        """

        name: str = "moving_shapes"
        train: int = Field(default=1050, ge=1)
        test: int = Field(default=350, ge=1)
        frames: int = Field(default=24, ge=2)
        side: int = Field(default=64, ge=16, multiple_of=2)
        hint: float = Field(default=0.7, ge=0, le=1)
        nuisance: float = Field(default=1.0, ge=0)
        codec: Codec = "mpeg4"
        views: VideoViews = VideoViews(size=32)
        seed: int = Field(default=0, ge=0)
        cache: Path | None = Path("compressed_video_cache")

    config: Config

    def load(self, root: Path) -> ArrayData:
        """Make the clips, or read their samples from the cache.

        Raises:
            InputError: the cache cannot be written to.
        """
        config, pixels = self.config, self.config.views.size**2 * len(self.config.views.channels)
        clip, clips = 3 * config.frames * config.side**2, config.train + config.test
        check_memory(clip + clips * pixels, f"{clips:,} clips", "Ask for fewer or smaller ones.")
        cache = Cache(None if self.config.cache is None else located(self.config.cache, root, "cache"))
        settings = self.config.model_dump_json(exclude={"cache"}).encode()
        arrays = cache.arrays((settings,), self._compute)
        x_train, x_test = (cast(NDArray[np.uint8], arrays[name]) for name in ("x_train", "x_test"))
        y_train, y_test = (np.arange(len(samples)) % len(ACTIONS) for samples in (x_train, x_test))
        return ArrayData(x_train, y_train, x_test, y_test, ACTIONS, kind=Images(self.config.views.channels))

    def clip(self, part: str, number: int) -> Clip:
        """Clip ``number`` of ``part`` "train" or "test", encoded; its class is ``number`` modulo 7."""
        config = self.config
        pictures = render(
            ACTIONS[number % len(ACTIONS)],
            config.frames,
            config.side,
            hint=config.hint,
            nuisance=config.nuisance,
            rng=generator(config.seed, f"data.moving_shapes.{part}", round=number),
        )
        return Clip(f"{part} clip {number}", encode(pictures, config.codec))

    def _compute(self) -> Arrays:
        counts = {"train": self.config.train, "test": self.config.test}
        return {
            f"x_{part}": np.stack([self.config.views.sample(self.clip(part, number)) for number in range(count)])
            for part, count in counts.items()
        }
