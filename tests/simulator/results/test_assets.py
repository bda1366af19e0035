"""The scripts that pages bring along: ours are few and typed, the others' are what their registry gave."""

import shutil
import subprocess
from importlib.resources import files

import pytest

from simulator.results import assets
from simulator.results.assets.vendor import renew

OURS = sorted(file for file in files(assets).iterdir() if file.name.endswith(".js"))
CHECKED = ("--checkJs", "--allowJs", "--noEmit", "--strict", "--target", "es2022", "--lib", "es2023,dom,dom.iterable")


def test_vendored_files_are_those_of_the_registry(tmp_path, monkeypatch):
    assert renew.changed() == []
    for file in renew.HERE.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    (tmp_path / "d3.min.js").write_text("alert(1)")
    monkeypatch.setattr(renew, "HERE", tmp_path)
    assert renew.changed() == ["d3.min.js"]


def test_every_vendored_library_has_its_licence():
    names = {file.name for file in renew.HERE.iterdir()}
    assert {name for name in names if name.endswith(".LICENSE")} == {"d3.LICENSE", "plot.LICENSE"}
    assert {name for name in names if name.endswith(".js")} == {"d3.min.js", "plot.umd.min.js"}


def test_our_own_scripts_are_few():
    lines = [line.strip() for file in OURS for line in file.read_text(encoding="utf-8").splitlines()]
    assert max(len(line) for line in lines) <= 120
    assert len([line for line in lines if line and not line.startswith(("//", "/*", "*"))]) < 400


def test_our_own_scripts_are_typed():
    if not (tsc := shutil.which("tsc")):
        pytest.skip("needs the compiler of TypeScript: npm install --global typescript")
    declared = files(assets) / "globals.d.ts"
    checked = subprocess.run([tsc, *CHECKED, str(declared), *map(str, OURS)], capture_output=True, text=True)
    assert checked.stdout == ""
    assert checked.returncode == 0


def test_a_page_names_each_of_its_scripts_by_its_hash():
    inline = assets.inline()
    assert inline.policy.count("'sha256-") == len(inline.scripts) == len(OURS) + 2
    assert "default-src 'none'" in inline.policy
    assert "unsafe-inline" not in inline.policy.split("script-src")[1].split(";")[0]
