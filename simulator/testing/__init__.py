"""Checks for authors of parts: each runs the laws that ours are held to; a broken one raises `AssertionError`.

::

    from simulator.testing import check_method
    check_method(Mine(mu=0.1))
"""

from simulator.testing.datasets import check_dataset
from simulator.testing.methods import check_method
from simulator.testing.mixers import check_mixer
from simulator.testing.models import check_model

__all__ = ["check_dataset", "check_method", "check_mixer", "check_model"]
