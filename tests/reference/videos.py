"""Small clips: a square that moves in a known way, and codings that the reader must refuse."""

from __future__ import annotations

from io import BytesIO

import av
import numpy as np
from numpy.typing import NDArray

STEP_X, STEP_Y = 3, 2
LEFT, TOP, SIDE = 20, 16, 48


def square(frames: int = 14, height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """uint8 [frames, height, width, 3]: a chequered square that moves by (STEP_X, STEP_Y) pixels a frame.

    It is gray: codecs halve the resolution of colour, where an odd step is none by whole pixels.
    """
    texture = np.random.default_rng(0).integers(0, 256, (12, 12, 1), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    pictures = np.full((frames, height, width, 3), 90, dtype=np.uint8)
    for t, picture in enumerate(pictures):
        top, left = TOP + STEP_Y * t, LEFT + STEP_X * t
        picture[top : top + SIDE, left : left + SIDE] = texture
    return pictures


def inside(frame: int) -> tuple[slice, slice]:
    """The middle 16x16 pixels of the square: all macroblocks that reach into them lie within the square."""
    top, left = TOP + STEP_Y * frame + 16, LEFT + STEP_X * frame + 16
    return slice(top, top + 16), slice(left, left + 16)


def without_its_iframe(content: bytes) -> bytes:
    """The same clip from its second frame on."""
    output = BytesIO()
    with av.open(BytesIO(content)) as source, av.open(output, "w", format="avi") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in list(source.demux(video=0))[1:]:
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    return output.getvalue()


def silence() -> bytes:
    """A sound file."""
    output = BytesIO()
    with av.open(output, "w", format="wav") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    return output.getvalue()


def coded(
    pictures: NDArray[np.uint8], codec: str, container: str = "matroska", pixels: str = "yuv420p", **options: str
) -> bytes:
    """The pictures as any of FFmpeg's encoders writes them, for example ``bf="2"`` for B-frames."""
    output = BytesIO()
    with av.open(output, "w", format=container) as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], pixels
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return output.getvalue()
