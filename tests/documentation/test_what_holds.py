"""The page that gives a verdict on each claim: what it says of us stands on the page of the study it names."""

import re
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "docs" / "studies"
NUMBER = re.compile(r"-?\d*\.\d+(?: ± \d*\.\d+)?")
LINK = re.compile(r"\]\(([a-z-]+\.md)\)")
VERDICTS = ("holds", "in part", "not here", "at the published setting alone")


def rows() -> list[tuple[str, list[str], str]]:
    """Of each row of a table of claims: the study's file, the cells that tell of us, and the verdict."""
    found, study, ours = [], "", None
    for line in (STUDIES / "what-holds.md").read_text().splitlines():
        if not line.startswith("|"):
            study, ours = (LINK.findall(line) or [study])[-1], None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "claim":
            ours = slice(2, len(cells) - 1)
        elif ours and not set(line) <= set("|-"):
            found.append(((LINK.findall(line) or [study])[0], cells[ours], cells[-1]))
    return found


@pytest.mark.parametrize("row", rows(), ids=lambda row: "; ".join(row[1])[:60])
def test_what_is_said_of_us_stands_on_the_studys_page(row):
    study, ours, verdict = row
    assert verdict.startswith(VERDICTS)
    page = (STUDIES / study).read_text()
    figures = {figure for cell in ours for figure in NUMBER.findall(LINK.sub("", cell))}
    assert figures
    # A part of a longer number would not do: 1.8 is not on a page that has 11.8.
    missing = {each for each in figures if not re.search(rf"(?<![\d.]){re.escape(each.lstrip('-'))}(?!\d)", page)}
    assert not missing, f"{study} has no {sorted(missing)}"
