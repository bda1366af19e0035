"""Picture files as RGB squares, and what of a picture could not be kept."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from simulator.core.errors import wrong

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
DEPTH = "of 16 bits a channel: their upper 8 are taken"
DARK = "of 16 bits a channel, below 4,096: their upper 8 are taken, of which 4 say nothing; save them with 8 a channel"
TRANSPARENCY = "transparent in parts: the colour beneath is taken"


def read_picture(path: Path, size: int) -> tuple[NDArray[np.uint8], str]:
    """A picture, and how more was in it than is kept; empty where nothing is lost but size.

    Returns:
        uint8 [size, size, 3], and text.

    Raises:
        InputError: the file is no picture, holds several, is too large to be one, or has values that are no pixels.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as file:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            Image._decompression_bomb_check(file.size)
            if getattr(file, "n_frames", 1) > 1:
                raise wrong("path", f"{path} holds {file.n_frames} pictures.", "Save each in a file of its own.")  # type: ignore[attr-defined]
            image, lost = _as_rgb(path, file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise wrong("path", f"{path} is too large for a picture: {error}", "Replace or remove it.") from error
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise wrong("path", f"{path} cannot be read as an image: {error}.", "Replace or remove it.") from error
    shrinks = min(image.size) >= size
    return np.asarray(image.resize((size, size), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)), lost


def _as_rgb(path: Path, file: Image.Image) -> tuple[Image.Image, str]:
    if file.mode.startswith("I"):  # Pillow itself would make everything above 255 white
        values = np.asarray(file)
        if values.min() < 0 or values.max() > 65535:
            what = f"{path} has pixels from {values.min()} to {values.max()}, and not of 16 bits."
            raise wrong("path", what, "Save it with 8 bits a channel.")
        is_dark = values.max() < 4096  # cameras and scanners give 12 bits in the lower ones of 16
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB"), DARK if is_dark else DEPTH
    if file.mode == "F":
        raise wrong("path", f"{path} has pixels that are fractions.", "Save it with 8 bits a channel.")
    if file.has_transparency_data and np.asarray(file.convert("RGBA"))[..., 3].min() < 255:
        return file.convert("RGB"), TRANSPARENCY
    return file.convert("RGB"), ""
