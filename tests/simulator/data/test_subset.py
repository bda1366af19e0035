"""A coreset from another run: another network, other nodes, and what cannot be."""

import numpy as np
import pytest
from reference.experiments import small

from simulator import run
from simulator.core.errors import InputError
from simulator.data.content import Content
from simulator.data.coreset import CoresetChoice, coreset
from simulator.data.dataset import ArrayData
from simulator.runs.launch import branch, resume
from simulator.runs.run import Run


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return run(small(methods=[{"name": "ltc"}]), tmp_path_factory.mktemp("scored"))


def subset(scored, **settings):
    more = "".join(f", {name}: {value}" for name, value in settings.items())
    return f"data.subset={{run: {scored.path}, score: ltc, share: 0.3{more}}}"


def trained_on(done):
    partition = done.directory.partition()
    return [set(partition["train_index"][partition["train_node"] == node].tolist()) for node in range(4)]


def chosen(scored, **settings):
    found = []
    for artifact in scored.directory.artifacts("scores"):
        scores = {name.removeprefix("score/"): values for name, values in artifact.arrays.items()}
        kept = coreset(scores, artifact.arrays["label"], CoresetChoice(score="ltc", share=0.3, **settings))
        found.append(set(artifact.arrays["index"][kept].tolist()))
    return found


@pytest.mark.parametrize("settings", [{}, {"per_class": "equal"}, {"prefer": "low"}])
@pytest.mark.slow
def test_every_node_trains_on_its_coreset_with_another_network(scored, settings, tmp_path):
    done = run(small(subset(scored, **settings), model={"name": "mlp", "hidden": [5, 5]}), tmp_path)

    assert trained_on(done) == chosen(scored, **settings)
    for name in ("validation_index", "test_index"):
        np.testing.assert_array_equal(done.directory.partition()[name], scored.directory.partition()[name])


def test_one_node_trains_on_the_coresets_of_all(scored, tmp_path):
    central = {"graph": "complete", "nodes": 1}
    done = run(small(subset(scored), "data.validation=0.0", "data.partition=iid", topology=central), tmp_path)

    assert trained_on(done)[0] == set().union(*chosen(scored))


@pytest.mark.slow
def test_in_a_folder_the_run_of_the_seed_is_taken(tmp_path):
    first, _ = (run(small(f"seed={seed}", methods=[{"name": "ltc"}]), tmp_path / "scores") for seed in (0, 1))
    folder = f"data.subset={{run: {first.path.parent}, score: ltc}}"

    assert trained_on(run(small(folder), tmp_path)) == chosen(first)
    with pytest.raises(InputError, match=r"is not a run, and has no run of seed 2 in it"):
        run(small(folder, "seed=2"), tmp_path)


def arrays(folder, seed, rows=600):
    """A data set by this name in ``folder``, with images and labels of its own."""
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 256, (rows, 8, 8), dtype=np.uint8), np.arange(rows) % 10
    folder.mkdir()
    np.savez(folder / "a.npz", x_train=images, y_train=labels, x_test=images[:50], y_test=labels[:50])
    return "data.dataset={name: npz, path: a.npz}", "data.public=[]", f"data.root={folder}"


@pytest.mark.slow
def test_content_is_compared_and_not_settings(tmp_path):
    """Equal settings and labels under another root are another data set; the same files elsewhere are the same one."""
    here, other, copy = (arrays(tmp_path / name, seed) for name, seed in (("here", 0), ("other", 1), ("copy", 0)))
    scored = run(small(*here, methods=[{"name": "ltc"}]), tmp_path / "scored")

    assert trained_on(run(small(*copy, subset(scored)), tmp_path / "again")) == chosen(scored)
    with pytest.raises(InputError, match=r"data.subset.run: .* is about another data set: its images or labels"):
        run(small(*other, subset(scored)), tmp_path / "out")


def test_a_run_is_not_resumed_branched_or_audited_on_other_data(tmp_path):
    settings = arrays(tmp_path / "data", 0)
    done = run(small(*settings, rounds=4, checkpoint={"every": 2}), tmp_path / "runs")
    (tmp_path / "data" / "a.npz").unlink()
    (tmp_path / "data").rmdir()
    arrays(tmp_path / "data", 1)

    for take_over in (
        lambda: resume(done.path, 2),
        lambda: branch(done.path, 2, small(*settings, rounds=4, checkpoint={"every": 2}), tmp_path / "branched"),
        lambda: Run(done.directory, "finished").nodes,
    ):
        with pytest.raises(InputError, match=r"data.dataset: .* was about other data"):
            take_over()


def test_a_run_from_before_digests_is_told_by_its_labels():
    data = arrays_of(np.arange(40) % 4)
    partition = {"train_index": np.array([3, 9]), "train_label": np.array([3, 0]), "canary_index": np.array([9])}

    assert Content.of(data).is_that_of(partition)
    assert not Content.of(arrays_of(np.arange(40) % 3)).is_that_of(partition)
    assert not Content.of(arrays_of(np.arange(8) % 4)).is_that_of(partition)


def arrays_of(labels):
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    return ArrayData(images, labels, images, labels, ("a", "b", "c", "d"))


def test_what_cannot_be_is_refused_before_anything_is_computed(scored, tmp_path):
    plain = run(small(methods=[]), tmp_path / "plain")
    npz = {"name": "npz", "path": str(tmp_path / "a.npz")}
    images, labels = np.zeros((400, 8, 8), np.uint8), np.arange(400) % 10
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    for changes, complaint in (
        ((subset(plain),), r"data.subset.run: no node of .* has saved scores\.[\s\S]*the method ltc"),
        ((subset(scored).replace("score: ltc", "score: aun"),), r"data.subset.score: unknown score 'aun'[\s\S]*'aum'"),
        ((f"data.subset={{run: {tmp_path / 'none'}, score: ltc}}",), r"is not a run, and has no run of seed 0"),
        ((subset(scored), f"data.dataset={npz}", "data.public=[]"), r"is about another data set"),
        ((subset(scored), "seed=1", "topology.nodes=60", "data.partition=iid"), r"trains on none of the"),
    ):
        with pytest.raises(InputError, match=complaint):
            run(small(*changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
