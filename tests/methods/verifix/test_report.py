"""What the report says of a correction: accuracies, alphas, layers, and where the verified set is too small."""

import numpy as np
import pytest

from methods.verifix import Verifix
from methods.verifix.report import HEADER, LAYER_HEADER
from simulator import run
from simulator.runs.report import write_run_report

METHOD = {"alphas": [1.0, 10.0, 100.0]}


@pytest.fixture(scope="module")
def made(noted):
    """``made(path, share, ...)``: a finished run with that share of verified samples."""

    def finished(path, share=0.5, **method):
        return run(noted(f"data.verified.share={share}", **{**METHOD, **method}), path)

    return finished


@pytest.fixture(scope="module")
def done(tmp_path_factory, made):
    return made(tmp_path_factory.mktemp("report"))


def section(done, **changes):
    (only,) = Verifix.sections(Verifix.Config.model_validate({**METHOD, **changes}), done.directory)
    return only


def at_end(done, name):
    return [m.value for m in done.metrics() if (m.round, m.name) == (6, name)]


def test_the_table_has_a_row_a_node_with_what_was_measured(done):
    table = section(done).tables[0]

    assert table.header == HEADER
    assert [row.test_before for row in table.rows] == at_end(done, "test/accuracy")
    assert [row.test_after for row in table.rows] == at_end(done, "verifix/test/accuracy")
    alphas = at_end(done, "verifix/alpha")
    assert [row.alpha for row in table.rows] == [f"{a:g}" if np.isfinite(a) else "no correction" for a in alphas]


def test_the_verdict_tells_of_the_nodes_and_the_consensus_model(done):
    (before,), (after,) = (at_end(done, f"{prefix}consensus/test/accuracy") for prefix in ("", "verifix/"))

    assert f"from {before:.1%} to {after:.1%};" in section(done).verdict


def test_the_layers_are_told_with_their_rank(done):
    """8 x 8 images in a network of one hidden layer of 16."""
    table = section(done).tables[1]

    assert table.header == LAYER_HEADER
    assert [row[:2] for row in table.rows] == [("1.weight", 64), ("3.weight", 16)]
    for row in table.rows:
        assert 0 < row[2] <= row[1]
        assert 0 < row[4] <= row[1]


def test_a_fit_set_that_is_too_small_is_warned_of_by_layer(made, tmp_path):
    """Two verified samples a node, one of them to fit by."""
    few = made(tmp_path, share=0.01)
    warnings = [text for text in section(few).paragraphs if text.startswith("Warning")]

    assert [m.value for m in few.metrics() if m.name == "verifix/layers_short_of_rank"] == [2.0] * 4
    assert len(warnings) == 2
    assert "at 4 of 4 nodes the fit set has too little in it for 1.weight: rank 1 of 64 at worst" in warnings[0]


def test_the_charts_show_accuracy_and_importance(done):
    bars, importance = section(done).charts

    assert bars.categories == ["0", "1", "2", "3", "consensus"]
    assert bars.series["after"][:4] == at_end(done, "verifix/test/accuracy")
    assert importance.rows == ["1.weight", "3.weight"]
    assert (importance.values >= 0).all()
    assert (importance.values <= 1).all()
    assert (np.diff(importance.values, axis=1) <= 1e-12).all()


def test_without_any_correction_there_is_no_chart_of_importance(made, tmp_path):
    found = section(made(tmp_path, alphas=[]), alphas=())

    assert len(found.charts) == 1
    assert "4 of 4 nodes found nothing better" in found.verdict


def test_of_models_that_went_on_training_the_last_correction_is_told(made, tmp_path):
    fed_back = {"use": "after_mixing", "every": 2}
    found = section(made(tmp_path, **fed_back), **fed_back)

    assert "the last of 3 corrections" in found.verdict
    assert any("3 times, after mixing" in text for text in found.paragraphs)
    assert len(found.charts[0].categories) == 4


def test_before_the_first_correction_there_is_nothing_to_say(done):
    class Nothing:
        def artifacts(self, name):
            return []

    assert Verifix.sections(Verifix.Config(), Nothing()) == ()


def test_the_page_has_it(done):
    assert "Correction by verified samples" in write_run_report(done.directory).read_text()
