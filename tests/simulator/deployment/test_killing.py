"""Processes on the hosts of a deployment, killed as nothing can catch, at random moments; ``-m flower -n 0``.

``python -m reference.killing`` does it twenty times.
"""

import pytest
from reference.killing import KINDS, killed

pytestmark = [pytest.mark.flower, pytest.mark.slow]


def test_every_kind_of_process_may_be_killed_and_the_bytes_are_those_of_local(tmp_path):
    found, expected = killed(tmp_path, list(KINDS), seed=1)
    assert found == expected
