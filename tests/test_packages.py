"""Wheel and sdist: what a user installs runs without the checkout, and what is handed on passes its tests."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from reference.workplace import Workplace

from simulator.config.recipe_files import recipes

ROOT = Path(__file__).parent.parent
QUICK = ["tests/topologies/test_spectral.py", "tests/simulator/config/test_parsing.py", "tests/test_readme.py"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def files_below(*folders):
    """What belongs into the wheel, by path from the root."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


def test_the_wheel_has_every_file_of_the_packages(built):
    inside = {name for name in zipfile.ZipFile(built[0]).namelist() if ".dist-info/" not in name}
    assert inside == files_below("auditing", "methods", "simulator", "topologies")
    assert {f"simulator/recipes/{name}.yaml" for name in recipes()} <= inside


def test_an_installed_wheel_runs_outside_of_the_checkout(built, tmp_path):
    workplace = Workplace(tmp_path / "venv")
    workplace(f"pip install --quiet {built[0]}", tmp_path)
    where = workplace("python -c 'import simulator; print(simulator.__file__)'", tmp_path)
    assert where.startswith(str(tmp_path / "venv"))
    assert "quickstart" in workplace("rumormill list recipes", tmp_path)
    printed = workplace("rumormill run quickstart rounds=2 evaluate.every=2 'methods=[]'", tmp_path)
    (run,) = (tmp_path / "runs").glob("*")
    assert printed == f"runs/{run.name}\n"
    assert (run / "report.html").stat().st_size > 50_000
    workplace("rumormill compare runs --html all.html && rumormill topology torus --nodes 9", tmp_path)
    assert (tmp_path / "all.html").read_text().startswith("<!doctype html>")


@pytest.mark.exhaustive  # a minute and a half; a release runs it
def test_the_sdist_makes_the_same_wheel_and_passes_its_tests(built, tmp_path):
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "again"], cwd=folder, check=True)
    (again,) = (folder / "again").glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()
    workplace = Workplace(tmp_path / "venv", [folder])
    workplace(f"python -m pytest -n 0 -q {' '.join(QUICK)}", folder)
    counted = workplace("python -m pytest -n 0 -q --collect-only tests | tail -n 1", folder)
    assert int(counted.split()[0].split("/")[0]) > 1000
