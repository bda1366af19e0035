from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from reference.videos import STEP_X, STEP_Y, coded, inside, silence, square, without_its_iframe

from simulator.data.compressed_video.encoder import Codec, encode, reencode
from simulator.data.compressed_video.features import follow
from simulator.data.compressed_video.h264 import reference_frames
from simulator.data.compressed_video.motion import QUARTERS
from simulator.data.compressed_video.reader import BrokenClip, Clip, UnsupportedCoding, decode

SQUARE = square()
CODECS: tuple[Codec, ...] = ("mpeg4", "h264")


def kinds(clip: Clip) -> str:
    return "".join("I" if frame.is_intra else "P" for frame in decode(clip))


@pytest.mark.parametrize("codec", CODECS)
def test_a_moving_square_is_followed_exactly(codec: Codec) -> None:
    clip = Clip("square", encode(SQUARE, codec))
    assert kinds(clip) == "I" + 11 * "P" + "IP"
    for number, features in enumerate(follow(decode(clip))):
        since = number % 12
        expected = np.array([STEP_X, STEP_Y]) * QUARTERS
        assert (features.accumulated[inside(number)] == since * expected).all()
        assert (features.motion[inside(number)] == (expected if since else 0)).all()
        assert features.accumulated[:8, :8].any() == 0  # a corner that the square never meets
        assert np.abs(features.residual[inside(number)]).mean() < 8  # both codecs lose something
        if since:
            unmoved = features.frame.picture.to_ndarray(format="rgb24").astype(int) - features.iframe
            assert np.abs(unmoved[inside(number)]).mean() > 50


def test_the_residual_of_an_iframe_is_zero() -> None:
    first = next(follow(decode(Clip("square", encode(SQUARE[:2])))))
    assert not first.residual.any()
    assert not first.accumulated.any()


@pytest.mark.parametrize("codec", CODECS)
def test_encoding_is_the_same_at_every_call(codec: Codec) -> None:
    assert encode(SQUARE, codec) == encode(SQUARE, codec)


X265 = {"x265-params": "log-level=none:pools=1"}
REFUSED = [
    (coded(SQUARE, "mpeg4", bf="2"), "has B-frames"),
    (coded(SQUARE, "libx264", bf="2", refs="1", preset="ultrafast"), "is H.264 with . reference frames"),
    (coded(SQUARE, "libx264", bf="0", refs="3"), "is H.264 with 3 reference frames"),
    (coded(SQUARE, "libx265", **X265), "is coded as hevc"),
    (coded(SQUARE, "mpeg2video", g="12"), "is coded as mpeg2video"),
    (coded(SQUARE, "mpeg4", flags="+ildct+ilme"), "is interlaced"),
    (without_its_iframe(encode(SQUARE)), "does not begin with an I-frame"),
]


@pytest.mark.parametrize(("content", "says"), REFUSED)
def test_what_cannot_be_followed_is_refused_with_a_remedy_that_works(content: bytes, says: str) -> None:
    clip = Clip("my clip.mkv", content)
    with pytest.raises(UnsupportedCoding, match=f"my clip.mkv {says}") as caught:
        list(decode(clip))
    assert "ffmpeg -i 'my clip.mkv' -c:v mpeg4 -q:v 2 -g 12 -bf 0 -an clip.avi" in caught.value.problems[0].advice
    assert kinds(reencode(clip)).startswith("I" + 11 * "P" + "I")


def test_odd_sides_shrink_by_a_pixel_when_re_encoded() -> None:
    clip = Clip("odd", coded(SQUARE[:, :95, :127], "mpeg4", bf="2"))
    (first, *_) = decode(reencode(clip))
    assert (first.picture.height, first.picture.width) == (94, 126)


@pytest.mark.parametrize("references", range(1, 6))
@pytest.mark.parametrize("container", ["matroska", "mpegts"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p"])
def test_the_number_of_references_is_read_from_the_header(references: int, container: str, pixels: str) -> None:
    content = coded(SQUARE[:6], "libx264", container, pixels, bf="0", refs=str(references))
    with av.open(BytesIO(content)) as file:
        assert reference_frames(file.streams.video[0].codec_context.extradata or b"") == references


@pytest.mark.parametrize("header", [b"", b"\x01", b"\x01d\x00\r\xff\xe1\x00\x04gd\x00\r", b"\x00\x00\x01g\x42"])
def test_a_header_that_ends_too_soon_tells_nothing(header: bytes) -> None:
    assert reference_frames(header) is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"nonsense", "cannot be decoded"),
        (b"", "cannot be decoded"),
        (encode(SQUARE, "h264")[:1000], "is cut short: it has 1,000 of the"),
        (silence(), "holds no video"),
    ],
)
def test_broken_clips_are_named(content: bytes, says: str) -> None:
    for work in (decode, lambda clip: decode(reencode(clip))):
        with pytest.raises(BrokenClip, match=f"bad.mp4 {says}") as caught:
            list(work(Clip("bad.mp4", content)))
        assert "broken: skip" in caught.value.problems[0].advice


def test_a_missing_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenClip, match=r"none\.avi cannot be read: No such file"):
        Clip.read(tmp_path / "none.avi")
