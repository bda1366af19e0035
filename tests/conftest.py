"""Shared by all tests: one torch thread, a small experiment that runs in a second, and the golden numbers' switch."""

import gc
import os
import sys

import hypothesis
import pytest

# What is tested is imported where it is used: the process that hands tests out to others does without.

# The same examples at every run, however slow the machine is.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the golden numbers anew instead of comparing")


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    """Tensors here are tiny, and more threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def _what_was_collected_is_no_garbage():
    """Thousands of tests and all that they import: each full collection of garbage would walk through them."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def _disks_that_answer_at_once():
    """A power failure in the middle of a test may lose its files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(os, "sync", lambda: None)
        yield


@pytest.fixture
def blank_pictures(monkeypatch):
    """Reports have blank pictures: drawing takes most of a small run's time."""
    from reference.pictures import BlankFigure

    from simulator.results.report import figures

    monkeypatch.setattr(figures, "Figure", BlankFigure)


@pytest.fixture(autouse=True)
def _blank_where_nobody_looks(request):
    """Only tests of results and those with ``pictures`` look at any."""
    if "results" not in request.path.parts and "pictures" not in request.fixturenames:
        request.getfixturevalue("blank_pictures")


@pytest.fixture
def pictures():
    """Reports have their pictures."""


@pytest.fixture
def golden(request):
    """Compare numbers with ``tests/golden/<name>.json``, or write that file under ``--update-golden``."""
    from reference.golden import Golden

    return Golden(update=request.config.getoption("--update-golden"))


@pytest.fixture
def experiment():
    """``experiment(**changes)``: four nodes, digits, a few rounds, with some settings changed."""
    from reference.experiments import small

    return small


@pytest.fixture
def register():
    """``register("methods", name, part_class)``: a part that this process knows until the test is over."""
    from simulator.part_kinds import REGISTRIES

    brought = []

    def bring(kind, name, part):
        REGISTRIES[kind].add(name, part)
        brought.append((REGISTRIES[kind], name))

    yield bring
    for registry, name in brought:
        registry.remove(name)


@pytest.fixture
def declare(monkeypatch, tmp_path_factory):
    """``declare("methods", name, code)``: a part, ``Thing`` in ``code``, that a stranger's package has installed."""

    def install(kind, name, code, module="stranger_package"):
        site = tmp_path_factory.mktemp("site")
        (site / f"{module}.py").write_text(code)
        (site / f"{module}-1.dist-info").mkdir()
        (site / f"{module}-1.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
        declared = f"[rumormill.{kind}]\n{name} = {module}:Thing\n"
        (site / f"{module}-1.dist-info" / "entry_points.txt").write_text(declared)
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install
