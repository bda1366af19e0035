"""Which experiment a policy speaks of: the hash of its file and of the code that it names, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

CODE = "code"  # of a node's folder, as `simulator.core.user_code.files` has it, which is slow to import


def experiment_hash(folder: Path) -> str:
    """The SHA-256 of ``experiment.yaml`` in a node's ``folder`` and of every file of code beside it, with their names.

    Nothing is left out of it: a blank in a comment makes it another experiment.
    """
    digest = hashlib.sha256()
    for file in (folder / "experiment.yaml", *sorted((folder / CODE).glob("*.py"))):
        content = file.read_bytes()
        for part in (file.name.encode(), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
