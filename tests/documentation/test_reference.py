"""What is made from the code is that of the code, and says something of everything."""

import runpy

import pytest
from reference.markdown import ROOT, page

from simulator.core.part_names import declared
from simulator.part_kinds import REGISTRIES

GENERATOR = ROOT / "docs" / "generate_reference.py"


@pytest.fixture(scope="module")
def made():
    return runpy.run_path(str(GENERATOR))


def test_the_pages_are_those_of_the_code(made):
    for name, text in made["pages"]().items():
        same = page(f"docs/reference/{name}").text == text
        assert same, f"docs/reference/{name} is not what the code says: run python docs/generate_reference.py"


def test_every_part_has_its_place():
    for kind in REGISTRIES:
        text = page(f"docs/reference/{kind.replace('_', '-')}.md").text
        for name in declared(kind):
            assert f"\n## `{name}`\n" in text, name


def test_of_every_key_of_an_experiment_the_page_says_what_it_takes():
    from simulator.config.experiment import Experiment

    text = page("docs/reference/experiment.md").text
    keys = list(keys_of(Experiment.model_json_schema()))
    assert len(keys) > 100
    for key in keys:
        assert f"\n| `{key}` | " in text, key


def keys_of(schema):
    """All properties of the blocks in a JSON schema but those of parts, which have their own pages."""
    for block in (schema, *schema.get("$defs", {}).values()):
        if not block.get("title", "").endswith("PartSettings"):
            yield from block.get("properties", {})


def test_what_is_not_explained_is_seldom():
    rows = [row for row in page("docs/reference/experiment.md").text.splitlines() if row.startswith("| `")]
    assert sum(row.endswith("|  |") for row in rows) < len(rows) / 20
