"""What is recorded of an exchange, what the report says, and what it declares to be revealed."""

import numpy as np
import pytest
from reference.experiments import small
from reference.marks import first

from methods.idkd import IDKD
from methods.idkd.report import HEADER, disclosed
from methods.idkd.wire import HISTOGRAM, ORIGINS
from simulator import run
from simulator.runs.report import write_run_report

METHOD = {"name": "idkd", "first_round": 2, "every": 3, "hops": 2, "threshold": "youden"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return run(small(methods=[METHOD]), tmp_path_factory.mktemp("report"))


def section(done, **changes):
    (only,) = IDKD.sections(IDKD.Config.model_validate({**METHOD, **changes}), done.directory)
    return only


def metrics(done, name, round):
    return [m.value for m in done.metrics() if m.name == name and m.round == round]


def test_class_histograms_and_their_distance_to_uniform_are_recorded(done):
    partition = done.directory.partition()
    for kept in done.directory.artifacts("idkd"):
        own = partition["train_label"][partition["train_node"] == kept.node]
        np.testing.assert_array_equal(kept.arrays["classes_before"], np.bincount(own, minlength=10))
        added = kept.arrays["classes_after"] - kept.arrays["classes_before"]
        assert added.sum() == pytest.approx(len(kept.arrays["trained_on"]))
        for when in ("before", "after"):
            shares = kept.arrays[f"classes_{when}"] / kept.arrays[f"classes_{when}"].sum()
            expected = np.abs(shares - 0.1).sum() / 2
            assert metrics(done, f"idkd/tv_{when}", kept.round)[kept.node] == pytest.approx(expected)


def test_the_roc_of_every_detector_is_recorded(done):
    curves = done.directory.artifacts("idkd_detector")

    assert [(kept.round, kept.node) for kept in curves] == [(round, node) for round in (2, 5) for node in range(4)]
    for kept in curves:
        area = np.trapezoid(kept.arrays["true_rate"], kept.arrays["false_rate"])
        assert metrics(done, "idkd/detector_auc", kept.round)[kept.node] == pytest.approx(area)


def test_the_table_has_a_row_a_node_with_what_was_measured(done):
    table = section(done).tables[0]

    assert table.header == HEADER
    for name, column, round in (("threshold", 1, 5), ("labelled", 3, 5), ("trained_on", 5, 6), ("tv_after", 10, 6)):
        assert [row[column] for row in table.rows] == metrics(done, f"idkd/{name}", round)


def test_the_charts_show_labels_distances_and_rocs(done):
    labels, distances, rocs = section(done).charts

    assert list(labels.series) == ["in distribution", "out of distribution"]
    assert distances.series["with labelled ones"] == metrics(done, "idkd/tv_after", 6)
    assert [name.split(",")[0] for name in rocs.series] == ["worst", "median", "best"]


def test_the_verdict_says_how_far_from_uniform_the_classes_went(done):
    before, after = (np.mean(metrics(done, f"idkd/tv_{when}", 6)) for when in ("before", "after"))

    assert f"went from {before:.2f} to {after:.2f} away from uniform" in section(done).verdict


@pytest.mark.slow
@pytest.mark.parametrize("threshold", first([0.4, "none", 1.0]))
def test_a_run_without_calibration_has_a_report(tmp_path, threshold):
    experiment = small("data.validation=0", rounds=3, methods=[{**METHOD, "every": None, "threshold": threshold}])
    done = run(experiment, tmp_path)

    assert "In-distribution knowledge distillation" in write_run_report(done.directory).read_text()


@pytest.mark.parametrize(
    ("changes", "parts", "reach"),
    [
        ({}, {ORIGINS}, "all nodes within 2 links"),
        ({"hops": 1}, set(), "neighbours"),
        ({"merge": "official"}, {ORIGINS, HISTOGRAM}, "all nodes within 2 links"),
        ({"merge": "confidence"}, {ORIGINS}, "all nodes within 2 links"),
    ],
)
def test_what_is_revealed_is_declared(changes, parts, reach):
    table = disclosed(IDKD.Config.model_validate({**METHOD, **changes}))
    declared = {part: text for part, text, _ in table.rows}

    assert set(declared) == {"idkd.positions", "idkd.labels", *parts}
    assert {whom for *_, whom in table.rows} == {reach}
    if HISTOGRAM in parts:
        assert "exact number" in declared[HISTOGRAM]
