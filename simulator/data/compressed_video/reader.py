"""Decodes clips whose motion can be followed: MPEG-4 part 2, and H.264 with one reference, without B-frames.

There every P-frame is predicted from the frame before it, so motion vectors can be chained back to the I-frame. Not
noticed: H.264 in temporal layers, where some P-frames are skipped by the next; and a stream cut short whose container
does not say how long it is (`container.declared_length`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from shlex import quote

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from simulator.core.errors import InputError, Problem
from simulator.data.compressed_video.container import declared_length
from simulator.data.compressed_video.h264 import reference_frames

_I, _P, _B = 1, 2, 3
_NO_VECTORS = np.empty(0, dtype=np.void)
_HOW_TO_REENCODE = "Re-encode it (ffmpeg -i {} -c:v mpeg4 -q:v 2 -g 12 -bf 0 -an clip.avi), or set reencode: true."


class BrokenClip(InputError):
    """There is no such file, or it cannot be decoded."""

    @classmethod
    def of(cls, name: str, what: str) -> BrokenClip:
        """``name`` is the clip's file."""
        return cls(Problem("", f"{name} {what}.", "Replace or remove it, or set broken: skip."))


class UnsupportedCoding(InputError):
    """The clip can be decoded, but is coded in a way in which motion cannot be followed."""

    @classmethod
    def of(cls, name: str, what: str) -> UnsupportedCoding:
        """``name`` is the clip's file."""
        return cls(Problem("", f"{name} {what}.", _HOW_TO_REENCODE.format(quote(name))))


@dataclass(frozen=True)
class Clip:
    """An encoded video in memory; ``name`` says in errors which."""

    name: str
    content: bytes

    @classmethod
    def read(cls, path: Path) -> Clip:
        """The clip in a file.

        Raises:
            BrokenClip: there is no such file.
        """
        try:
            return cls(str(path), path.read_bytes())
        except OSError as error:
            raise BrokenClip.of(str(path), f"cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    picture: av.VideoFrame

    @property
    def is_intra(self) -> bool:
        """Whether it is an I-frame."""
        return bool(self.picture.pict_type == _I)

    @cached_property
    def vectors(self) -> NDArray[np.void]:
        """Structured [k], one row a block predicted from the frame before; blocks coded without prediction are missing.

        The fields are those of FFmpeg's ``AVMotionVector``: ``w``, ``h`` and the centre ``dst_x``, ``dst_y`` in pixels;
        ``motion_x``, ``motion_y`` from the block to its source, in units of 1 / ``motion_scale`` pixels.
        """
        exported = self.picture.side_data.get("MOTION_VECTORS")
        return _NO_VECTORS if exported is None else exported.to_ndarray()


@contextmanager
def opened(clip: Clip) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The clip's container and its first video stream, for decoding on one thread.

    Raises:
        BrokenClip: it is cut short, there is no video in it, or decoding fails in the block.
    """
    declared = declared_length(clip.content) or 0
    if declared > len(clip.content):
        what = f"is cut short: it has {len(clip.content):,} of the {declared:,} bytes that its container declares"
        raise BrokenClip.of(clip.name, what)
    try:
        # Some clips of HMDB-51 carry metadata that is no UTF-8.
        with av.open(BytesIO(clip.content), "r", metadata_errors="ignore") as container:
            if not container.streams.video:
                raise BrokenClip.of(clip.name, "holds no video")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.FFmpegError as error:
        raise BrokenClip.of(clip.name, f"cannot be decoded: {error.strerror}") from error


def decode(clip: Clip) -> Iterator[Frame]:
    """All frames in order.

    Raises:
        BrokenClip: the clip cannot be decoded, wholly or in part.
        UnsupportedCoding: its motion cannot be followed; some reasons show at the frame only.
    """
    with opened(clip) as (container, stream):
        _check_stream(clip.name, stream)
        stream.codec_context.options = {"flags2": "+export_mvs"}
        count = 0
        for count, picture in enumerate(container.decode(stream), start=1):
            _check_frame(clip.name, count, picture, (stream.width, stream.height))
            yield Frame(picture)
    if count == 0:
        raise BrokenClip.of(clip.name, "holds no frames")


def _check_stream(name: str, stream: VideoStream) -> None:
    codec = stream.codec_context.name
    if codec not in ("mpeg4", "h264"):
        what = f"is coded as {codec}; motion vectors are read from mpeg4 and h264 only"
        raise UnsupportedCoding.of(name, what)
    references = reference_frames(stream.codec_context.extradata or b"") if codec == "h264" else 1
    if references is None:
        raise UnsupportedCoding.of(name, "is H.264 without a readable header, so its references are unknown")
    if references != 1:
        raise UnsupportedCoding.of(name, f"is H.264 with {references} reference frames, not one")


def _check_frame(name: str, number: int, picture: av.VideoFrame, size: tuple[int, int]) -> None:
    if picture.is_corrupt:
        raise BrokenClip.of(name, f"is damaged at frame {number}")
    if picture.pict_type == _B:
        raise UnsupportedCoding.of(name, "has B-frames, which are predicted from later frames too")
    if picture.pict_type not in (_I, _P):
        raise UnsupportedCoding.of(name, "uses global motion compensation, which has no vectors")
    if picture.interlaced_frame:
        raise UnsupportedCoding.of(name, "is interlaced: its vectors belong to half pictures")
    if number == 1 and picture.pict_type != _I:
        raise UnsupportedCoding.of(name, "does not begin with an I-frame")
    if (picture.width, picture.height) != size:
        raise UnsupportedCoding.of(name, "changes the size of its pictures")
