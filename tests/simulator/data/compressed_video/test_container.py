"""A clip that is cut short is told from a shorter one, wherever it is cut."""

from __future__ import annotations

from io import BytesIO

import av
import pytest
from reference.videos import coded, square

from simulator.data.compressed_video.container import declared_length
from simulator.data.compressed_video.encoder import encode, reencode
from simulator.data.compressed_video.reader import BrokenClip, Clip, decode

SQUARE = square()
WHOLE = {
    "clip.avi": encode(SQUARE),
    "clip.mp4": encode(SQUARE, "h264"),
    "clip.mkv": coded(SQUARE, "mpeg4", "matroska", bf="0"),
    "clip.webm": coded(SQUARE, "libx264", "matroska", bf="0", refs="1"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_wherever_it_is_cut_a_clip_is_refused_by_name(name: str) -> None:
    content = WHOLE[name]
    assert len(list(decode(Clip(name, content)))) == len(SQUARE)
    assert declared_length(content) in (len(content), len(content) - 1)  # a pad byte may be missing
    for cut in (*range(0, len(content), len(content) // 20), len(content) - 2):
        for work in (decode, lambda clip: decode(reencode(clip))):
            with pytest.raises(BrokenClip, match=f"{name} (is cut short|cannot be decoded|holds no)"):
                list(work(Clip(name, content[:cut])))


def test_what_follows_the_declared_end_does_no_harm() -> None:
    for name, content in WHOLE.items():
        assert len(list(decode(Clip(name, content + bytes(7))))) == len(SQUARE)


def test_a_writer_that_cannot_go_back_leaves_the_length_open() -> None:
    output = BytesIO()
    output.seekable = lambda: False  # type: ignore[method-assign]
    with av.open(output, "w", format="matroska", options={"live": "1"}) as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for picture in SQUARE:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())

    assert declared_length(output.getvalue()) is None


@pytest.mark.parametrize(
    ("content", "length"),
    [
        (b"", None),
        (b"nonsense", None),
        (b"RIFF" + (20).to_bytes(4, "little") + bytes(20) + b"RIFF" + (9).to_bytes(4, "little"), 44),
        (
            (16).to_bytes(4, "big") + b"ftyp" + bytes(8) + (1).to_bytes(4, "big") + b"mdat" + (99).to_bytes(8, "big"),
            115,
        ),
        ((16).to_bytes(4, "big") + b"ftyp" + bytes(8) + bytes(4) + b"mdat" + bytes(9), 16),
        (b"\x1aE\xdf\xa3\x82ab\x18\x53\x80\x67\x40\x64", 113),
        (b"\x1aE\xdf\xa3\x82ab\x18\x53\x80\x67\xff", None),
    ],
)
def test_lengths_are_read_as_the_formats_define_them(content: bytes, length: int | None) -> None:
    assert declared_length(content) == length
