"""Every piece of Python and YAML on a page works: pieces of a page share their names, and its files lie beside them."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import yaml
from reference.markdown import PAGES

NEEDS = {  # packages that are not always there
    "docs/how-to/one-file-a-site.md": ("pandas", "statsmodels"),
    "docs/tutorials/bring-your-data.md": ("pandas",),
}
SAYS = {"README.md": "quickstart-s1"}  # what is printed
SLOW = {"docs/how-to/one-file-a-site.md"}
WITH_PYTHON = [
    pytest.param(page, id=str(page), marks=[pytest.mark.slow] if str(page) in SLOW else [])
    for page in PAGES
    if page.of("python") and "tutorials" not in str(page)  # which are followed command by command
]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty home, in which one works."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def few_pictures(monkeypatch):
    """Fashion-MNIST is not downloaded: of each class, a black picture."""
    from simulator.data.downloads import FashionMNIST

    pictures = SimpleNamespace(
        **{f"x_{split}": np.zeros((10, 28, 28, 1), np.uint8) for split in ("train", "test")},
        **{f"y_{split}": np.arange(10) for split in ("train", "test")},
    )
    monkeypatch.setattr(FashionMNIST, "load", lambda self, root: pictures)


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_of_a_page_runs(page, elsewhere, few_pictures, monkeypatch, capsys):
    for package in NEEDS.get(str(page), ()):
        pytest.importorskip(package)
    page.write_files(elsewhere)
    module = ModuleType("of_" + page.path.stem.replace("-", "_"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in page.of("python"):
        exec(compile(block.text, str(page), "exec"), vars(module))
    assert SAYS.get(str(page), "") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("page", "block"), [(page, block) for page in PAGES for block in page.of("yaml")], ids=lambda value: str(value)[:40]
)
def test_a_block_of_yaml_is_yaml(page, block):
    only_comments = all(line.startswith("#") for line in block.text.splitlines() if line)
    assert yaml.safe_load(block.text) or only_comments
