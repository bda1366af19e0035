from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference.videos import coded, square

from simulator.core.errors import InputError
from simulator.data.compressed_video.encoder import encode
from simulator.data.compressed_video.folder import VideoFolder
from simulator.data.compressed_video.views import VideoViews
from simulator.data.dataset import ArrayData

SOUND, WITH_B_FRAMES = encode(square(6)), coded(square(6), "mpeg4", "avi", bf="2")
LEFTWARDS = encode(np.ascontiguousarray(square(6)[:, :, ::-1]))


def put(root: Path, name: str, content: bytes = SOUND) -> None:
    path = root / "clips" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def load(root: Path, **settings: Any) -> ArrayData:
    views = VideoViews(size=8, segments=1)
    data = VideoFolder(VideoFolder.Config.model_validate({"path": "clips", "views": views} | settings)).load(root)
    data.validate()
    return data


def tree(root: Path) -> Path:
    put(root, "train/run/b.avi")
    put(root, "train/run/a.AVI")
    put(root, "train/jump/c.mp4", LEFTWARDS)
    put(root, "train/jump/notes.txt")
    put(root, "test/jump/d.avi", LEFTWARDS)
    return root


def test_a_tree_of_classes(tmp_path: Path) -> None:
    data = load(tree(tmp_path))
    assert data.class_names == ("jump", "run")
    assert data.y_train is not None
    assert data.y_test is not None
    assert data.x_test is not None
    assert data.y_train.tolist() == [0, 1, 1]
    assert data.y_test.tolist() == [0]
    assert data.x_train.shape == (3, 8, 8, 8)
    assert np.array_equal(data.x_test[0], data.x_train[0])
    assert (np.sign(data.x_train[..., 0].mean(axis=(1, 2)) - 128) == [-1, 1, 1]).all()  # which way the square moves
    assert data.notes == ()
    assert len(data.kind.channels) == 8


def test_a_cache_hit_equals_a_miss_and_needs_no_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path)
    put(tmp_path, "train/run/e.avi", WITH_B_FRAMES)
    fresh = load(tmp_path, reencode=True, cache=None)
    missed = load(tmp_path, reencode=True)
    monkeypatch.setattr(VideoViews, "sample", lambda *_: pytest.fail("decoded again"))
    hit = load(tmp_path, reencode=True)
    for data in (missed, hit):
        assert np.array_equal(data.x_train, fresh.x_train)
        assert data.notes == fresh.notes
    put(tmp_path, "test/run/f.avi", SOUND)  # known by its content, under whatever name
    data = load(tmp_path, reencode=True)
    assert data.x_test is not None
    assert np.array_equal(data.x_test[-1], fresh.x_train[-2])


def test_without_a_test_folder_there_is_no_test_set(tmp_path: Path) -> None:
    put(tmp_path, "train/run/a.avi")
    data = load(tmp_path)
    assert data.x_test is data.y_test is None


def test_published_lists_say_which_clips_are_for_what(tmp_path: Path) -> None:
    for name in ("Archery/a.avi", "Archery/b.avi", "YoYo/c.avi", "YoYo/d.avi"):
        put(tmp_path, name)
    ucf, hmdb = tmp_path / "ucf", tmp_path / "hmdb"
    ucf.mkdir()
    hmdb.mkdir()
    (ucf / "trainlist02.txt").write_text("YoYo/c.avi 2\r\nArchery/b.avi 1\r\n")
    (ucf / "testlist02.txt").write_text("YoYo/d.avi\n\n")
    (hmdb / "Archery_test_split2.txt").write_text("a.avi 0 \nb.avi 1 \n")
    (hmdb / "YoYo_test_split2.txt").write_text("c.avi 1 \nd.avi 2 \n")
    (hmdb / "YoYo_test_split1.txt").write_text("c.avi 2 \nd.avi 1 \n")
    for lists in (ucf, hmdb):
        data = load(tmp_path, lists=lists.name, split=2)
        assert data.class_names == ("Archery", "YoYo")
        assert data.y_train is not None
        assert data.y_test is not None
        assert sorted(data.y_train.tolist()) == [0, 1]
        assert data.y_test.tolist() == [1]
    with pytest.raises(InputError, match="holds no lists of split 3") as caught:
        load(tmp_path, lists="ucf", split=3)
    assert "trainlist03.txt" in caught.value.problems[0].advice
    (ucf / "testlist02.txt").write_text("d.avi\n")
    with pytest.raises(InputError, match=r"testlist02\.txt:1: no clip of the form"):
        load(tmp_path, lists="ucf", split=2)
    (hmdb / "YoYo_test_split1.txt").write_text("c.avi 2\nd.avi 7\n")
    with pytest.raises(InputError, match=r"YoYo_test_split1\.txt:2: not a clip and 0, 1 or 2"):
        load(tmp_path, lists="hmdb")


def test_clips_with_b_frames_are_refused_or_re_encoded(tmp_path: Path) -> None:
    put(tree(tmp_path), "test/jump/e.avi", WITH_B_FRAMES)
    with pytest.raises(InputError, match=r"test/jump/e\.avi has B-frames") as caught:
        load(tmp_path)
    assert "reencode: true" in caught.value.problems[0].advice
    data = load(tmp_path, reencode=True)
    assert data.notes == ("1 of 5 clips were re-encoded, as their motion could not be followed",)
    assert data.x_test is not None
    assert len(data.x_test) == 2


def test_broken_clips_are_refused_or_left_out_and_counted(tmp_path: Path) -> None:
    put(tree(tmp_path), "train/jump/b.avi", b"nonsense")
    put(tmp_path, "test/jump/c.avi", SOUND[: len(SOUND) // 2])
    with pytest.raises(InputError, match=r"train/jump/b\.avi cannot be decoded"):
        load(tmp_path)
    data = load(tmp_path, broken="skip")
    assert data.y_train is not None
    assert data.y_train.tolist() == [0, 1, 1]
    assert data.notes == ("2 clips are missing or broken and were left out: b.avi, c.avi",)
    for name in ("train/jump/b.avi", "test/jump/c.avi"):
        (tmp_path / "clips" / name).unlink()
    assert np.array_equal(data.x_train, load(tmp_path).x_train)


def test_a_class_that_loses_all_its_clips_is_refused(tmp_path: Path) -> None:
    put(tree(tmp_path), "train/jump/c.mp4", b"nonsense")
    with pytest.raises(InputError, match="no clip to train on is left of 1 classes: jump"):
        load(tmp_path, broken="skip")


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file or folder"):
        load(tmp_path)
    put(tmp_path, "run/a.avi")
    with pytest.raises(InputError, match="holds no clips to train on") as caught:
        load(tmp_path)
    assert "split lists" in caught.value.problems[0].advice
    put(tree(tmp_path), "test/swim/a.avi")
    with pytest.raises(InputError, match="classes that have no training clips: swim"):
        load(tmp_path)
    (tmp_path / "clips" / "train" / "empty").mkdir()
    with pytest.raises(InputError, match=r"class folder .*empty holds no clips"):
        load(tmp_path)
