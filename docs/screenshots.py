"""Makes the pictures of reports in ``docs/images``: runs a recipe, audits it, and opens its report in Chromium.

    python docs/screenshots.py

Takes some minutes. Needs ``rumormill[browser]`` and a Chromium on the path, or named in ``$CHROMIUM``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

import simulator
from simulator.results.comparison import compare, find_runs, write_html
from simulator.runs.report import write_run_report

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1280, "height": 860}
AUDIT = {"samples": 100, "resamples": 200, "signals": ["loss"], "replicas": 2}


def main() -> None:
    """Run, audit, open, and save the pictures."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name, page in _views(browser, *_pages(Path(folder))):
            page.screenshot(path=IMAGES / f"{name}.png")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that is there already."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        sys.exit("There is no Chromium: install it, or name it in $CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def _pages(folder: Path) -> tuple[Path, Path, Path]:
    """The reports of the quickstart and of an audited run, and that one compared with one that smoothed labels."""
    quickstart = simulator.run(simulator.load_experiment("quickstart"), folder / "quickstart")
    sharp = simulator.load_experiment("audit-ring", ["name=plain"])
    smooth = simulator.load_experiment(
        "audit-ring", ["name=smoothed", "methods=[{name: label_smoothing, strength: 0.3}]"]
    )
    runs = [simulator.run(experiment, folder / "runs") for experiment in (sharp, smooth)]
    for run in runs:
        simulator.audit(run.path, "membership", **AUDIT)
    quick, audited = (write_run_report(run.directory) for run in (quickstart, runs[0]))
    return quick, audited, write_html(compare(find_runs([folder / "runs"])), folder / "comparison.html")


def _views(browser: Browser, quickstart: Path, report: Path, comparison: Path) -> Iterator[tuple[str, Page]]:
    """What is shown, by the names of the pictures."""
    yield "quickstart", _opened(browser, quickstart, "light")
    yield "report-light", _opened(browser, report, "light")
    dark = _opened(browser, report, "dark")
    dark.locator("#audit-membership").evaluate("element => element.scrollIntoView()")
    yield "report-audit-dark", dark
    network = _opened(browser, report, "light")
    network.get_by_role("combobox", name="Links by").select_option(index=1)
    network.get_by_role("combobox", name="Node over rounds").select_option("3")
    network.locator("#network").evaluate("element => element.scrollIntoView()")
    yield "report-network-light", network
    page = _opened(browser, comparison, "light")
    page.locator("#accuracy").evaluate("element => element.scrollIntoView()")
    yield "report-comparison-light", page


def _opened(browser: Browser, file: Path, scheme: Any) -> Page:
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)
    page.goto(file.as_uri())
    page.wait_for_function("document.querySelectorAll('.plot svg').length")
    return page


if __name__ == "__main__":
    main()
