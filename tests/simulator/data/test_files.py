from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from simulator.core.errors import InputError
from simulator.data.dataset import ImageData
from simulator.data.files import ImageFolder, Npz


def write_image(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (6, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def folder_data(path: Path, root: Path, size: int = 4) -> ImageData:
    data = ImageFolder(ImageFolder.Config(path=path, size=size)).load(root)
    data.validate()
    return data


def npz_data(root: Path, **arrays: Any) -> ImageData:
    np.savez(root / "data.npz", **arrays)
    return Npz(Npz.Config(path=Path("data.npz"))).load(root)


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
    with pytest.raises(InputError, match=r"no folder .*missing"):
        folder_data(Path("missing"), tmp_path)
    with pytest.raises(InputError, match="holds no images") as caught:
        folder_data(tmp_path, tmp_path)
    assert "train/<class>" in str(caught.value)


@pytest.mark.parametrize("damage", [lambda content: b"nonsense", lambda content: content[: len(content) // 2]])
def test_an_unreadable_image_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    write_image(tmp_path / "good.png", (1, 1, 1))
    bad = tmp_path / "bad.png"
    write_image(bad, (1, 1, 1), (64, 64))
    bad.write_bytes(damage(bad.read_bytes()))
    with pytest.raises(InputError, match="cannot be read as an image") as caught:
        folder_data(tmp_path, tmp_path)
    assert str(bad) in str(caught.value)


def test_npz_arrays(tmp_path: Path) -> None:
    gray = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    labels = np.array([0, 2, 1], dtype=np.int32)
    data = npz_data(tmp_path, x_train=gray, y_train=labels, x_test=gray[:1], y_test=labels[:1], extra=np.zeros(9))
    data.validate()
    assert np.array_equal(data.x_train[..., 0], gray)
    assert data.y_train is not None
    assert (data.y_train == labels).all()
    assert data.class_names == ("0", "1", "2")


def test_npz_for_a_public_set_needs_images_only(tmp_path: Path) -> None:
    data = npz_data(tmp_path, x_train=np.zeros((3, 4, 4, 3), dtype=np.uint8))
    data.validate()
    assert data.y_train is data.x_test is data.y_test is None
    assert data.num_classes == 0


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x_train": np.zeros((2, 4, 4), dtype=np.float32)}, "x_train has type float32"),
        ({"x_train": np.zeros((2, 4, 4), dtype=np.uint8), "y_train": np.zeros(3, dtype=int)}, "y_train has shape"),
        ({"x_train": np.zeros((2, 4, 4), dtype=np.uint8), "y_train": np.array([0.5, 1])}, "y_train has type float64"),
        ({"x_train": np.zeros((2, 4, 4), dtype=np.uint8), "y_train": np.array([-1, 1])}, "runs from -1 to 1"),
    ],
)
def test_npz_arrays_that_do_not_fit_are_named(tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        npz_data(tmp_path, **arrays).validate()


def test_npz_without_images_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no array x_train; it holds data, y_train\.") as caught:
        npz_data(tmp_path, data=np.zeros(3), y_train=np.zeros(3))
    assert caught.value.problems[0].where == "path"


def test_npz_files_that_cannot_be_read(tmp_path: Path) -> None:
    part = Npz(Npz.Config(path=Path("data.npz")))
    with pytest.raises(InputError, match=r"no file .*data\.npz"):
        part.load(tmp_path)
    (tmp_path / "data.npz").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"not an \.npz file"):
        part.load(tmp_path)
    with (tmp_path / "data.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match=r"not an \.npz file"):
        part.load(tmp_path)
    with pytest.raises(InputError, match="cannot be read: Object arrays"):
        npz_data(tmp_path, x_train=np.array([None, 1], dtype=object))


def test_labels_that_are_not_counted_through_are_mapped_and_told(tmp_path: Path) -> None:
    images = np.zeros((4, 2, 2), dtype=np.uint8)
    labels, others = np.array([3, 7, 3, 10**12]), np.array([7, 5, 3, 3])
    data = npz_data(
        tmp_path, x_train=images, y_train=labels, y_train_worse=others, x_test=images[:1], y_test=labels[:1]
    )
    data.validate()
    assert data.class_names == ("3", "7", "1000000000000")
    assert data.y_train is not None
    assert data.y_train.tolist() == [0, 1, 0, 2]
    assert data.other_labels["worse"].tolist() == [1, -1, 0, 0]  # 5 is no class, which is refused where it is used
    assert data.notes == ("data.npz: labels 3, 7, 1000000000000 are classes 0 to 2, in this order",)


def test_labels_that_are_numbers_of_samples_are_refused(tmp_path: Path) -> None:
    images = np.zeros((50_001, 1, 1), dtype=np.uint8)
    with pytest.raises(InputError, match="50,001 different labels"):
        npz_data(tmp_path, x_train=images, y_train=np.arange(50_001))


def test_unsigned_labels_do_not_turn_negative(tmp_path: Path) -> None:
    labels = np.array([0, 2**63 + 5], dtype=np.uint64)
    data = npz_data(tmp_path, x_train=np.zeros((2, 1, 1), dtype=np.uint8), y_train=labels)
    assert data.class_names == ("0", str(2**63 + 5))


def test_an_archive_larger_than_memory_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("simulator.core.capacity.physical_memory", lambda: 10**6)
    np.savez_compressed(tmp_path / "data.npz", x_train=np.zeros((2000, 32, 32), dtype=np.uint8))
    with pytest.raises(InputError, match=r"data\.npz, unpacked, would take"):
        Npz(Npz.Config(path=Path("data.npz"))).load(tmp_path)


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


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_bomb_among_the_images_is_refused_by_name(tmp_path: Path, side: int) -> None:
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png is too large for a picture"):
        folder_data(tmp_path, tmp_path)


def test_more_pixels_than_memory_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", (1, 1, 1))
    with pytest.raises(InputError, match="this machine has") as caught:
        folder_data(tmp_path, tmp_path, size=10**7)
    assert caught.value.problems[0].where == "size"
