from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from reference.videos import STEP_X, STEP_Y, coded, inside, square

from simulator.data.compressed_video.encoder import encode
from simulator.data.compressed_video.reader import BrokenClip, Clip, UnsupportedCoding
from simulator.data.compressed_video.views import VideoViews, choose

CLIP = Clip("square", encode(square(12, 128, 128)))  # one I-frame, eleven P-frames


def test_channels_lie_group_after_group_and_frame_after_frame() -> None:
    views = VideoViews(segments=2, size=16)
    layout = [(channel.group, channel.picture) for channel in views.channels]
    assert layout == [
        *(("mv", n) for n in (0, 0, 1, 1)),
        *((group, n) for group in ("residual", "iframe") for n in (0, 0, 0, 1, 1, 1)),
    ]
    assert [place for place, channel in enumerate(views.channels) if channel.horizontal] == [0, 2]
    assert {channel.group: channel.zero for channel in views.channels} == {"mv": 128, "residual": 128, "iframe": 0}
    assert views.sample(CLIP).shape == (16, 16, 16)
    assert views.sample(CLIP).dtype == np.uint8


def test_each_modality_alone_is_its_part_of_the_whole() -> None:
    whole = VideoViews(modalities=("iframe", "step_mv", "residual", "mv"), size=20)
    sample = whole.sample(CLIP)
    for group in whole.modalities:
        alone = VideoViews(modalities=(group,), size=20).sample(CLIP)
        assert np.array_equal(alone, sample[..., [channel.group == group for channel in whole.channels]])


@pytest.mark.parametrize("size", [128, 64])
def test_motion_shrinks_with_the_picture(size: int) -> None:
    """The middle frame is the sixth: the square has moved by 5 or 6 steps, of which `reach` makes 127."""
    views = VideoViews(modalities=("mv", "step_mv"), segments=1, size=size, reach=32)
    rows, columns = (slice(side.start * size // 128, side.stop * size // 128) for side in inside(5))
    across, down, step_across, step_down = views.sample(CLIP)[rows, columns].reshape(-1, 4).T
    scale = size / 128 * 127 / 32
    assert across == pytest.approx(128 + round(5 * STEP_X * scale))
    assert down == pytest.approx(128 + round(5 * STEP_Y * scale))
    assert step_across == pytest.approx(128 + round(STEP_X * scale))
    assert step_down == pytest.approx(128 + round(STEP_Y * scale))


def test_motion_beyond_reach_is_cut_off() -> None:
    views = VideoViews(modalities=("mv",), segments=1, size=128, reach=2)
    assert (views.sample(CLIP)[inside(5)] == 255).all()


def test_a_still_clip_is_nothing_but_its_iframe() -> None:
    pictures = np.full((6, 32, 32, 3), 77, dtype=np.uint8)
    sample = VideoViews(size=8, segments=2).sample(Clip("still", encode(pictures)))
    assert (sample[..., :10] == 128).all()
    assert np.abs(sample[..., 10:].astype(int) - 77).max() <= 2


@given(frames=st.integers(2, 40), group=st.integers(2, 13), segments=st.integers(1, 6))
def test_one_predicted_frame_of_each_segment_is_chosen(frames: int, group: int, segments: int) -> None:
    intra = [place % group == 0 for place in range(frames)]
    chosen = choose(intra, segments)
    assert len(chosen) == segments
    assert chosen == sorted(chosen)
    assert not any(intra[place] for place in chosen)
    for n, place in enumerate(chosen):  # I-frames stand alone, so the nearest P-frame is a step away at most
        middle = (n + 0.5) * frames / segments - 0.5
        assert abs(place - middle) <= 1.5


def test_before_the_next_iframe_motion_is_longest() -> None:
    assert choose([True, False, False, True, False, False], 1) == [2]
    assert choose([True, False, False, True, False, False, False], 1) == [
        2
    ]  # the middle is the I-frame: the one before
    assert choose([True, True], 1) == []


def test_clips_without_motion_are_refused() -> None:
    with pytest.raises(BrokenClip, match="holds a single frame"):
        VideoViews().sample(Clip("one", encode(square(1))))
    with pytest.raises(UnsupportedCoding, match="has I-frames only"):
        VideoViews().sample(Clip("still", coded(square(3), "mpeg4", g="1")))


@pytest.mark.parametrize("modalities", [(), ("mv", "mv"), ("flow",)])
def test_modalities_are_known_and_listed_once(modalities: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        VideoViews.model_validate({"modalities": modalities})
