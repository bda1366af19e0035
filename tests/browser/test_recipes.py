"""The report of every recipe opens without an error, and those of large runs are small and open at once."""

import numpy as np
import pytest
from reference.recipes import VARIANTS, shrunk
from reference.sketches import Sketch, write_sketch

import simulator
from simulator.config.recipe_files import recipes
from simulator.results.report import write_report
from simulator.runs.report import write_run_report

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("pictures")]
FAST = ("quickstart", "sites-table", "directed-pushsum-digits")
MEGABYTE = 1e6


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in recipes() if name not in VARIANTS],
)
def test_the_report_of_every_recipe_opens_without_an_error(open_page, tmp_path, name):
    done = simulator.run(shrunk(name, tmp_path), tmp_path / "runs")
    report = write_run_report(done.directory)
    page = open_page(report, viewport={"width": 390, "height": 900})
    page.wait_for_function("document.querySelectorAll('figure.drawn').length")
    assert page.locator(".plot svg").count() == page.locator("figure.drawn").count()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert report.stat().st_size < 1.5 * MEGABYTE


@pytest.mark.slow
def test_a_report_of_ten_thousand_nodes_is_small_and_opens_at_once(browser, open_page, tmp_path):
    rising = {round: np.linspace(0.1, 0.5 + round / 10, 10_000).tolist() for round in range(3)}
    many = Sketch(nodes=10_000, rounds=2, every=1, measured=2, classes=tuple("abcdefghij"), accuracies=rising)
    run = write_sketch(tmp_path / "run", many)
    report = write_report(run, [])
    assert report.stat().st_size < 5 * MEGABYTE
    page = open_page(report)
    page.wait_for_function("document.querySelectorAll('.plot svg').length >= 4")
    assert page.locator("[data-name=nodes-1] tbody tr").count() == 100
    assert seconds_to_open(browser, report) < 2


def seconds_to_open(browser, report):
    """Of a processor, whatever else it is busy with: those of the page's main thread until all is drawn."""
    with browser.new_context() as context:
        page = context.new_page()
        measures = context.new_cdp_session(page)
        measures.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(report.as_uri())
        page.wait_for_function("document.querySelectorAll('.plot svg').length")
        found = measures.send("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in found}["TaskDuration"]
