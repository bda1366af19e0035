"""The section of the report."""

import numpy as np
import pytest
from reference.experiments import small

from methods.ltc import LTC
from methods.ltc.report import SHOWN, _grids, shown
from simulator import run
from simulator.core.report import HeatMap, ImageGrid
from simulator.runs.report import write_run_report

NOISE = "data.corruption.labels={name: symmetric, rate: 0.2}"


def section(done):
    settings = LTC.Config.model_validate(done.directory.experiment["methods"][0])
    (found,) = LTC.sections(settings, done.directory)
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    methods = [{"name": "ltc", "use": "coreset", "after": 6, "share": 0.5}]
    return run(small(NOISE, rounds=8, methods=methods), tmp_path_factory.mktemp("report"))


def test_every_node_has_a_row_with_its_noise_floor(done):
    nodes, fallbacks = section(done).tables

    assert [row.node for row in nodes.rows] == [0, 1, 2, 3]
    assert [row.points for row in nodes.rows] == [5] * 4
    assert [row.floor for row in nodes.rows] == [0.5] * 4
    assert all(0.5 <= row.kept < 0.75 for row in nodes.rows)
    for artifact, row in zip(done.directory.artifacts("scores"), nodes.rows, strict=True):
        assert row.aligned == (artifact.arrays["score/ltc"] > 0.5).mean()
    assert all(neighbours + node > 0 for _, _, neighbours, node in fallbacks.rows)


def test_aligned_and_conflicting_samples_are_shown_with_their_scores(done):
    aligned, conflicting = [chart for chart in section(done).charts if isinstance(chart, ImageGrid)]
    score = np.concatenate([artifact.arrays["score/ltc"] for artifact in done.directory.artifacts("scores")])

    assert len(aligned.images) == len(conflicting.images) == SHOWN
    assert aligned.captions[0].endswith(f"{score.max():+.2f}")
    assert conflicting.captions[0].endswith(f"{score.min():+.2f}")


def test_the_heat_map_has_the_kept_share_of_every_class(done):
    (chart,) = [chart for chart in section(done).charts if isinstance(chart, HeatMap)]
    held = np.stack([np.bincount(a.arrays["label"], minlength=10) for a in done.directory.artifacts("scores")], axis=1)

    assert np.array_equal(np.isnan(chart.values), held == 0)
    assert np.nanmin(chart.values) >= 0.5


def test_the_page_tells_of_wrong_labels_and_the_noise_floor(done):
    page = write_run_report(done.directory).read_text()

    assert "more than the noise floor of 0.50" in page
    assert "Low scores find the" in page
    assert "Training went on with these." in page


def test_images_of_other_channels_are_not_shown(done):
    (first, *_), names = done.directory.artifacts("scores"), [str(c) for c in range(10)]
    videos = first.arrays["shown_images"].repeat(5, axis=-1)

    assert list(_grids([first], names))
    assert not list(_grids([first._replace(arrays={**first.arrays, "shown_images": videos})], names))


@pytest.mark.slow
def test_what_was_seen_too_little_is_told(tmp_path):
    done = run(small(rounds=4, methods=[{"name": "ltc", "mode": "byproduct"}]), tmp_path)

    assert any("too few checkpoints" in text for text in section(done).paragraphs)
    assert LTC.sections(LTC.Config(), run(small(rounds=1, methods=[]), tmp_path / "none").directory) == ()


def test_of_few_samples_each_is_shown_once(done):
    samples = done.nodes[0].data.train
    score = np.linspace(-1, 1, len(samples))
    score[5] = np.nan

    assert 5 not in shown(score, samples, with_images=True)["shown"]
    few = samples.subset(samples.index.new_tensor([0, 1, 2]))
    assert shown(np.array([0.2, -0.1, 0.9]), few, with_images=True)["shown"].tolist() == [1, 0, 2]
