"""What samples and their task offer to those who need it, by names in `simulator.core.traits.NEEDS`."""

from __future__ import annotations

from simulator.core.arrays import Arrays, leaves
from simulator.core.task import Task


def offered(kind: str, prepared: Arrays, task: Task) -> frozenset[str]:
    """All that is offered, of classes, margins, images, tokens and continuous inputs.

    Args:
        kind: of the inputs, as in `simulator.core.specification.InputSpec`.
        prepared: what a network is given of any samples.
        task: what is predicted.
    """
    found = {
        "classes": task.has_classes,
        "margins": type(task).margins is not Task.margins,
        "images": kind == "images",
        "tokens": kind == "tokens",
        "continuous_inputs": all(array.is_floating_point() for array in leaves(prepared)),
    }
    return frozenset(name for name, there in found.items() if there)
