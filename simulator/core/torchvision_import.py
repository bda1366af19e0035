"""Imports torchvision beside a CPU-only torch.

torchvision's wheel on PyPI is a CUDA build. Beside a CPU-only torch its compiled operators do not load, and ``import
torchvision`` fails with ``operator torchvision::nms does not exist``, because it attaches Python code to operators that
nobody declared. Declaring the two schemas first mends the import; calling these operators (box suppression for object
detection) still fails, and nothing here calls them.
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

import torch

_BOX_SUPPRESSION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> ModuleType:
    """The torchvision package, with its submodules ``datasets`` and ``models`` loaded.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: torchvision does not fit the installed torch for another reason than the one above.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    _declare_missing_operators()
    return importlib.import_module("torchvision")


@cache  # keeps the library alive: its declarations end with the object
def _declare_missing_operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(name + _BOX_SUPPRESSION)  # type: ignore[no-untyped-call]
    return library
