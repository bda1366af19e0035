"""The page over a folder of runs, asked in this process."""

import re
import warnings
from html.parser import HTMLParser

import pytest
from reference.run_folders import write_run

PORT, TOKEN = 4321, "the-token"


@pytest.fixture
def folder(tmp_path):
    """A folder of runs with one run, ``a``."""
    write_run(tmp_path / "runs" / "a", 0.5)
    return tmp_path / "runs"


@pytest.fixture
def stranger(folder):
    """Whoever has not been given the token; the page works as long as the test does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wants another package than the one that is asked with
        from starlette.testclient import TestClient

    from simulator.results.runs_folder.folder import RunsFolder
    from simulator.ui.application import application

    app = application(RunsFolder(folder), TOKEN, PORT)
    with TestClient(app, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(stranger):
    """A browser that was given the address with the token."""
    assert stranger.get("/", params={"token": TOKEN}).status_code == 200
    return stranger


@pytest.fixture
def send(client):
    """``send("/audits", run="a", ...)``: a form, as it is sent from our own page."""

    def send(address, **fields):
        token = re.search(r'name="form_token" value="(\w+)"', client.get("/audits").text)[1]
        return client.post(address, data={"form_token": token, **fields})

    return send


class Elements(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def elements():
    """``elements(page)``: what a browser makes of it."""
    return Elements
