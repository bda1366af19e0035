"""One Ray for all tests that need not start their own, and how to find the processes of its actors."""

import os
from pathlib import Path

import pytest

from simulator.backends.ray.session import connected

TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="package")
def shared_ray():
    """A Ray that this process is connected to; its actors find the modules of ``tests/reference``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
        with connected(None):
            yield


@pytest.fixture
def actors():
    """``actors()``: the process ids of the actors that this process has started, in no order."""
    return lambda: [pid for pid in _descendants(os.getpid()) if _name(pid).startswith("ray::Actor")]


def _descendants(pid):
    try:
        children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
    except OSError:  # it has ended meanwhile
        return []
    return children + [pid for child in children for pid in _descendants(child)]


def _children(task):
    try:
        return (task / "children").read_text().split()
    except OSError:  # the thread has ended
        return []


def _name(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""
