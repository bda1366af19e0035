"""Makes the pictures of `rumormill ui` in ``docs/images``: runs recipes, and opens the page over them in Chromium.

    python docs/screenshots_of_ui.py

Takes some minutes. Needs ``rumormill[browser]`` and a Chromium on the path, or named in ``$CHROMIUM``.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from screenshots import IMAGES, chromium

import simulator
from simulator.results.runs_folder.folder import RunsFolder

SIZE = {"width": 1280, "height": 800}
LONG = ["rounds=3000", "name=long-run", "methods=[]"]
AUDIT = {"samples": 100, "resamples": 200, "signals": ["loss"]}
RUMORMILL = [sys.executable, "-m", "simulator"]


def main() -> None:
    """Run, serve, open, and save the pictures."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        runs = Path(folder) / "runs"
        _make(runs)
        long = subprocess.Popen([*RUMORMILL, "run", "quickstart", *LONG, "--out", str(runs)], stderr=subprocess.DEVNULL)
        command = [*RUMORMILL, "ui", "runs"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as server:
            assert server.stdout
            _take(browser, server.stdout.readline().strip())
            for process in (long, server):
                process.send_signal(signal.SIGINT)
        long.wait()


def _make(runs: Path) -> None:
    """A few runs of each kind."""
    for seed in range(3):
        simulator.run(simulator.load_experiment("quickstart", [f"seed={seed}"]), runs)
    simulator.run(simulator.load_experiment("quickstart", ["methods=[]", "name=plain-gossip"]), runs)
    audited = simulator.run(simulator.load_experiment("audit-ring"), runs)
    simulator.audit(audited.path, "membership", **AUDIT)
    damaged = simulator.run(simulator.load_experiment("quickstart", ["rounds=20", "name=copied", "methods=[]"]), runs)
    (damaged.path / "provenance.json").write_text('{"status"')
    assert len(RunsFolder(runs).runs()) == 6


def _take(browser: Browser, address: str) -> None:
    page = _opened(browser, address, "light")
    page.get_by_text("running, ").first.wait_for(timeout=120_000)
    page.screenshot(path=IMAGES / "ui-list-light.png")
    page = _opened(browser, address, "dark")
    page.get_by_role("link", name="long-run").click()
    page.locator(".curve .plot svg").wait_for(timeout=120_000)
    page.locator("#tiles").get_by_text(re.compile(r"\d{3}/3,000")).wait_for(timeout=120_000)
    page.screenshot(path=IMAGES / "ui-running-dark.png")


def _opened(browser: Browser, address: str, scheme: Any) -> Page:
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)
    page.goto(address)
    return page


if __name__ == "__main__":
    main()
