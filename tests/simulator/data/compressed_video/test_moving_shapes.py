from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference.experiments import nodes_of, small

from simulator import run
from simulator.core.errors import InputError
from simulator.data.compressed_video import scenes
from simulator.data.compressed_video.features import follow
from simulator.data.compressed_video.moving_shapes import MovingShapes
from simulator.data.compressed_video.reader import decode
from simulator.data.compressed_video.scenes import ACTIONS, render
from simulator.data.dataset import ArrayData

NOWHERE = Path("/nonexistent")


def shapes(root: Path = NOWHERE, **settings: Any) -> ArrayData:
    small_set = {"train": 9, "test": 8, "side": 32, "frames": 14, "cache": None, "views": {"size": 16, "segments": 2}}
    data = MovingShapes(MovingShapes.Config.model_validate(small_set | settings)).load(root)
    data.validate()
    return data


@pytest.mark.slow
def test_one_seed_gives_one_data_set_in_which_clips_do_not_depend_on_their_number() -> None:
    first, again, more, other = shapes(), shapes(), shapes(train=10), shapes(seed=1)
    assert first.x_train.shape == (9, 16, 16, 16)
    assert np.array_equal(first.x_train, again.x_train)
    assert first.x_test is not None
    assert again.x_test is not None
    assert np.array_equal(first.x_test, again.x_test)
    assert np.array_equal(first.x_train, more.x_train[:9])
    assert first.y_train is not None
    assert first.y_train.tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    clips = [bytes(sample) for sample in (*first.x_train, *first.x_test, *other.x_train)]
    assert len(set(clips)) == len(clips)


def test_a_cache_hit_equals_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = shapes(tmp_path, cache="kept")
    monkeypatch.setattr(MovingShapes, "clip", lambda *_: pytest.fail("made again"))
    hit = shapes(tmp_path, cache="kept")
    assert np.array_equal(hit.x_train, missed.x_train)
    assert np.array_equal(hit.x_test, missed.x_test)  # type: ignore[arg-type]
    assert len(list((tmp_path / "kept").iterdir())) == 1


@pytest.mark.parametrize("codec", ["mpeg4", "h264"])
@pytest.mark.parametrize(("action", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)])
def test_the_codec_sees_where_shapes_go(codec: str, action: str, axis: int, sign: int) -> None:
    part = MovingShapes(MovingShapes.Config.model_validate({"frames": 12, "nuisance": 0, "codec": codec}))
    for number in range(3):
        (*_, last) = follow(decode(part.clip("train", ACTIONS.index(action) + 7 * number)))
        along, across = np.abs(last.accumulated).sum(axis=(0, 1))[[axis, 1 - axis]]
        assert last.accumulated[..., axis].sum() * sign > 0.8 * along
        assert along > 2 * across


def pictures(action: str, nuisance: float, seed: int = 0) -> np.ndarray:
    return render(action, 12, 32, hint=1, nuisance=nuisance, rng=np.random.default_rng(seed))


def test_every_action_changes_the_picture_and_without_nuisance_nothing_else_does() -> None:
    for action in ACTIONS:
        clip = pictures(action, nuisance=0).astype(int)
        changed = (clip != clip[0]).any(axis=(0, 3))
        assert 0.02 < changed.mean() < 0.9
        assert not changed[0, 0]
    blinking = pictures("blink", nuisance=0)
    assert len({picture.tobytes() for picture in blinking}) == 2


def test_nuisance_moves_the_background() -> None:
    moved = [(pictures("blink", nuisance=1, seed=s)[0, 0] != pictures("blink", 1, s)[11, 0]).any() for s in range(8)]
    assert sum(moved) >= 7


@pytest.mark.parametrize(("hint", "shapes_seen"), [(1.0, 1), (0.0, 7)])
def test_the_hint_ties_shapes_to_actions(hint: float, shapes_seen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    painted = set()
    monkeypatch.setattr(scenes, "_paint", lambda pictures, shape, *_: painted.add(shape))
    for seed in range(60):
        render("up", 2, 32, hint=hint, nuisance=0, rng=np.random.default_rng(seed))
    assert len(painted) == shapes_seen


@pytest.mark.slow
def test_nodes_on_a_ring_learn_actions_from_motion_alone(tmp_path: Path) -> None:
    views = {"modalities": ["mv"], "size": 8, "segments": 1}
    dataset = {"name": "moving_shapes", "train": 98, "test": 42, "frames": 12, "hint": 0, "cache": None, "views": views}
    data = {"dataset": dataset, "partition": "iid", "validation": 0.0, "augment": {"crop": 1}}
    result = run(small(data=data, rounds=40, model={"name": "mlp", "hidden": [16]}), tmp_path)
    accuracy = [metric.value for metric in result.metrics() if metric.name == "test/accuracy/mean"]
    assert accuracy[-1] > 2.5 / 7  # chance is 1/7


def test_augmented_batches_turn_the_sign_of_horizontal_motion(tmp_path: Path) -> None:
    """Mirrored clips of motion to the right look like clips of motion to the left."""
    views = {"modalities": ["mv"], "size": 1, "segments": 1, "reach": 0.1}
    video = {"name": "moving_shapes", "train": 35, "test": 7, "side": 32, "frames": 6, "cache": None, "views": views}
    data = {"dataset": video | {"nuisance": 0}, "partition": "iid", "validation": 0.0}
    (plain, *_), (flipped, *_) = (nodes_of(small(data=data | {"augment": a})) for a in ({}, {"flip": True}))
    signs = []
    for node in (plain, flipped):
        batches = [node.training_set.next_batch(8, node.rng, node.rng("augmentation")) for _ in range(20)]
        unscaled = torch.cat([batch.inputs for batch in batches]) * node.data.preparation.std[:, None, None]
        pixels = (unscaled + node.data.preparation.mean[:, None, None]) * 255 - 128
        signs.append({(round(float(x)), round(float(y))) for x, y in pixels.flatten(1)})
    assert signs[1] == signs[0] | {(-x, y) for x, y in signs[0]} != signs[0]


@pytest.mark.slow
def test_public_images_of_another_kind_are_refused(tmp_path: Path) -> None:
    video = {
        "name": "moving_shapes",
        "train": 21,
        "test": 7,
        "side": 32,
        "frames": 3,
        "cache": None,
        "views": {"size": 8},
    }
    data = {"dataset": video, "partition": "iid", "public": [{"dataset": "digits", "samples": 5}]}
    with pytest.raises(InputError, match="samples of 'digits' cannot be converted"):
        run(small(data=data), tmp_path)
    data["public"] = [{"dataset": video | {"seed": 1}, "samples": 5}]
    run(small(data=data, rounds=1), tmp_path)
