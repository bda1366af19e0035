"""Is everything there? Each check does the real thing once."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from simulator.core.registry import Registry
from simulator.core.torchvision_import import import_torchvision
from simulator.part_kinds import REGISTRIES

REQUIRED = (
    "torch",
    "torchvision",
    "ray",
    "flwr",
    "networkx",
    "numpy",
    "scipy",
    "opacus",
    "scikit-learn",
    "safetensors",
    "av",
)


class Check(NamedTuple):
    """One thing examined, and what was found; a note is of what works here and may fail in code of the user's own."""

    name: str
    passed: bool
    found: str
    note: str = ""


def examine() -> Iterator[Check]:
    """All checks, in order."""
    yield Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in REQUIRED:
        yield _attempt(package, partial(version, package))
    for registry in REGISTRIES.values():
        yield _attempt(registry.kind, partial(_all_load, registry))
    yield _attempt("torch computes", _train_step)
    yield _torchvision(_attempt("torchvision loads", lambda: str(import_torchvision().__version__)))
    yield Check("processors", True, f"{os.cpu_count()} cores, {_gpus()}")
    yield _attempt("disk", _disk)


def _attempt(name: str, what: Callable[[], str]) -> Check:
    try:
        return Check(name, True, what())
    except PackageNotFoundError:
        return Check(name, False, f"not installed; pip install {name}")
    except Exception as error:  # a doctor reports whatever is broken, and goes on
        return Check(name, False, f"{type(error).__name__}: {error}")


def _all_load(registry: Registry[Any]) -> str:
    for name in registry.names():
        registry.load(name)
    return ", ".join(registry.names())


def _train_step() -> str:
    layer = torch.nn.Conv2d(1, 2, 3)
    layer(torch.ones(1, 1, 4, 4)).sum().backward()
    return f"a convolution and its gradient, {torch.get_num_threads()} threads"


def _torchvision(loaded: Check) -> Check:
    """``loaded``, with a note where a plain import, as in a plug-in of the user's, fails."""
    command = [sys.executable, "-c", "import torchvision"]
    plain = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if not loaded.passed or plain.returncode == 0:
        return loaded
    why = (plain.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    return loaded._replace(
        note=f"A plain `import torchvision` fails here ({why}). Rumormill works all the same; code of your own calls "
        "simulator.core.torchvision_import.import_torchvision() first, or install torchvision's build for this torch."
    )


def _gpus() -> str:
    return f"{torch.cuda.device_count()} GPUs" if torch.cuda.is_available() else "no GPU"


def _disk() -> str:
    with tempfile.TemporaryDirectory(dir=Path.cwd()):
        return f"{shutil.disk_usage(Path.cwd()).free / 1e9:.0f} GB free here, writable"
