"""A user's own file that hides one of our packages is named, from Python and on the command line."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["methods", "auditing", "topologies"])
@pytest.mark.parametrize("command", [["-m", "simulator", "list", "recipes"], ["-c", "from simulator.core import node"]])
def test_a_file_that_hides_a_package_is_named(tmp_path, name, command):
    (tmp_path / f"{name}.py").write_text("")
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True)

    assert f"{tmp_path / name}.py hides the package '{name}' of rumormill" in done.stderr
    assert f"my_{name}.py" in done.stderr
    assert done.returncode == (2 if command[0] == "-m" else 1)
    assert ("Traceback" in done.stderr) == (command[0] == "-c")
