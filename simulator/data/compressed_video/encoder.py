"""Encodes pictures in the way that the reader follows: one I-frame, then P-frames that refer to the frame before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import chain
from typing import Literal

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from simulator.data.compressed_video.reader import BrokenClip, Clip, opened

Codec = Literal["mpeg4", "h264"]
GROUP = 12  # frames from one I-frame to the next, as in UCF-101 and in CoViAR (Wu et al. 2018, arXiv:1712.00636)
_RATE = 25  # frames a second; of no consequence here, but encoders want one
_LAMBDA = 118  # FF_QP2LAMBDA: FFmpeg's unit of quantiser scales
_SETTINGS = {
    "mpeg4": ("mpeg4", "avi", {"flags": "+qscale", "global_quality": str(2 * _LAMBDA)}),
    # One reference, no B-frames, I-frames at fixed places only.
    "h264": ("libx264", "mp4", {"crf": "18", "refs": "1", "bf": "0", "sc_threshold": "0", "preset": "veryfast"}),
}


def encode(pictures: Iterable[NDArray[np.uint8]], codec: Codec = "mpeg4") -> bytes:
    """Encode uint8 [height, width, 3] RGB pictures, at least one, with even sides."""
    return _encode((av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures), codec)


def reencode(clip: Clip) -> Clip:
    """The clip as MPEG-4 part 2 of high quality, at its own size; odd sides shrink by one pixel.

    Raises:
        BrokenClip: it cannot be decoded.
    """
    return Clip(clip.name, _encode(_sound_pictures(clip), "mpeg4"))


def _sound_pictures(clip: Clip) -> Iterator[av.VideoFrame]:
    with opened(clip) as (container, stream):
        frames = (_checked(clip, frame) for frame in container.decode(stream))
        first = next(frames, None)
        if first is None:
            raise BrokenClip.of(clip.name, "holds no frames")
        width, height = first.width // 2 * 2, first.height // 2 * 2
        for frame in chain([first], frames):
            yield frame.reformat(width, height, threads=1)


def _checked(clip: Clip, frame: av.VideoFrame) -> av.VideoFrame:
    if frame.is_corrupt:
        raise BrokenClip.of(clip.name, "is damaged")
    return frame


def _encode(pictures: Iterator[av.VideoFrame], codec: Codec) -> bytes:
    encoder, container_format, options = _SETTINGS[codec]
    first = next(pictures)
    output = BytesIO()
    with av.open(output, "w", format=container_format) as container:
        stream = container.add_stream(encoder, rate=_RATE, options=options)
        assert isinstance(stream, VideoStream)  # both encoders are for video
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = GROUP, 0
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for number, picture in enumerate(chain([first], pictures)):
            picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, _RATE), 0
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return output.getvalue()
