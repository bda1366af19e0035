"""A fresh virtual environment: packages as they are here, and of Rumormill only what is installed there."""

import os
import subprocess
import sys
from pathlib import Path

PACKAGES = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]


class Workplace:
    """Where commands are typed as a user types them; ``pip install`` needs no network, and builds with what is here."""

    def __init__(self, folder, folders=()):
        """``folders`` are on the path of Python too, such as a checkout."""
        self.bin = folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "here.pth").write_text("\n".join([*map(str, folders), *PACKAGES]) + "\n")
        self.script("pip", 'exec python -m pip --disable-pip-version-check "$@"')
        self.surroundings = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip is told not to isolate
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "MPLBACKEND": "agg",
        }

    def script(self, name, line):
        """A command of that name."""
        file = self.bin / name
        file.write_text(f"#!/usr/bin/env bash\n{line}\n")
        file.chmod(0o755)

    def __call__(self, commands, folder):
        """What ``commands`` of a shell print in ``folder``, all of which have to succeed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=folder,
            env=self.surroundings,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout
