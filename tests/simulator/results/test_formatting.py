import math

import pytest

from simulator.results.formatting import MISSING, cells, describe, duration, megabytes, percent, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.000"),
        (0.05075, "0.05075"),
        (12.3456, "12.35"),
        (12345.6, "12,346"),
        (-2.5, "-2.500"),
        (0.0001, "0.0001000"),
        (0.00001234, "1.234e-05"),
        (math.nan, MISSING),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
    ],
)
def test_four_significant_digits(value: float, text: str) -> None:
    assert significant(value) == text


def test_units() -> None:
    assert megabytes(82_104) == "0.0821 MB"
    assert megabytes(0) == "0 MB"
    assert megabytes(123_456_789_000) == "123,457 MB"
    assert percent(0.8125) == "81.2%"
    assert percent(math.nan) == MISSING
    assert duration(3_723.4) == "1:02:03"
    assert duration(59.7) == "0:01:00"


def test_floats_of_a_column_share_their_decimals_and_strings_stay_left() -> None:
    rows = cells([("a", 3, 0.5), ("b", 1200, 12.25), ("c", 0, math.nan), ("d", 7, 0.0004)])
    assert [[cell.text for cell in row] for row in rows] == [
        ["a", "3", "0.50"],
        ["b", "1,200", "12.25"],
        ["c", "0", MISSING],
        ["d", "7", "0.0004000"],
    ]
    assert [cell.numeric for cell in rows[2]] == [False, True, True]
    assert cells([]) == []


def test_settings_are_described_on_one_line() -> None:
    idkd = {"name": "idkd", "first_round": 4, "every": None, "youden": True}
    assert describe(idkd) == "idkd (first_round 4, youden yes)"
    assert describe([idkd, {"name": "d2"}]) == "idkd (first_round 4, youden yes); d2"
    assert describe({"milestones": [0.5, 0.8], "gamma": 0.1}) == "milestones [0.5, 0.8], gamma 0.1"
    assert describe([]) == describe(None) == describe({}) == ""
