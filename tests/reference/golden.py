"""Numbers that were right once and must not move unnoticed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "golden"


@dataclass(frozen=True)
class Golden:
    """Compares with, or writes, ``tests/golden/<name>.json``."""

    update: bool

    def check(self, name: str, numbers: Mapping[str, float]) -> None:
        """``numbers`` are those of the file within a relative 1e-9."""
        file = FOLDER / f"{name}.json"
        if self.update:
            file.write_text(json.dumps(dict(numbers), indent=2) + "\n")
        assert numbers == pytest.approx(json.loads(file.read_text()), rel=1e-9, abs=1e-12)
