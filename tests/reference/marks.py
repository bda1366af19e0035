"""Marks of tests that are run by hand."""

import pytest

MANY = (pytest.mark.slow, pytest.mark.exhaustive)  # one more example of what others of the same test show
