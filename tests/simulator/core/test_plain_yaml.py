"""YAML as plain data: what is accepted, and that everything else is an error with its line, and ends."""

import pytest
import yaml

from simulator.core.errors import InputError
from simulator.core.plain_yaml import read_yaml


def test_numbers_text_lists_blocks_and_aliases():
    text = "a: {x: 1, y: [0x10, -2, 1.5e-3, yes, ~, '7', 1_000]}\nb: &b {c: d, e: f}\ng: {<<: *b, c: own}\n10: h\n"
    document = read_yaml(text, "file")
    assert document.content == {
        "a": {"x": 1, "y": [16, -2, 0.0015, True, None, "7", 1000]},
        "b": {"c": "d", "e": "f"},
        "g": {"c": "own", "e": "f"},
        "10": "h",
    }
    assert document.lines["g", "c"] == 3


@pytest.mark.parametrize("text", ["010", "008", "1:30", "0b1", "2026-13-45", "2026-01-01", "="])
def test_what_programs_read_differently_stays_as_it_is_written(text):
    assert read_yaml(f"a: {text}", "file").content == {"a": text}


@pytest.mark.parametrize(
    "value", ["010", "yes", "1e-3", "1:30", "2026-01-01", "~", "", "a: b", 3, 0.5, True, None, "1.5"]
)
def test_what_earlier_versions_wrote_comes_back(value):
    assert read_yaml(yaml.safe_dump({"a": value}), "file").content == {"a": value}


def _nested(first, join):
    return first + "".join(f"a{i}: &a{i} {join(','.join([f'*a{i - 1}'] * 9))}\n" for i in range(1, 9))


BAD = [
    ("a: 1\nb: {{ seed }}", "file:2", "the name of a setting"),
    ("a: 1\nb: !!python/object:os.system x", "file:2", "!python/object"),
    ("a: 1\nb: !secret x", "file:2", "!secret"),
    ("a: 1\nb: !!set {x, y}", "file:2", "!set"),
    ("a: 1\nb: !!timestamp 2026-13-45", "file:2", "!timestamp"),
    ("a: 1\nb: !!int x", "file:2", "not of type int"),
    ("a: !!int '010'", "file:1", "not of type int"),
    (f"a: 1\nb: {'9' * 5000}", "file:2", "not of type int"),
    ("a: 1\nb: &b [*b]", "file:2", "contains itself"),
    ("a: &a {b: {c: *a}}", "file:1", "contains itself"),
    ("a: 1\nb: *c", "file:2", "undefined alias"),
    ("a: 1\nb: {<<: 3}", "file:2: <<", "take over"),
    ("a: 1\nb: 2\na: 3", "file:3: a", "set twice, first on line 1"),
    ("a: 1\nb: \x00", "file:2", "U+0000"),
    ("a: 1\n--- \nb: 1", "file:2", "another document"),
    ("a: [1,\n b: c", "file:2", "not YAML"),
    ("a: 1\nb: " + "[" * 5000, "file:2", "nested more than"),
    (_nested("a0: &a0 [x,x,x,x,x,x,x,x,x]\n", "[{}]".format), "file:1", "repeats itself"),
    (_nested("a0: &a0 {x: 1}\n", "{{<<: [{}]}}".format), "file:1", "repeats itself"),
    ("a: x\n" * 10**6, "file", "longer than"),
]


@pytest.mark.parametrize(
    ("text", "where", "what"), BAD, ids=[f"{number} {what}" for number, (*_, what) in enumerate(BAD)]
)
def test_everything_else_is_an_error_with_its_line(text, where, what):
    with pytest.raises(InputError) as caught:
        read_yaml(text, "file")
    problem = caught.value.problems[0]
    assert (problem.where, what in problem.what) == (where, True)
    assert problem.advice


def test_all_problems_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        read_yaml("a: !x y\nb: !!int z\na: 1", "file")
    assert [problem.where for problem in caught.value.problems] == ["file:1", "file:2", "file:3: a"]
