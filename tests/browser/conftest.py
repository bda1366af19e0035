"""A browser, opened at pages that are files, and what it says of them."""

import os
import shutil
from dataclasses import dataclass, field

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run")  # fmt: skip


def chromium():
    """The path of a browser: $CHROMIUM, or one that is on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs rumormill[browser]")
    if not (path := chromium()):
        pytest.skip("needs Chromium: install it, or name it in $CHROMIUM")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=[*QUIET])
        yield opened
        opened.close()


@dataclass
class Opened:
    """A page, and what has gone wrong on it so far."""

    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(browser):
    """Opens a file; by the end of the test there is no error, and no request but for files of this machine."""
    contexts, pages = [], []

    def opened(path, **settings):
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        found = Opened(page)
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and found.errors.append(message.text))
        page.on("dialog", lambda dialog: (found.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: found.requests.append(request.url))
        page.goto(path.as_uri())
        pages.append(found)
        return page

    yield opened
    for found in pages:
        assert found.errors == []
        assert [url for url in found.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    for context in contexts:
        context.close()
