from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from simulator.core import torchvision_import

_PROGRAM = """
import sys
from simulator.core import torchvision_import
from simulator.data import downloads
assert "torchvision" not in sys.modules, "imported before anyone asked for it"
torchvision = torchvision_import.import_torchvision()
import torchvision.datasets, torchvision.models
assert torchvision.datasets.CIFAR10 and torchvision.models.resnet18
assert torchvision_import.import_torchvision() is torchvision
"""


@pytest.mark.slow
def test_torchvision_is_imported_lazily_without_warnings_and_any_number_of_times() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_other_failures_of_torchvision_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("built for another CUDA")

    monkeypatch.setattr(importlib, "import_module", fail)
    monkeypatch.setattr(torchvision_import, "_declare_missing_operators", lambda: pytest.fail("declared operators"))
    with pytest.raises(RuntimeError, match="another CUDA"):
        torchvision_import.import_torchvision()
