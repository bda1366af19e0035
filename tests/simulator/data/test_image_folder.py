from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reference.marks import first

from simulator.core.errors import InputError
from simulator.data.dataset import ArrayData
from simulator.data.image_folder import ImageFolder
from simulator.data.loading import load_private


def write_image(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (6, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def folder_data(path: Path, root: Path, size: int = 4) -> ArrayData:
    data = ImageFolder(ImageFolder.Config(path=path, size=size)).load(root)
    data.validate()
    return data


def test_a_tree_of_classes_with_a_test_set(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write_image(tree / "train" / "cat" / "images" / "b.png", (200, 0, 0))
    write_image(tree / "train" / "cat" / "a.PNG", (100, 0, 0))
    write_image(tree / "train" / "ant" / "c.jpeg", (0, 0, 50))
    write_image(tree / "val" / "cat" / "d.JPEG", (255, 255, 255))
    (tree / "train" / "empty").mkdir()
    (tree / "train" / "notes.txt").write_text("not an image")
    data = folder_data(Path("tree"), tmp_path)
    assert data.class_names == ("ant", "cat")
    assert data.y_train is not None
    assert data.y_train.tolist() == [0, 1, 1]
    assert data.x_train[1:, 0, 0, 0].tolist() == [100, 200]
    assert data.y_test is not None
    assert data.y_test.tolist() == [1]
    assert data.x_test is not None
    assert data.x_test.min() > 250


def test_test_folders_without_the_training_classes_are_no_test_set(tmp_path: Path) -> None:
    write_image(tmp_path / "train" / "cat" / "a.png", (1, 1, 1))
    write_image(tmp_path / "val" / "images" / "b.png", (1, 1, 1))
    assert folder_data(tmp_path, Path("/nowhere")).x_test is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("test/bird/c.png", "test is no test set, since train has no class bird"),
        ("validation/cat/c.png", "validation is no test set: images to test with lie in test or val"),
    ],
)
def test_a_test_set_that_is_none_is_told_and_why(tmp_path: Path, name: str, says: str) -> None:
    for file in ("train/cat/a.png", "train/dog/b.png", name):
        write_image(tmp_path / file, (1, 1, 1))
    assert any(says in note for note in folder_data(tmp_path, tmp_path).notes)
    with pytest.raises(InputError, match=f"has no x_test, y_test; .*{says}"):
        load_private(ImageFolder.Config(path=tmp_path), tmp_path)


def test_a_folder_of_a_class_without_pictures_is_told(tmp_path: Path) -> None:
    for file in ("train/cat/a.png", "train/dog/b.png", "test/cat/c.png"):
        write_image(tmp_path / file, (1, 1, 1))
    assert not folder_data(tmp_path, tmp_path).notes
    (tmp_path / "train" / "bird").mkdir()
    assert folder_data(tmp_path, tmp_path).notes == (f"{tmp_path.name}: train/bird holds no pictures, and is no class",)


def test_a_flat_folder_is_unlabelled(tmp_path: Path) -> None:
    write_image(tmp_path / "b.png", (2, 2, 2))
    write_image(tmp_path / "a.png", (1, 1, 1))
    data = folder_data(tmp_path, Path("/nowhere"))
    assert data.y_train is data.x_test is None
    assert data.class_names == ()
    assert data.x_train[:, 0, 0, 0].tolist() == [1, 2]


def test_large_images_are_averaged_and_small_ones_interpolated(tmp_path: Path) -> None:
    stripes = np.zeros((8, 16, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "a.png")
    Image.fromarray(np.array([[0, 200]], dtype=np.uint8)).save(tmp_path / "b.png")
    averaged, interpolated = folder_data(tmp_path, tmp_path).x_train
    assert (averaged == 100).all()
    assert np.unique(interpolated).size > 2


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file or folder .*missing"):
        folder_data(Path("missing"), tmp_path)
    with pytest.raises(InputError, match="holds no images") as caught:
        folder_data(tmp_path, tmp_path)
    assert "train/<class>" in str(caught.value)
    (tmp_path / "a").mkdir()
    for name in ("1.gif", "2.GIF", "3.dcm"):
        (tmp_path / "a" / name).touch()
    with pytest.raises(InputError, match=r"holds no images that are read, but 2 \.gif, 1 \.dcm"):
        folder_data(tmp_path, tmp_path)


def test_pixels_of_twelve_bits_in_files_of_sixteen_are_told(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 4095, dtype=np.uint16)).save(tmp_path / "a.png")
    (note,) = folder_data(tmp_path, tmp_path).notes
    assert "1 images are of 16 bits a channel, below 4,096: their upper 8 are taken, of which 4 say nothing" in note


@pytest.mark.parametrize("damage", [lambda content: b"nonsense", lambda content: content[: len(content) // 2]])
def test_an_unreadable_image_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    write_image(tmp_path / "good.png", (1, 1, 1))
    bad = tmp_path / "bad.png"
    write_image(bad, (1, 1, 1), (64, 64))
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(InputError, match="cannot be read as an image") as caught:
        folder_data(tmp_path, tmp_path)
    assert str(bad) in str(caught.value)


def test_hidden_files_and_folders_are_no_class_and_told(tmp_path: Path) -> None:
    for name in (
        "cat/a.png",
        "dog/b.bmp",
        ".ipynb_checkpoints/a.png",
        "cat/.ipynb_checkpoints/a.png",
        "__MACOSX/a.png",
    ):
        write_image(tmp_path / name, (1, 1, 1))
    (tmp_path / "cat" / "._a.png").write_bytes(b"a resource fork")
    (tmp_path / "cat" / "labels.csv").write_text("a")
    data = folder_data(tmp_path, tmp_path)
    assert data.class_names == ("cat", "dog")
    assert len(data.x_train) == 2
    assert data.notes == (f"{tmp_path.name}: 5 files are no pictures of a class and ignored: 1 .csv, 4 hidden",)


def test_a_test_set_beside_the_classes_is_one(tmp_path: Path) -> None:
    for name in ("cat/a.png", "dog/b.png", "test/cat/c.png"):
        write_image(tmp_path / name, (1, 1, 1))
    data = folder_data(tmp_path, tmp_path)
    assert data.class_names == ("cat", "dog")
    assert data.y_test is not None
    assert data.y_test.tolist() == [0]


@pytest.mark.parametrize("name", ["test/c.png", "test/bird/c.png", "Train/cat/c.png", "validation/cat/c.png"])
def test_what_is_called_like_a_split_beside_the_classes_is_refused(tmp_path: Path, name: str) -> None:
    for file in ("cat/a.png", "dog/b.png", name):
        write_image(tmp_path / file, (1, 1, 1))
    with pytest.raises(InputError, match="is called like a split"):
        folder_data(tmp_path, tmp_path)


def test_images_of_16_bits_keep_their_upper_8_and_that_is_told(tmp_path: Path) -> None:
    for name in ("a.png", "b.tif"):
        Image.fromarray(np.full((4, 4), 0x8012, dtype=np.uint16)).save(tmp_path / name)
    data = folder_data(tmp_path, tmp_path)
    assert (data.x_train == 0x80).all()
    assert data.notes == (f"{tmp_path.name}: 2 images are of 16 bits a channel: their upper 8 are taken",)


def test_transparency_that_is_dropped_is_told(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (9, 9, 9, 0)).save(tmp_path / "a.png")
    Image.new("RGBA", (4, 4), (9, 9, 9, 255)).save(tmp_path / "b.png")
    (note,) = folder_data(tmp_path, tmp_path).notes
    assert "1 images are transparent" in note


def test_pictures_that_cannot_be_taken_as_they_are_are_named(tmp_path: Path) -> None:
    bad, page = tmp_path / "bad.tif", Image.new("RGB", (4, 4))
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(bad)
    with pytest.raises(InputError, match=r"bad\.tif has pixels that are fractions"):
        folder_data(tmp_path, tmp_path)
    Image.fromarray(np.full((4, 4), 10**6, dtype=np.int32)).save(bad)
    with pytest.raises(InputError, match=r"bad\.tif has pixels from 1000000"):
        folder_data(tmp_path, tmp_path)
    page.save(bad, save_all=True, append_images=[page])
    with pytest.raises(InputError, match=r"bad\.tif holds 2 pictures"):
        folder_data(tmp_path, tmp_path)


@pytest.mark.parametrize("side", first([10_000, 20_000]))
def test_a_bomb_among_the_images_is_refused_by_name(tmp_path: Path, side: int) -> None:
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png is too large for a picture"):
        folder_data(tmp_path, tmp_path)


def test_more_pixels_than_memory_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", (1, 1, 1))
    with pytest.raises(InputError, match="this machine has") as caught:
        folder_data(tmp_path, tmp_path, size=10**7)
    assert caught.value.problems[0].where == "size"


def test_folders_of_sites_have_their_classes_together(tmp_path: Path) -> None:
    for name in ("north/train/cat/a.png", "north/test/dog/b.png", "south/dog/c.png", "south/cat/d.png"):
        write_image(tmp_path / name, (1, 1, 1))
    data = ImageFolder(path=tmp_path, size=4, sites=True).load(tmp_path)
    data.validate()
    assert (data.class_names, data.site_names) == (("cat", "dog"), ("north", "south"))
    assert (data.y_train.tolist(), data.sites.tolist()) == ([0, 0, 1], [0, 1, 1])
    assert (data.y_test.tolist(), data.test_sites.tolist()) == ([1], [0])
