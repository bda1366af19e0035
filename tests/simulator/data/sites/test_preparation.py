"""Two halves of preparation: a node is the same whoever else is opened, and nothing is read of anybody else's."""

import numpy as np
import pytest
import torch
from reference.sites import SCHEMA, SIZES, content_of, rows_of, sites, write_sites, write_table

from simulator import load_experiment
from simulator.core.arrays import leaves
from simulator.core.errors import InputError
from simulator.data.sites.site import SiteDataError
from simulator.data.splits import prepare
from simulator.runs.build import Simulation

SETS = ("train", "validation", "held_out", "test", "own_test")
NODE = {name: node for node, name in enumerate(SIZES)}


def prepared(experiment, opened=None):
    return prepare(experiment.data, len(SIZES), experiment.seed, opened=opened)


def held(node):
    """Everything that the node is ever given of its samples, to the byte."""
    sets = [getattr(node, name) for name in SETS if getattr(node, name) is not None]
    sets += [node.verified.fit, node.verified.select] if node.verified else []
    found = []
    for samples in sets:
        every = torch.arange(len(samples))
        inputs = node.preparation(samples.inputs_at(every))
        found.append([each.numpy().tobytes() for each in (*leaves(inputs), samples.targets_at(every))])
    return found


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"test": "both", "sites.test": "common.csv"},
        {"dataset.group": None, "canaries": 3, "verified": {"share": 0.2}},
    ],
    ids=["own", "both", "canaries"],
)
def test_a_node_prepared_alone_is_that_of_the_whole_network(tmp_path, more):
    write_table(tmp_path / "common.csv", rows_of("lyon")[:20])
    overrides = [f"data.{key}={'null' if value is None else value}" for key, value in more.items()]
    experiment = sites(write_sites(tmp_path / "all"), f"data.root={tmp_path}", *overrides)
    whole = prepared(experiment)
    for name, node in NODE.items():
        folder = write_sites(tmp_path / name, [name])  # there is nobody else's file
        elsewhere = experiment.data.model_copy(update={"dataset": experiment.data.dataset.model_copy(
            update={"path": tmp_path / "nowhere"})})  # fmt: skip
        alone = prepare(elsewhere, len(SIZES), experiment.seed, opened={node: folder / f"{name}.csv"})
        assert held(alone.nodes[node]) == held(whole.nodes[node])
        assert [len(each.train) for other, each in enumerate(alone.nodes) if other != node] == [0, 0, 0]
        assert held(alone.example) == held(whole.example)
        assert alone.shared == whole.shared
        mine = whole.canaries.node == node
        assert alone.canaries.label.tolist() == whole.canaries.label[mine].tolist()
        assert alone.canaries.included.tolist() == whole.canaries.included[mine].tolist()
    assert len(set(map(str, map(held, whole.nodes)))) == len(SIZES)


def test_sites_hold_their_rows_in_splits_that_cut_no_group(tmp_path):
    data = prepared(sites(write_sites(tmp_path)))
    assert data.sites == tuple(SIZES)
    for name, node in zip(SIZES, data.nodes, strict=True):
        rows = [getattr(node, split).index.tolist() for split in ("train", "validation", "held_out", "own_test")]
        assert sum(map(len, rows)) == SIZES[name]
        groups = [set(data.groups[part]) for part in rows]
        assert sum(map(len, groups)) == len(set.union(*groups))
    assert 2 not in data.nodes[NODE["oslo"]].train.targets_at(torch.arange(5)).tolist()
    again = data.resplit(3)
    assert all(len(set(node.train.index.tolist()) & set(node.held_out.index.tolist())) == 0 for node in again.nodes)


def test_statistics_are_the_declared_ones_whatever_the_sites_have(tmp_path):
    (node, *_) = prepared(sites(write_sites(tmp_path))).nodes
    rows, row = rows_of("berlin"), int(node.train.index[0])
    found = node.preparation(node.train.inputs_at(torch.tensor([0])))[0]
    assert found[0].item() == pytest.approx((float(rows[row]["age"]) - 0.5) / 2.0, rel=1e-5)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"partition": {"name": "iid"}}, "data.partition: 'iid' divides samples, and here each site has its own"),
        ({"partition": {"name": "by_site", "sites": ["oslo"]}}, "data.partition: 'by_site' divides samples"),
        ({"train_samples": 9}, "data.train_samples: it draws from the samples of all nodes together"),
        ({"subset": {"run": "r", "score": "ltc", "share": 0.5}}, "data.subset: a coreset is of one pool"),
        ({"corruption": {"duplicates": 2}}, "data.corruption: labels are made wrong in one order"),
        ({"verified": {"share": 0.1, "shared": True}}, "data.verified.shared: sites give no samples to others"),
        ({"modality_by_node": ["mv"]}, "data.modality_by_node: no data set"),
        ({"test": "common"}, r"data.test: there is no common test set(.|\n)*data.sites.test"),
        ({"sites": {"names": ["a", "b"], "data_schema": SCHEMA}}, "data.sites.names: there are 2 sites and 4 nodes"),
        ({"sites": {"names": ["a", "a", "b", "c"], "data_schema": SCHEMA}}, "two sites have the same name"),
        ({"sites": {"names": ["../a", "b", "c", "d"], "data_schema": SCHEMA}}, "'../a' is no name of a site"),
        ({"dataset": "digits"}, r"data.dataset: 'digits' reads the data of all nodes at once(.|\n)*table, npz"),
        ({"dataset": {"name": "npz", "path": "x"}}, "data.dataset: 'npz' reads images or arrays or tokens"),
        ({"dataset": {"name": "table", "path": "x", "target": "outcome", "drop": ["a"]}}, "drop: is decided by"),
        ({"dataset": {"name": "table", "path": "x", "target": "outcome", "test": 0.2}}, "test: holds rows back"),
        ({"dataset": {"name": "table", "path": "x", "target": "age"}}, "target: 'age' is a column of the schema too"),
        ({"dataset": {"name": "table", "path": "x", "target": ["a", "b"]}}, r"target: is a, b, and the schema"),
        ({"public": [{"dataset": {"name": "table", "path": "/nowhere", "target": "outcome", "group": "patient",
                                  "test": None}, "samples": 3}]}, r"public\[0\].dataset: it is the sites' own data"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_with_sites_is_refused_before_anything_is_read(data, problem, tmp_path):
    with pytest.raises(InputError, match=problem):
        load_experiment(content_of("/nowhere", **data))


def test_statistics_that_nobody_declared_are_refused_and_never_taken_from_a_site():
    schema = {**SCHEMA, "columns": [{"name": "age"}, *SCHEMA["columns"][1:]]}
    with pytest.raises(InputError, match=r"data_schema: nothing says how to normalise column 'age'(.|\n)*Declare mean"):
        sites("/nowhere", sites={"names": list(SIZES), "data_schema": schema})


def test_a_site_without_a_file_or_with_two_is_named(tmp_path):
    folder = write_sites(tmp_path, ["berlin", "oslo", "turin"])
    (folder / "oslo.tsv").write_text("x")
    with pytest.raises(InputError) as caught:
        prepared(sites(folder))
    assert "neither file nor folder for the site lyon" in str(caught.value)
    assert "oslo.csv and oslo.tsv for the site oslo" in str(caught.value)


def test_files_that_are_no_sites_are_told(tmp_path):
    folder = write_sites(tmp_path)
    assert not [note for note in prepared(sites(folder)).notes if "belong to none" in note]
    (folder / "paris.csv").write_text("x")
    (folder / "attic").mkdir()
    (folder / "README.txt").write_text("x")
    told = [note for note in prepared(sites(folder)).notes if "belong to none" in note]
    assert [note.split(" in ")[0] for note in told] == ["attic, paris.csv"]


@pytest.mark.parametrize("place", ["common.csv", "tests/common.csv"])
def test_what_all_are_tested_on_may_lie_beside_the_sites(place, tmp_path):
    folder = write_sites(tmp_path)
    (folder / place).parent.mkdir(exist_ok=True)
    write_table(folder / place, rows_of("lyon")[:20])
    found = prepared(sites(folder, f"data.root={folder}", "data.test=both", f"data.sites.test={place}"))
    assert not [note for note in found.notes if "belong to none" in note]


def test_too_few_groups_are_told_by_the_sites_name(tmp_path):
    folder = write_sites(tmp_path)
    write_table(folder / "oslo.csv", rows_of("oslo")[:4])
    with pytest.raises(SiteDataError, match=r"site oslo: data.partition: the site oslo has 2 samples of 1 groups"):
        prepared(sites(folder))


def test_what_one_site_is_tested_on_and_another_trains_on_is_told(tmp_path):
    folder = write_sites(tmp_path)
    assert not [note for note in prepared(sites(folder)).notes if "exact copies of training" in note]
    write_table(folder / "oslo.csv", rows_of("lyon"))
    assert [note for note in prepared(sites(folder)).notes if "test samples are exact copies of training" in note]


def test_copies_at_two_sites_are_told_where_both_are_seen(tmp_path):
    folder = write_sites(tmp_path / "all")
    write_table(folder / "oslo.csv", [*rows_of("oslo"), *rows_of("lyon")])
    experiment = sites(folder, "data.test=common", "data.dataset.group=null", "data.held_out=0", "data.validation=0",
                       "data.sites.test=common.csv", f"data.root={tmp_path}")  # fmt: skip
    write_table(tmp_path / "common.csv", rows_of("turin")[:5])
    told = "92 training samples of lyon and oslo are exact copies of each other's"

    assert sum(told in note for note in prepared(experiment).notes) == 1
    alone = {NODE["oslo"]: folder / "oslo.csv"}
    assert not any("each other" in note for note in prepared(experiment, opened=alone).notes)
    assert not any("each other" in note for note in prepared(sites(write_sites(tmp_path / "apart"))).notes)


def test_what_is_wrong_at_several_sites_is_told_of_all_at_once(tmp_path):
    folder = write_sites(tmp_path)
    for name in ("oslo", "turin"):
        write_table(folder / f"{name}.csv", rows_of(name)[:4])
    with pytest.raises(SiteDataError) as caught:
        prepared(sites(folder))
    assert [problem.where for problem in caught.value.problems] == [
        "site oslo: data.partition",
        "site turin: data.partition",
    ]


def test_networks_are_tried_on_made_up_samples_where_there_are_no_data():
    simulation = Simulation.of(sites("/nowhere"), opened={})
    assert simulation.experiment.training.trainer == "sequential"
    assert simulation.room.model == simulation.blueprint.module().num_parameters * 8
    assert np.isfinite(simulation.blueprint.module().initial.numpy()).all()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("one", r"site one: .*3 of its 6 public images are private images of the nodes, 0 are test images"),
        ("common", r"site one: .*0 of its 6 public images are private images of the nodes, 3 are test images"),
    ],
)
def test_public_samples_that_a_site_holds_or_is_tested_on_are_refused_unless_allowed(tmp_path, source, says):
    images = np.random.default_rng(0).integers(0, 256, (63, 8, 8, 1), dtype=np.uint8)
    parts = {"one": images[:20], "two": images[20:40], "common": images[40:60]}
    for name, own in parts.items():
        np.savez(tmp_path / f"{name}.npz", x_train=own, y_train=np.array(["no", "yes"] * 10))
    np.savez(tmp_path / "public.npz", x_train=np.concatenate([images[60:], parts[source][:3]]))
    schema = {"kind": "images", "height": 8, "width": 8, "channels": 1, "mean": [0.5], "std": [0.2]}
    data = {
        "dataset": {"name": "npz", "path": str(tmp_path)},
        "sites": {
            "names": ["one", "two"],
            "data_schema": {**schema, "target": {"classes": ["no", "yes"]}},
            "test": str(tmp_path / "common.npz"),
        },
        "test": "common",
        "public": [{"dataset": {"name": "npz", "path": str(tmp_path / "public.npz")}, "samples": 6}],
    }
    with pytest.raises(SiteDataError, match=says):
        prepare(sites(tmp_path, "topology.nodes=2", **data).data, 2, 0)
    allowed = prepare(sites(tmp_path, "topology.nodes=2", **data, public_overlap="allow").data, 2, 0)
    assert sum("of its 6 public images are private images" in note for note in allowed.notes) == 1
