"""What report and console say of a run in which nodes lied."""

import re
from html import unescape
from io import StringIO

import pytest
from reference import pages
from reference.experiments import small
from rich.console import Console as RichConsole

from simulator import run
from simulator.results.console import Console
from simulator.results.report import write_report

RING = {"topology": {"graph": "ring", "nodes": 6}, "rounds": 2}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The page and the lines of a run with an attacker."""
    lines = StringIO()
    console = Console(RichConsole(file=lines, width=400))
    block = {"nodes": [3], "from_round": 2, "attack": {"name": "sign_flip", "strength": 2}}
    finished = run(small(**RING, adversaries=[block]), tmp_path_factory.mktemp("told"), [console])
    return pages.page(write_report(finished.directory, []).read_text()), lines.getvalue()


def test_the_report_names_the_attackers_first(told):
    page, _ = told
    assert "nodes lied: node 3 by sign_flip (strength 2.0) from round 2 on, heard." in page
    assert "After 2 rounds the 5 honest nodes have a test accuracy of" in page


def test_it_shows_nodes_by_distance_and_what_became_of_messages(told):
    page, _ = told
    chapter = next(part for part in page.split("<section") if "<h2>Attackers</h2>" in part)
    cells = [unescape(cell).strip() for cell in re.findall(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", chapter, re.DOTALL)]
    assert cells[0] == "links to the nearest attacker"
    assert [links for links in ("1", "2", "3") if links in cells] == ["1", "2", "3"]
    assert "dropped, %" in chapter
    assert "<svg" in chapter


def test_the_table_of_nodes_marks_them(told):
    page, _ = told
    assert "3 (attacker)" in page
    assert "2 (attacker)" not in page


def test_the_live_table_names_them_and_their_weight(told):
    _, lines = told
    assert "note: attackers: node 3, from round 2 on, sign_flip; scores are those of the honest nodes" in lines
    assert "attackers' weight 0.133" in lines


@pytest.mark.slow
def test_nothing_is_said_where_all_are_honest(tmp_path):
    page = pages.page(write_report(run(small(**RING), tmp_path).directory, []).read_text())
    assert "(attacker)" not in page
    assert "<h2>Attackers</h2>" not in page
    assert "honest" not in page
