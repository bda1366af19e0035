"""Public images that are private or test images too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.core.errors import InputError
from simulator.core.registry import PartSettings
from simulator.data.npz import Npz
from simulator.data.offline import Digits, UniformNoise
from simulator.data.partition import Iid
from simulator.data.settings import DataSettings, PublicSource
from simulator.data.splits import NetworkData, prepare


def image(number: int) -> np.ndarray:
    return np.full((4, 4, 3), number, dtype=np.uint8)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Images 0 to 59 to train on, 60 to 79 to test on."""
    path = tmp_path / "private.npz"
    images, labels = np.stack([image(number) for number in range(80)]), np.arange(80) % 2
    np.savez(path, x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])
    return path


def prepared(private: Path, public: list[int], **changes: object) -> NetworkData:
    """Data with a public set of the images of those numbers."""
    path = private.parent / "public.npz"
    np.savez(path, x_train=np.stack([image(number) for number in public]))
    source = PublicSource(dataset=Npz.Config(path=path), samples=len(public))
    settings = {"dataset": Npz.Config(path=private), "partition": Iid.Config(), "public": (source,), **changes}
    return prepare(DataSettings.model_validate(settings), nodes=3, seed=0)


@pytest.mark.parametrize(
    ("public", "told"),
    [
        ([100, 5, 101], "1 of its 3 public images are private images of the nodes, 0 are test images"),
        ([100, 70, 71], "0 of its 3 public images are private images of the nodes, 2 are test images"),
        ([59, 60], "1 of its 2 public images are private images of the nodes, 1 are test images"),
    ],
)
def test_an_overlap_is_refused_unless_allowed_and_then_told(private: Path, public: list[int], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        prepared(private, public)
    (problem,) = caught.value.problems

    assert problem.where == "data.public[0]"
    assert "data.public_overlap: allow" in problem.advice
    assert prepared(private, public, public_overlap="allow").notes == (f"public images of npz: {told}",)


def test_each_source_is_judged_alone(private: Path) -> None:
    """The private data set itself, a source without an overlap, and one with."""
    sources = [PublicSource(dataset=Npz.Config(path=private), samples=5)]
    for name, number in (("other.npz", 100), ("same.npz", 70)):
        np.savez(private.parent / name, x_train=np.stack([image(number)]))
        sources.append(PublicSource(dataset=Npz.Config(path=private.parent / name), samples=1))
    settings = DataSettings(dataset=Npz.Config(path=private), partition=Iid.Config(), public=tuple(sources))
    with pytest.raises(InputError, match="1 are test images") as caught:
        prepare(settings, nodes=3, seed=0)
    assert [problem.where for problem in caught.value.problems] == ["data.public[2]"]


def test_other_images_are_no_overlap(private: Path) -> None:
    assert prepared(private, [100, 101, 102]).notes == ()


def test_validation_and_held_out_images_are_private_too(private: Path) -> None:
    with pytest.raises(InputError, match="60 of its 60 public images are private images"):
        prepared(private, list(range(59, -1, -1)), validation=0.4, held_out=0.4)


def test_images_that_no_node_holds_and_nobody_tests_on_may_be_public(private: Path) -> None:
    alone = prepared(private, [100], train_samples=30, test_samples=10)
    node = alone.nodes[0]
    held = {int(row) for n in alone.nodes for part in (n.train, n.validation) for row in part.index}
    seen = {60 + int(row) for row in node.test.index}
    free = sorted(set(range(80)) - held - seen)

    assert prepared(private, free, train_samples=30, test_samples=10).notes == ()


def test_overlap_is_looked_for_after_conversion(private: Path) -> None:
    """Larger images of one colour are the private ones once they are reduced."""
    path = private.parent / "large.npz"
    np.savez(path, x_train=np.full((1, 8, 8, 3), 7, dtype=np.uint8))
    source = PublicSource(dataset=Npz.Config(path=path), samples=1)
    settings = DataSettings(dataset=Npz.Config(path=private), partition=Iid.Config(), public=(source,))

    with pytest.raises(InputError, match="1 of its 1 public images are private"):
        prepare(settings, nodes=3, seed=0)


def test_what_the_private_data_set_has_twice_is_told_and_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.npz"
    images, labels = np.stack([image(number // 2) for number in range(80)]), np.arange(80) // 2 % 2
    np.savez(path, x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])
    dataset: PartSettings = Npz.Config(path=path)
    source = PublicSource(dataset=dataset, samples=9)
    data = prepare(DataSettings(dataset=dataset, partition=Iid.Config(), public=(source,)), nodes=3, seed=0)

    assert len(data.notes) == 1
    assert "of its 9 public images are private images of the nodes, 0 are test images" in data.notes[0]


def test_noise_is_uniform_and_takes_the_private_shape() -> None:
    noise = UniformNoise.Config(size=8, channels=1, count=500)
    source = PublicSource(dataset=noise, samples=400)
    data = prepare(DataSettings(dataset=Digits.Config(), partition=Iid.Config(), public=(source,)), nodes=3, seed=0)
    public = data.nodes[0].public

    assert public is not None
    assert public.inputs.shape == (400, 8, 8, 1)
    counts = np.bincount(public.inputs.flatten(), minlength=256)
    expected = 400 * 64 / 256
    assert ((counts - expected) ** 2 / expected).sum() < 340  # chi squared, 255 degrees of freedom, p = 3e-4
    assert not data.public_in_distribution.any()
    assert UniformNoise(UniformNoise.Config(count=3)).load(Path()).x_train.shape == (3, 32, 32, 3)
