"""Statistics that sites agree on are those of all their training samples together, and noise costs what it must."""

import copy
import json
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch
from reference.sites import SCHEMA, SIZES, content_of, sites, write_sites
from sklearn.preprocessing import StandardScaler

from simulator import load_experiment, run
from simulator.core.errors import InputError
from simulator.core.report import STATISTICS
from simulator.data.dataset import ArrayData
from simulator.data.kinds.images import Images
from simulator.data.kinds.table import CODES, NUMBERS
from simulator.data.normalization import measure
from simulator.data.sites.agreement import Tree, agreed, total
from simulator.data.sites.schema import ImageSchema, TableSchema
from simulator.data.sites.settings import SitesSettings, StatisticsSettings
from simulator.data.sites.statistics import Statistics
from simulator.data.sites.sums import noise_scale, own_sums, told
from simulator.privacy.accounting import GaussianSteps
from simulator.privacy.calibration import noise_multiplier_for
from simulator.privacy.gaussian_dp import epsilon_of
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audited
from simulator.runs.build import Simulation
from simulator.runs.launch import resume
from simulator.runs.report import write_run_report
from topologies import Topology

RANGES = {"age": [-4.0, 6.0], "dose": [-5.0, 3.0]}
NOISE = {"noise_multiplier": 0.5, "unit": "sample"}
QUIET = StatisticsSettings()


def undeclared(ranges=None):
    """The schema of `reference.sites` without statistics, perhaps with ranges."""
    schema = copy.deepcopy(SCHEMA)
    for column in schema["columns"]:
        column.pop("mean", None)
        column.pop("std", None)
        if ranges and column["name"] in ranges:
            column["range"] = ranges[column["name"]]
    return schema


def agreeing(folder, *overrides, statistics="agreed", ranges=None, **data):
    block = {"names": list(SIZES), "data_schema": undeclared(ranges), "statistics": statistics}
    return sites(write_sites(folder), *overrides, sites=block, **data)


def block(nodes, schema, **statistics):
    names = [f"site-{node}" for node in range(nodes)]
    return SitesSettings(names=names, data_schema=schema, statistics=StatisticsSettings(**statistics))


def numbers(array, groups=None):
    """A site with these numbers, float [N, F]."""
    inputs = {NUMBERS: np.asarray(array, dtype=np.float32), CODES: np.zeros((len(array), 0), dtype=np.int16)}
    return ArrayData(inputs, np.zeros(len(array), dtype=np.int64), None, None, ("a", "b"), groups=groups)


def table(*columns):
    return TableSchema(target={"classes": ["a", "b"]}, columns=[{"name": name, "may_miss": True} for name in columns])


def made_up_sites(count):
    """Of sizes 1 to some hundreds: large numbers with gaps, a column that site 0 lacks, and a constant."""
    rng, found = np.random.default_rng(0), []
    for node in range(count):
        rows = rng.normal([1e6, -3.0, 0.0], [10.0, 0.01, 1.0], (3 ** (node % 6) + node, 3))
        rows[rng.random(len(rows)) < 0.2, 0], rows[:, 2] = np.nan, 0.1
        rows[:, 1] = np.nan if node == 0 else rows[:, 1]
        found.append(rows.astype(np.float32))
    return found


GRAPHS = [("ring", 8), ("torus", 9), ("star", 7), ("chain", 6), ("chain", 2), ("complete", 5)]


@pytest.mark.parametrize(("graph", "nodes"), GRAPHS)
def test_they_are_those_of_all_samples_together(graph, nodes):
    parts, schema = made_up_sites(nodes), table("a", "b", "c")
    own = {node: own_sums(schema, QUIET, numbers(part), np.arange(len(part))) for node, part in enumerate(parts)}
    found = agreed(block(nodes, schema), own, Topology.build(graph, nodes), seed=0)
    pooled = np.concatenate(parts).astype(np.float64)
    oracle = StandardScaler().fit(pooled[:, :2])
    assert found.count == tuple((~np.isnan(pooled)).sum(axis=0))
    np.testing.assert_allclose(found.mean[:2], oracle.mean_, rtol=1e-14)
    np.testing.assert_allclose(found.std[:2], oracle.scale_, rtol=1e-5)  # of 1e6 +- 10, five digits of the variance go
    assert found.std[2] == 1.0  # a constant becomes zeros
    assert found.mean[2] == pytest.approx(np.float32(0.1))


def test_nobody_has_a_number_and_nothing_is_invented():
    schema = table("a")
    own = {node: own_sums(schema, QUIET, numbers(np.full((3, 1), np.nan)), np.arange(3)) for node in range(2)}
    found = agreed(block(2, schema), own, Topology.build("chain", 2), seed=0)
    assert (found.count, found.mean, found.std) == ((0,), (0,), (1,))


def test_of_images_they_are_those_of_all_pixels():
    rng, schema = np.random.default_rng(1), ImageSchema(target={"classes": ["a"]}, height=4, width=5, channels=3)
    parts = [rng.integers(0, high, (size, 4, 5, 3), dtype=np.uint8) for size, high in ((300, 256), (2, 9), (40, 77))]
    sites = [ArrayData(part, np.zeros(len(part), np.int64), None, None, ("a",), kind=Images()) for part in parts]
    own = {node: own_sums(schema, QUIET, data, np.arange(len(data.x_train))) for node, data in enumerate(sites)}
    found = agreed(block(3, schema), own, Topology.build("chain", 3), seed=0)
    pooled, prepared = measure(np.concatenate(parts), np.arange(342)), found.completed(schema).preparation()
    torch.testing.assert_close(prepared.mean, pooled.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(prepared.std, pooled.std, rtol=1e-6, atol=0)


@pytest.mark.parametrize("unit", ["sample", "group"])
@pytest.mark.parametrize("kind", ["table", "images"])
def test_noise_is_sized_by_the_most_that_one_unit_changes(unit, kind):
    rng, settings = np.random.default_rng(2), StatisticsSettings(noise_multiplier=1.0, unit=unit)
    groups = np.repeat(np.arange(20), 3)
    if kind == "table":
        columns = [{"name": name, "range": [-1.0, 3.0]} for name in "ab"]
        schema = TableSchema(target={"classes": ["a"]}, columns=columns)
        data, count = numbers(rng.choice([-1e9, -1.0, 0.9, 3.0, 1e9], (60, 2)), groups), 2
    else:
        schema, count = ImageSchema(target={"classes": ["a"]}, height=2, width=2, channels=1), 1
        pixels = rng.choice(np.array([0, 128, 255], dtype=np.uint8), (60, 1, 1, 1)).repeat(2, axis=1).repeat(2, axis=2)
        data = ArrayData(pixels, np.zeros(60, np.int64), None, None, ("a",), kind=Images(), groups=groups)
    every = np.arange(60)
    whole = own_sums(schema, settings, data, every)
    units = [every == row for row in every] if unit == "sample" else [groups == group for group in range(20)]
    moved = [np.linalg.norm(whole - own_sums(schema, settings, data, every[~out])) for out in units]
    assert max(moved) <= noise_scale(settings, count) + 1e-9
    if unit == "sample":
        assert max(moved) == pytest.approx(sqrt(3 * count))


def test_noise_is_drawn_once_and_only_what_has_it_leaves():
    settings, sums = StatisticsSettings(**NOISE), np.zeros((3, 400))
    first, again, other = (told(sums, settings, secret=7, node=node) for node in (1, 1, 2))
    assert (first == again).all()
    assert not (first == other).any()
    assert first.std() == pytest.approx(0.5 * sqrt(1200), rel=0.1)
    assert (told(sums, QUIET, 7, 1) == sums).all()


def test_under_noise_they_stay_within_what_the_ranges_allow(tmp_path):
    schema = TableSchema.model_validate(undeclared(RANGES))
    for seed in range(30):
        wild = np.random.default_rng(seed).normal(0, 1000, (3, 2))
        found = Statistics.of(wild, schema, StatisticsSettings(noise_multiplier=50, unit="sample"), nodes=4)
        for (low, high), mean, std in zip(RANGES.values(), found.mean, found.std, strict=True):
            assert low <= mean <= high
            assert 0 < std <= (high - low) / 2
    few = Simulation.of(agreeing(tmp_path / "a", statistics={**NOISE, "noise_multiplier": 0.1}, ranges=RANGES))
    exact = Simulation.of(agreeing(tmp_path / "b")).data.statistics
    np.testing.assert_allclose(few.data.statistics.mean, exact.mean, atol=0.2)
    np.testing.assert_allclose(few.data.statistics.std, exact.std, atol=0.3)


@pytest.mark.parametrize("accountant", ["pld", "rdp", pytest.param("prv", marks=pytest.mark.slow)])
def test_epsilon_of_the_release_and_of_steps_after_it(accountant):
    """Where every step looks at all samples, the whole is one Gaussian mechanism: mu^2 = 1/z^2 + T/sigma^2."""
    for steps in (0, 9):
        exact = epsilon_of(sqrt(1 / 4.0**2 + steps / 6.0**2), 1e-5)
        found = GaussianSteps(6.0, 1.0, 1e-5, accountant, released=4.0).epsilon(steps)
        assert exact <= found <= exact * {"pld": 1 + 1e-9, "rdp": 1.25, "prv": 1 + 0.03 / exact}[accountant]
    told = GaussianSteps(0.0, 0.1, 1e-5, accountant, released=4.0)
    sigma = noise_multiplier_for(3.0, told, 200)
    assert 2.99 < replace(told, noise_multiplier=sigma).epsilon(200) <= 3.0
    assert sigma > noise_multiplier_for(3.0, replace(told, released=None), 200)


@pytest.mark.slow
def test_a_run_counts_the_release_writes_what_was_agreed_and_goes_on_with_it(tmp_path):
    dp = "methods=[{name: dp_sgd, noise_multiplier: 2.0, delta: 0.001}]"
    experiment = agreeing(tmp_path / "all", dp, "checkpoint.every=3", statistics=NOISE, ranges=RANGES)
    done = run(experiment, tmp_path / "out")
    spent = [metric.value for metric in done.metrics() if metric.name == "privacy/epsilon" and metric.round == 0]
    assert min(spent) == max(spent) == GaussianSteps(2.0, 0.1, 0.001, "pld", released=0.5).epsilon(0)
    assert spent[0] == pytest.approx(epsilon_of(2.0, 0.001), rel=0.25)
    kept = json.loads((done.path / STATISTICS).read_text())
    assert kept["names"] == ["column 'age'", "column 'dose'"]
    assert done.blueprint.data.statistics.model_dump(mode="json") == kept
    page = write_run_report(RunDirectory.open(done.path)).read_text()
    assert "Agreeing on statistics took 6 messages of 48 bytes before round 1, 288 in all" in page
    assert "It does cover the statistics that nodes agreed on" in page
    with pytest.raises(InputError, match="agreed on statistics of their samples before round 1, which this"):
        audited(done, "network_privacy")
    before = (done.path / "metrics.jsonl").read_bytes()
    resume(done.path, round=3)
    assert (done.path / "metrics.jsonl").read_bytes() == before
    assert {m["round"] for m in RunDirectory.open(done.path).messages()} == set(range(1, 7))


def test_the_report_of_a_run_that_agreed_without_noise_says_so(tmp_path):
    done = run(agreeing(tmp_path / "all", "rounds=1", "evaluate.every=1", "checkpoint.every=1"), tmp_path / "out")
    page = write_run_report(RunDirectory.open(done.path)).read_text()
    assert "No noise was added to them." in page


def test_everybody_goes_through_a_tree_of_the_networks_links():
    topology = Topology.build("torus", 9)
    tree = Tree.of(topology)
    assert sorted(tree.order) == list(range(9))
    assert all(parent in topology.neighbours(child) for child, parent in tree.parent.items())
    assert tree.below(0) == list(range(1, 9))
    assert total(tree, {node: np.full((3, 1), 2.0**node) for node in range(9)}).tolist() == [[511.0]] * 3


DP_SGD = {"name": "dp_sgd", "noise_multiplier": 1.0}
REFUSED = {
    "nothing is agreed": ({"sites.statistics": None}, "nothing says how to normalise column 'age', column 'dose'"),
    "noise without a unit": ({"sites.statistics": {"noise_multiplier": 1.0}}, "say whose data the noise protects"),
    "noise without ranges": ({"sites.statistics": NOISE}, "sized by the range of a quantity, and none is declared"),
    "ranges in vain": ({"sites.data_schema": undeclared(RANGES)}, "a range has no effect without noise"),
    "nothing to agree on": ({"sites.data_schema": SCHEMA}, "there is nothing to agree on"),
    "one-way links": (
        {"topology": {"graph": "exponential", "nodes": 4, "weights": "push"}, "mixer": "push_sum"},
        "both",
    ),
    "sums that no epsilon covers": ({"methods": [DP_SGD]}, "no epsilon of dp_sgd covers"),
    "a promise about nodes": ({"methods": [{**DP_SGD, "name": "node_dp"}]}, "node_dp protects something else"),
    "two units": (
        {
            "methods": [DP_SGD],
            "sites.statistics": {**NOISE, "unit": "group"},
            "sites.data_schema": undeclared(RANGES),
        },
        "do not add up",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_agreed_on_or_accounted_is_refused(case, tmp_path):
    changes, said = REFUSED[case]
    content = content_of(tmp_path, sites={"names": list(SIZES), "data_schema": undeclared(), "statistics": "agreed"})
    for key, value in changes.items():
        place = content if "." not in key else content["data"]["sites"]
        place[key.removeprefix("sites.")] = value
    with pytest.raises(InputError, match=said):
        load_experiment(content)


def test_groups_are_not_made_up(tmp_path):
    experiment = agreeing(tmp_path, "data.dataset.group=null", statistics={**NOISE, "unit": "group"}, ranges=RANGES)
    with pytest.raises(InputError, match="noise is to protect groups of samples, and these data have none"):
        Simulation.of(experiment)


def test_an_audit_says_what_its_views_leave_out(tmp_path):
    done = run(agreeing(tmp_path / "all", "data.dataset.group=null"), tmp_path / "out")
    found = audited(done, views=["final_model"], signals=["loss"], resamples=20)
    assert "sums that sites told before round 1" in found.result()["unseen"][0]
