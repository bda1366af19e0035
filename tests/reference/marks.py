"""Marks of tests that are run by hand."""

import pytest

MANY = (pytest.mark.slow, pytest.mark.exhaustive)  # one more example of what others of the same test show


def first(cases, by_default=1):
    """The first so many ``cases`` of a parametrized test by default, and by hand the others, which show no more."""
    several = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case, marks=() if place < by_default else MANY) for place, case in enumerate(several)]
