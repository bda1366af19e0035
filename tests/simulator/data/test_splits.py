from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from simulator.core.errors import InputError
from simulator.core.registry import PartSettings
from simulator.core.samples import NodeData, Samples
from simulator.data.npz import Npz
from simulator.data.offline import Digits, PhotoPatches
from simulator.data.partition import Dirichlet, Iid, QuantitySkew
from simulator.data.public import UNKNOWN
from simulator.data.splits import DataSettings, NetworkData, PublicSource, prepare
from simulator.tasks.classification import Classification

Writer = Callable[..., Path]
SPLITS = ("train", "validation", "held_out")


def settings(path: Path, *public: tuple[PartSettings, int], **changes: Any) -> DataSettings:
    sources = tuple(PublicSource(dataset=dataset, samples=samples) for dataset, samples in public)
    defaults = {"partition": Iid.Config(), "validation": 0.2, "held_out": 0.3, "public": sources}
    return DataSettings(dataset=Npz.Config(path=path), **(defaults | changes))


def spelled(samples: Samples | None) -> list[int]:
    """The numbers that the images spell."""
    assert samples is not None
    first = samples.inputs_at(torch.arange(len(samples))).flatten(1)[:, :2].long()
    return (first[:, 0] + 256 * first[:, 1]).tolist()


def private(node: NodeData) -> list[int]:
    return sorted(number for split in SPLITS for number in spelled(getattr(node, split)))


def pools(data: NetworkData) -> list[list[int]]:
    return [private(node) for node in data.nodes]


def refused(chosen: DataSettings, nodes: int = 4) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        prepare(chosen, nodes, seed=0)
    (problem,) = caught.value.problems
    assert problem.advice
    return problem.where, problem.what


def test_each_node_gets_disjoint_splits_that_cover_its_part(write_npz: Writer) -> None:
    data = prepare(settings(write_npz("a.npz")), nodes=7, seed=0)
    everything = [number for node in data.nodes for number in private(node)]
    assert len(everything) == len(set(everything)) == 294
    assert set(everything) <= set(range(300))
    for node in data.nodes:
        assert [len(getattr(node, split)) for split in SPLITS] == [21, 8, 13]
        assert spelled(node.test) == list(range(300, 360))
        positions = torch.arange(len(node.train))
        assert node.train.targets_at(positions).tolist() == [number % 5 for number in spelled(node.train)]
        assert node.classes == 5
        assert node.public is None
    assert data.notes == ("6 training samples went to no node: the partition gives all nodes the same number",)
    assert data.class_names == ("0", "1", "2", "3", "4")


def test_all_nodes_share_one_copy_of_the_images(write_npz: Writer) -> None:
    data = prepare(settings(write_npz("a.npz"), (PhotoPatches.Config(count=50), 9)), nodes=3, seed=0)
    for split in (*SPLITS, "test", "public"):
        assert len({getattr(node, split).inputs.data_ptr() for node in data.nodes}) == 1


@pytest.mark.parametrize("partition", [Dirichlet.Config(alpha=0.5), QuantitySkew.Config(alpha=1.0), Iid.Config()])
def test_the_seed_decides_everything(write_npz: Writer, partition: PartSettings) -> None:
    chosen = settings(write_npz("a.npz"), partition=partition)
    first, again, other = (prepare(chosen, nodes=5, seed=seed) for seed in (3, 3, 4))
    for a, b in zip(first.nodes, again.nodes, strict=True):
        assert all(spelled(getattr(a, split)) == spelled(getattr(b, split)) for split in SPLITS)
    assert pools(first) != pools(other)


def test_shares_move_neither_the_partition_nor_each_other(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    base = prepare(settings(path), nodes=5, seed=0)
    more_validation = prepare(settings(path, validation=0.4), nodes=5, seed=0)
    no_held_out = prepare(settings(path, held_out=0), nodes=5, seed=0)
    assert pools(base) == pools(more_validation) == pools(no_held_out)
    for a, b, c in zip(base.nodes, more_validation.nodes, no_held_out.nodes, strict=True):
        assert spelled(a.held_out) == spelled(b.held_out)
        assert spelled(a.validation) == spelled(c.validation)
        assert set(spelled(a.validation)) < set(spelled(b.validation))
        assert len(c.held_out) == 0


def test_membership_is_drawn_anew_for_every_node(write_npz: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Iid, "split", lambda _, labels, nodes, rng: np.array_split(np.arange(len(labels)), nodes))
    data = prepare(settings(write_npz("a.npz")), nodes=4, seed=0)
    assert {len(node.held_out) for node in data.nodes} == {22}
    assert len({tuple(number % 75 for number in spelled(node.held_out)) for node in data.nodes}) == 4


def test_a_node_that_a_partition_leaves_empty_is_named(write_npz: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Iid, "split", lambda *_: [np.arange(9), np.arange(0)])
    where, what = refused(settings(write_npz("a.npz"), validation=0, held_out=0), nodes=2)
    assert where == "data.partition"
    assert "node 1 has 0 samples" in what


def test_a_partition_that_gives_a_sample_to_two_nodes_is_refused(
    write_npz: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Iid, "split", lambda *_: [np.arange(40), np.arange(30, 60)])
    where, what = refused(settings(write_npz("a.npz")), nodes=2)
    assert where == "data.partition"
    assert "10 positions more than once, such as 30" in what
    monkeypatch.setattr(Iid, "split", lambda *_: [np.arange(40), np.arange(40, 60)])
    data = prepare(settings(write_npz("a.npz")), nodes=2, seed=0)
    assert any("training samples went to no node: the partition leaves them out" in note for note in data.notes)


def test_public_images_are_private_and_test_images_of_nobody(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    data = prepare(settings(path, (Npz.Config(path=path), 100)), nodes=4, seed=0)
    public = spelled(data.nodes[0].public)
    assert len(set(public)) == 100
    assert set(public).isdisjoint(number for pool in pools(data) for number in pool)
    assert set(public).isdisjoint(spelled(data.nodes[0].test))
    assert sum(map(len, pools(data))) == 200
    assert data.public_in_distribution.all()
    assert data.public_index.tolist() == public
    assert data.public_labels.tolist() == [number % 5 for number in public]


def test_public_images_have_one_order_on_all_nodes_and_no_labels(write_npz: Writer) -> None:
    path, other = write_npz("a.npz"), write_npz("b.npz", first=1000)
    data = prepare(settings(path, (Npz.Config(path=path), 50), (Npz.Config(path=other), 70)), nodes=4, seed=0)
    digests = set()
    for node in data.nodes:
        assert node.public is not None
        assert node.public.targets is None
        images = node.public.inputs_at(torch.arange(120)).numpy()
        digests.add(
            hashlib.sha256(b"".join(i.to_bytes(4, "big") + image.tobytes() for i, image in enumerate(images))).digest()
        )
    assert len(digests) == 1
    numbers = np.array(spelled(data.nodes[0].public))
    assert (data.public_in_distribution == (numbers < 1000)).all()
    assert (data.public_source == (numbers >= 1000)).all()
    assert (data.public_index == numbers % 1000).all()
    assert (data.public_labels == np.where(numbers < 1000, numbers % 5, UNKNOWN)).all()
    assert 0 < data.public_in_distribution[:50].sum() < 50  # shuffled together


def test_the_same_images_under_another_path_are_still_taken_out_of_the_private_pool(write_npz: Writer) -> None:
    data = prepare(settings(write_npz("a.npz"), (Npz.Config(path=write_npz("copy.npz")), 100)), nodes=4, seed=0)
    assert data.public_in_distribution.all()
    assert set(spelled(data.nodes[0].public)).isdisjoint(number for pool in pools(data) for number in pool)


def test_other_public_sources_do_not_move_the_partition(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    own = (Npz.Config(path=path), 40)
    alone, joined = (
        prepare(settings(path, *extra, own), 4, 0) for extra in ((), ((PhotoPatches.Config(count=80), 60),))
    )
    assert pools(alone) == pools(joined)
    assert set(joined.public_index[joined.public_in_distribution]) == set(alone.public_index)
    without, foreign = (prepare(settings(path, *extra), 4, 0) for extra in ((), ((PhotoPatches.Config(count=80), 60),)))
    assert pools(without) == pools(foreign)


def test_public_images_take_the_private_shape_and_the_user_is_told() -> None:
    source = PublicSource(dataset=PhotoPatches.Config(count=30), samples=20)
    data = prepare(DataSettings(dataset=Digits.Config(), partition=Iid.Config(), public=(source,)), nodes=3, seed=0)
    public = data.nodes[0].public
    assert public is not None
    assert public.inputs.shape == (20, 8, 8, 1)
    assert data.notes == ("public images of photo_patches: converted from 32x32x3 to 8x8x1",)


def test_the_normalizer_is_measured_on_the_private_pool_alone(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    data = prepare(settings(path, (Npz.Config(path=path), 100), train_samples=150), nodes=5, seed=0)
    with np.load(path) as arrays:
        pool = arrays["x_train"][sorted(number for pool in pools(data) for number in pool)] / 255
    assert len(pool) == 150
    preparation = data.nodes[0].preparation
    assert preparation.mean.numpy() == pytest.approx(pool.mean(axis=(0, 1, 2)), abs=1e-6)
    assert preparation.std.numpy() == pytest.approx(np.maximum(pool.std(axis=(0, 1, 2)), 1e-6), abs=1e-6)


def test_caps_take_random_subsets(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    data = prepare(settings(path, train_samples=100, test_samples=20), nodes=4, seed=0)
    numbers = sorted(number for pool in pools(data) for number in pool)
    assert len(numbers) == 100
    assert numbers[-1] > 200
    assert len(data.nodes[0].test) == 20
    assert spelled(data.nodes[0].test) != list(range(300, 320))
    assert len(prepare(settings(path, train_samples=10**6), nodes=4, seed=0).nodes[0].train) == 38


def test_small_shares_still_give_every_node_a_sample(write_npz: Writer) -> None:
    data = prepare(settings(write_npz("a.npz", train=12), validation=0.1, held_out=0.1), nodes=4, seed=0)
    assert {tuple(len(getattr(node, split)) for split in SPLITS) for node in data.nodes} == {(1, 1, 1)}


def test_the_saved_partition_says_where_every_sample_is(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    data = prepare(settings(path, (Npz.Config(path=path), 50), test_samples=7), nodes=4, seed=0)
    data.save_partition(tmp_path / "partition.npz")
    with np.load(tmp_path / "partition.npz", allow_pickle=False) as saved:
        for split in SPLITS:
            for i, node in enumerate(data.nodes):
                index = saved[f"{split}_index"][saved[f"{split}_node"] == i]
                assert index.tolist() == spelled(getattr(node, split))
        assert saved["public_index"].tolist() == spelled(data.nodes[0].public)
        assert saved["public_in_distribution"].all()
        assert saved["public_labels"].tolist() == data.public_labels.tolist()
        assert (saved["test_index"] + 300).tolist() == spelled(data.nodes[0].test)
        assert saved["classes"] == 5
        assert saved["class_names"].tolist() == ["0", "1", "2", "3", "4"]


def test_the_saved_partition_has_the_same_bytes_every_time(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    for name in ("one.npz", "two.npz"):
        prepare(settings(path), nodes=4, seed=0).save_partition(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # no clock in it


def test_a_task_whose_headline_is_none_of_its_scores_is_refused(write_npz: Writer) -> None:
    task = type("Strict", (Classification,), {"headline": "f2"})
    with pytest.raises(InputError, match="the headline of strict is 'f2', and its scores are accuracy, loss"):
        prepare(settings(write_npz("a.npz")), nodes=2, seed=0, task=task(Classification.Config(name="strict")))


def test_private_data_need_labels_and_a_test_set() -> None:
    where, what = refused(DataSettings(dataset=PhotoPatches.Config(), partition=Iid.Config()))
    assert where == "data.dataset"
    assert "no y_train, x_test, y_test" in what


def test_errors_of_parts_stand_under_their_setting(write_npz: Writer, tmp_path: Path) -> None:
    path = write_npz("a.npz")
    assert refused(settings(tmp_path / "missing.npz"))[0] == "data.dataset.path"
    missing = (Npz.Config(path=tmp_path / "missing.npz"), 5)
    assert refused(settings(path, (PhotoPatches.Config(), 5), missing))[0] == "data.public[1].dataset.path"
    assert refused(settings(path), nodes=301)[0] == "data.partition"
    hopeless = Dirichlet.Config(alpha=0.001, max_retries=1)
    assert refused(settings(path, partition=hopeless), nodes=10)[0] == "data.partition.alpha"
    assert refused(settings(path, partition=PartSettings(name="dirichle")))[0] == "data.partition"
    np.savez(tmp_path / "floats.npz", x_train=np.zeros((3, 4), dtype=np.complex64))
    assert refused(settings(tmp_path / "floats.npz")) == ("data.dataset", "x_train has type complex64.")


def test_public_sources_must_have_enough_images(write_npz: Writer) -> None:
    path = write_npz("a.npz")
    where, what = refused(settings(path, (PhotoPatches.Config(count=30), 31)))
    assert where == "data.public[0].samples"
    assert "has 30 training images" in what
    assert "has 300 training images" in refused(settings(path, (Npz.Config(path=path), 301)))[1]
    assert "all training images of the private" in refused(settings(path, (Npz.Config(path=path), 300)))[1]


def test_a_node_with_nothing_to_train_on_is_named(write_npz: Writer) -> None:
    where, what = refused(settings(write_npz("a.npz", train=9)), nodes=4)
    assert where == "data.partition"
    assert what == "node 0 has 2 samples: none is left to train on after 1 for validation and 1 held out."


def test_settings_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="together must be less than 1"):
        settings(tmp_path, validation=0.6, held_out=0.4)
    with pytest.raises(ValidationError, match="the same data set twice"):
        settings(tmp_path, (PhotoPatches.Config(), 5), (Digits.Config(), 5), (PhotoPatches.Config(), 6))
    for changes in ({"train_samples": 0}, {"test_samples": 0}, {"validation": 1}, {"held_out": -0.1}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            settings(tmp_path, **changes)


def test_settings_of_parts_survive_a_dump(tmp_path: Path) -> None:
    dumped = settings(tmp_path, (PhotoPatches.Config(count=7), 5)).model_dump(mode="json")
    assert dumped["dataset"]["path"] == str(tmp_path)
    assert dumped["public"][0]["dataset"]["count"] == 7


def test_labels_of_public_images_are_kept_from_nodes() -> None:
    public = PublicSource(dataset=Digits.Config(), samples=100)
    data = prepare(DataSettings(dataset=Digits.Config(), partition=Iid.Config(), public=(public,)), nodes=2, seed=0)
    assert (data.public_labels >= 0).all()
    node_public = data.nodes[0].public
    assert node_public is not None
    with pytest.raises(ValueError, match="no labels"):
        node_public.targets_at(torch.arange(3))
