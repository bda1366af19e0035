"""Shared by all tests: one torch thread, a small experiment that runs in a second, and the golden numbers' switch."""

import hypothesis
import pytest
import torch
from reference.experiments import small
from reference.golden import Golden

from simulator.core import registry

# The same examples at every run, however slow the machine is.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden numbers anew instead of comparing")


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    """Tensors here are tiny, and more threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def golden(request):
    """Compare numbers with ``tests/golden/<name>.json``, or write that file under ``--update-golden``."""
    return Golden(update=request.config.getoption("--update-golden"))


@pytest.fixture
def experiment():
    """``experiment(**changes)``: four nodes, digits, a few rounds, with some settings changed."""
    return small


@pytest.fixture
def register(monkeypatch):
    """``register("methods", name, part_class)``: a part that a stranger's package would bring."""
    brought = {}
    installed = registry._entry_points

    def known(group):
        return installed(group) | brought.get(group, {})

    monkeypatch.setattr(registry, "_entry_points", known)

    def bring(kind, name, part):
        brought.setdefault(f"rumormill.{kind}", {})[name] = [EntryPoint(name, part)]

    return bring


class EntryPoint:
    """Stands for an installed entry point."""

    def __init__(self, name, part):
        self.name, self.part, self.value = name, part, f"stranger.package:{getattr(part, '__name__', 'Missing')}"

    def load(self):
        if isinstance(self.part, Exception):
            raise self.part
        return self.part
