"""What readers can do with a page that compares runs."""

import json

import pytest
from reference.sketches import Sketch, write_sketch

from simulator.results.comparison import compare, find_runs, write_html

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("pictures")]
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page_of_runs(tmp_path_factory):
    """Two arms, of one of which the membership audit found .6 and of the other .8."""
    folder = tmp_path_factory.mktemp("compared")
    for arm, auc in {HOSTILE: 0.6, "plain": 0.8}.items():
        name = "hostile" if arm == HOSTILE else arm
        run = write_sketch(folder / name, Sketch(accuracies={20: [auc] * 4}))
        (run.path / "sweep.json").write_text(json.dumps({"arm": arm, "grid": {}, "seed": 7}))
        experiment = (run.path / "experiment.yaml").read_text()
        (run.path / "experiment.yaml").write_text(experiment + f"mixer: {{name: {name}}}\n")
        (run.path / "audit" / "membership").mkdir(parents=True)
        (run.path / "audit" / "membership" / "metrics.json").write_text(json.dumps({"final_model/loss/auc": auc}))
    return write_html(compare(find_runs([folder])), folder / "comparison.html")


def test_privacy_stands_against_accuracy_run_by_run(open_page, page_of_runs):
    page = open_page(page_of_runs)
    figure = page.locator("figure[data-name=comparison-against-0]")
    figure.scroll_into_view_if_needed()
    assert (
        figure.locator("figcaption")
        .text_content()
        .startswith("Test accuracy against audit/membership/final_model/loss/auc")
    )
    point = figure.locator(".plot [aria-label=dot] path, .plot [aria-label=dot] circle").last
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = figure.locator(".plot [aria-label=tip]").text_content().replace("\u200b", "\n")
    assert "seed 7: plain" in told
    assert "accuracy, %: 80" in told
    assert "(0.5 is guessing): 0.8" in told


def test_settings_are_sorted_by_any_result_and_names_stay_text(open_page, page_of_runs):
    page = open_page(page_of_runs)
    rows = page.locator("[data-name=results-1] tbody tr")
    page.get_by_role("button", name="accuracy, %").click()
    assert [row.locator("th").text_content() for row in rows.all()] == [HOSTILE, "plain"]
    page.get_by_role("button", name="accuracy, %").click()
    assert [row.locator("th").text_content() for row in rows.all()] == ["plain", HOSTILE]
    assert page.locator("img").count() == 0
    assert HOSTILE in page.locator("figure[data-name=comparison-rounds] .legend").text_content()
