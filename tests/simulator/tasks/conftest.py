"""A second opinion on scores."""

import pytest

from simulator.core.torchvision_import import import_torchvision


@pytest.fixture
def torchmetrics():
    """The functions of torchmetrics, where it is installed."""
    import_torchvision()  # beside a CPU-only torch, torchmetrics could not import it
    pytest.importorskip("torchmetrics", reason="only a second opinion, no part of rumormill[test]")
    from torchmetrics import functional

    return functional
