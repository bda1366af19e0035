"""Nodes that are sites, samples that belong to groups, and test sets of the nodes' own."""

from pathlib import Path

import numpy as np
import pytest

from simulator import load_experiment, run
from simulator.core.errors import InputError
from simulator.core.task import TASKS
from simulator.data.npz import Npz
from simulator.data.partition import BySite, Dirichlet, Iid
from simulator.data.splits import DataSettings, prepare
from simulator.runs.build import Simulation

SIZES = {"east": 60, "north": 45, "west": 30}
GROUP = 3  # samples


def write(folder: Path, labels=lambda site, rng, size: rng.integers(0, 2, size), **more) -> Path:
    """Tables of three sites, in groups of three samples, in no order."""
    rng, file = np.random.default_rng(0), folder / "sites.npz"
    site = np.repeat(list(SIZES), list(SIZES.values()))
    group = np.arange(len(site)) // GROUP
    y = np.concatenate([labels(name, rng, size) for name, size in SIZES.items()])
    order = rng.permutation(len(site))
    x = rng.normal(size=(len(site), 4)).astype(np.float32)
    test = {"x_test": x[:9], "y_test": y[:9]}
    np.savez(
        file, x_train=x[order], y_train=y[order], site_train=site[order], group_train=group[order], **{**test, **more}
    )
    return file


def settings(file: Path, **changes) -> DataSettings:
    return DataSettings(
        **{
            "dataset": Npz.Config(path=file),
            "partition": BySite.Config(),
            "validation": 0.1,
            "held_out": 0.2,
            "test": "own",
            **changes,
        }
    )


def splits_of(node) -> dict[str, set[int]]:
    found = {name: getattr(node, name) for name in ("train", "validation", "held_out", "own_test")}
    return {name: set(samples.index.tolist()) for name, samples in found.items() if samples is not None}


@pytest.mark.parametrize("test", ["common", "own", "both"])
@pytest.mark.parametrize("partition", [BySite.Config(), Iid.Config(), Dirichlet.Config(alpha=1.0)])
def test_no_group_is_cut_by_a_partition_or_a_split(tmp_path, partition, test):
    data = prepare(settings(write(tmp_path), test=test, partition=partition), 3, seed=0)
    assert data.groups is not None
    for again in (data, data.resplit(5)):
        sets = [split for node in again.nodes for split in splits_of(node).values()]
        assert len(sets) == (9 if test == "common" else 12)
        assert all(sets)
        groups = [{int(data.groups[row]) for row in rows} for rows in sets]
        assert sum(map(len, groups)) == len(set.union(*groups))  # no group is in two of them
        assert all(len(rows) == GROUP * len(those) for rows, those in zip(sets, groups, strict=True))


def test_nodes_are_the_sites_with_what_each_brought(tmp_path):
    file = write(tmp_path)
    data = prepare(settings(file), 3, seed=0)
    with np.load(file) as arrays:
        site = arrays["site_train"]
    assert data.sites == tuple(SIZES)
    for name, node in zip(data.sites, data.nodes, strict=True):
        rows = np.array(sorted(set.union(*splits_of(node).values())))
        assert np.array_equal(rows, np.flatnonzero(site == name))
        assert node.test is node.own_test
        assert abs(len(node.test) / len(rows) - 0.2) < 0.05


def test_some_sites_by_name_or_by_the_seed(tmp_path):
    file = write(tmp_path)
    chosen = prepare(settings(file, partition=BySite.Config(sites=("west", "east"))), 2, seed=0)
    assert chosen.sites == ("west", "east")
    assert "45 training samples went to no node: they are of sites that are no nodes" in chosen.notes
    drawn = {prepare(settings(file, partition=BySite.Config(sites="sample")), 2, seed=seed).sites for seed in range(9)}
    assert drawn == {("east", "north"), ("east", "west"), ("north", "west")}


@pytest.mark.parametrize(
    ("changes", "nodes", "says"),
    [
        ({}, 4, r"data\.partition\.sites: there are 3 sites and 4 nodes"),
        ({}, 2, r"Set topology\.nodes: 3, or set partition\.sites: sample to draw as many"),
        ({"partition": BySite.Config(sites=("est", "west"))}, 2, r"there is no site 'est'\.\n.*east"),
        ({"canaries": 2}, 3, r"data\.canaries: .* belong to groups, which are never cut"),
        ({"verified": {"share": 0.1}}, 3, r"data\.verified: .* belong to groups"),
        (
            {"own_test": 0.96},
            3,
            r"the site east has 3 samples of 1 groups, which are never cut: none is left to hold out",
        ),
    ],
)
def test_what_cannot_be_is_told_before_any_work(tmp_path, changes, nodes, says):
    with pytest.raises(InputError, match=says):
        prepare(settings(write(tmp_path), **changes), nodes, seed=0)


def test_a_group_that_has_samples_at_two_sites_is_refused(tmp_path):
    file = write(tmp_path)
    with np.load(file) as arrays:
        moved = {**arrays, "group_train": arrays["group_train"] % 25}  # of 45 groups, 20 are now the same as others
    np.savez(tmp_path / "moved.npz", **moved)
    with pytest.raises(InputError, match=r"20 groups have .* site, such as one at east and \w+, and groups are never"):
        prepare(settings(tmp_path / "moved.npz"), 3, seed=0)


def test_sites_that_read_as_one_are_told_where_there_are_more_than_nodes(tmp_path):
    with np.load(write(tmp_path)) as arrays:
        sites = arrays["site_train"]
        spelt = np.where(np.arange(len(sites)) % 2, sites, np.char.upper(sites))
        np.savez(tmp_path / "spelt.npz", **{**arrays, "site_train": spelt})
    with pytest.raises(InputError, match=r"there are 6 sites and 3 nodes; sites 'EAST' and 'east' differ in case,"):
        prepare(settings(tmp_path / "spelt.npz"), 3, seed=0)


def test_data_without_sites_are_told_how_to_name_them(tmp_path):
    np.savez(tmp_path / "plain.npz", x_train=np.zeros((9, 2), np.float32), y_train=np.arange(9) % 2)
    with pytest.raises(InputError, match=r"does not say which site"):
        prepare(settings(tmp_path / "plain.npz"), 3, seed=0)


def test_sites_that_bring_test_samples_are_tested_on_them(tmp_path):
    more = {"site_test": np.repeat(list(SIZES), [4, 3, 2])}
    data = prepare(settings(write(tmp_path, **more)), 3, seed=0)
    assert [node.test.index.tolist() for node in data.nodes] == [[0, 1, 2, 3], [4, 5, 6], [7, 8]]
    assert "sites are tested on the samples that they brought for it" in data.notes
    with pytest.raises(InputError, match="the site west has no test samples, and others have"):
        prepare(settings(write(tmp_path, site_test=np.repeat(["east", "north"], [5, 4]))), 3, seed=0)


def experiment(file: Path, **changes):
    return load_experiment(
        {
            "name": "sites",
            "rounds": 4,
            "topology": {"graph": "ring", "nodes": 3},
            "data": {"dataset": {"name": "npz", "path": str(file)}, "partition": "by_site", "test": "own"},
            "task": "binary",
            "model": {"name": "mlp", "hidden": [4]},
            **changes,
        }
    )


def test_a_run_tells_the_sites_by_name_and_leaves_out_a_score_that_one_has_not(tmp_path):
    """At the site with one class there is no AUROC: it is in no mean, and the nodes' scores are the others' own."""
    file = write(tmp_path, lambda site, rng, size: np.zeros(size, int) if site == "west" else rng.integers(0, 2, size))
    done = run(experiment(file), tmp_path / "runs")
    assert done.directory.topology.labels == tuple(SIZES)
    last = {(metric.node, metric.name): metric.value for metric in done.metrics() if metric.round == 4}
    own = [last.get((node, "test/auroc")) for node in range(3)]
    assert own[2] is None
    assert None not in own[:2]
    assert last[None, "test/auroc/mean"] == pytest.approx(sum(own[:2]) / 2)
    assert last[None, "test/auroc/worst"] == min(own[:2])
    assert last[None, "test/auroc/std"] == pytest.approx(abs(own[0] - own[1]) / 2)
    assert {(node, "test/accuracy") for node in range(3)} <= last.keys()
    undefined = [note for note in Simulation.of(experiment(file)).data.notes if "auroc" in note]
    assert undefined == [
        "the score auroc is not defined at the site west, and left out of means: no sample has the label 1"
    ]


def test_beside_a_common_test_set_own_ones_have_scores_of_their_own(tmp_path):
    data = {"dataset": {"name": "npz", "path": str(write(tmp_path))}, "partition": "by_site", "test": "both"}
    done = run(experiment(tmp_path, data=data), tmp_path / "runs")
    names = {metric.name for metric in done.metrics()}
    assert {"test/auroc", "own_test/auroc", "own_test/auroc/mean", "own_test/auroc/std"} <= names
    for node in done.nodes:
        assert node.data.own_test is not None
        assert node.data.test is not node.data.own_test
    one_class = write(tmp_path, lambda site, rng, size: np.arange(size) % 2 if site == "east" else np.ones(size, int))
    told = Simulation.of(experiment(one_class, data=data)).data.notes
    assert [note.split(",")[0] for note in told if "auroc" in note] == [
        f"the score auroc is not defined at the site {name}" for name in ("north", "west")
    ]


def test_noise_that_hides_samples_is_told_to_hide_no_groups(tmp_path):
    private = experiment(write(tmp_path), methods=[{"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0}])
    (note,) = [note for note in Simulation.of(private).info(tmp_path, 0).notes if "group" in note]
    assert note.startswith(f"dp_sgd hides single samples: its epsilon is that of one, and a group has up to {GROUP} of")
    assert not [
        note for note in Simulation.of(experiment(tmp_path / "sites.npz")).info(tmp_path, 0).notes if "group" in note
    ]


def test_a_partition_by_class_needs_classes(tmp_path):
    np.savez(tmp_path / "q.npz", x_train=np.zeros((9, 2), np.float32), y_train=np.linspace(0, 1, 9, dtype=np.float32))
    task = TASKS.load("regression")
    with pytest.raises(InputError, match="'dirichlet' divides classes, and the task regression has none"):
        prepare(settings(tmp_path / "q.npz", partition=Dirichlet.Config(alpha=1.0)), 3, 0, task(task.Config()))


@pytest.mark.parametrize("asked", ["all", ["east", "north", "west"]])
def test_a_graph_that_calls_its_nodes_as_other_sites_are_called_is_refused(tmp_path, asked):
    write(tmp_path)
    (tmp_path / "graph.edges").write_text("east north\nnorth south\n")
    changes = [f"topology={{graph: from_file, path: {tmp_path}/graph.edges}}", f"data.root={tmp_path}", "model=mlp"]
    data = f"data={{dataset: {{name: npz, path: sites.npz}}, partition: {{name: by_site, sites: {asked}}}, test: own}}"
    experiment = load_experiment("quickstart", [data, "methods=[]", *changes])
    with pytest.raises(InputError, match="the site west would be the node that the graph calls south"):
        Simulation.of(experiment)
