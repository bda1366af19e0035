"""What is listed is what there is: the names and lines that importing everything would give, without doing so."""

import sys

import pytest

import topologies
from simulator.config.recipe_files import recipes
from simulator.config.yaml_file import read_experiment
from simulator.core.errors import InputError
from simulator.listing import FUNCTIONS, LISTED, PARTS
from simulator.part_kinds import REGISTRIES


def first_line(thing):
    return (thing.__doc__ or "").strip().splitlines()[0]


def test_every_kind_is_listed():
    assert tuple(REGISTRIES) == PARTS
    assert tuple(LISTED) == ("recipes", *FUNCTIONS, *PARTS, "metrics")


@pytest.mark.parametrize("kind", PARTS)
def test_a_line_on_a_part_is_the_first_of_its_docstring(kind):
    registry = REGISTRIES[kind]
    assert LISTED[kind]() == {name: first_line(registry.load(name)) for name in registry.names()}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_line_on_a_function_is_the_first_of_its_docstring(kind):
    functions = getattr(topologies, FUNCTIONS[kind])
    assert LISTED[kind]() == {name: first_line(function) for name, function in functions.items()}
    assert list(LISTED[kind]()) == sorted(functions)


def test_a_line_on_a_recipe_is_its_description():
    assert LISTED["recipes"]() == {
        name: read_experiment(file).content["description"] for name, file in recipes().items()
    }


def test_a_strangers_part_is_read_and_not_imported(declare):
    declare("methods", "theirs", 'import gone_from_here\n\n\nclass Thing:\n    """Does much.\n\n    And more."""\n')
    assert LISTED["methods"]()["theirs"] == "Does much."
    assert "stranger_package" not in sys.modules


def test_a_part_whose_text_has_no_line_on_it_is_imported(declare):
    code = "from simulator.core.method import Method\nThing = type('Thing', (Method,), {'__doc__': 'Made at once.'})\n"
    declare("methods", "theirs", code, "package_without_text")
    assert LISTED["methods"]()["theirs"] == "Made at once."


def test_what_can_neither_be_read_nor_imported_is_told(declare):
    declare("methods", "theirs", "import gone_from_here", "package_without_part")
    with pytest.raises(InputError, match="'theirs' cannot be imported: No module named 'gone_from_here'"):
        LISTED["methods"]()


def test_a_name_that_two_packages_claim_is_told(declare):
    declare("methods", "idkd", 'class Thing:\n    """Another one."""\n', "package_with_a_name_of_ours")
    with pytest.raises(InputError, match="'idkd' is declared by several packages"):
        LISTED["methods"]()
