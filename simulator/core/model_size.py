"""How much memory the nodes' models will take, before any is made."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from simulator.core.capacity import check_memory
from simulator.core.errors import InputError, wrong

ADVICE = "Make the network smaller, or take fewer nodes."


def check_room_for_models(build: Callable[[], nn.Module], nodes: int, itemsize: int) -> None:
    """Check that the trained parameters of all nodes fit into this machine's memory.

    The network is built without memory, on PyTorch's device "meta"; one that cannot be is left to fail by itself.

    Args:
        build: makes the network.
        nodes: how many of them are held here.
        itemsize: bytes of a parameter.

    Raises:
        InputError: they do not fit, or the network itself cannot be built.
    """
    try:
        with torch.device("meta"):
            parameters = sum(each.numel() for each in built(build).parameters() if each.requires_grad)
    except InputError:
        raise
    except Exception:  # what a stranger's network may not be able to do on that device
        return
    what = f"the models of {nodes:,} nodes, {parameters:,} parameters each,"
    check_memory(nodes * parameters * itemsize, what, ADVICE, "model")


def built(build: Callable[[], nn.Module]) -> nn.Module:
    """The network that ``build`` makes.

    Raises:
        InputError: it is larger than anything can be.
    """
    try:
        return build()
    except InputError:
        raise
    except (MemoryError, OverflowError) as error:
        raise wrong("model", f"the network cannot be built: {error}.", ADVICE) from error
    except (RuntimeError, TypeError) as error:
        if "overflow" not in str(error).lower() and "alloc" not in str(error).lower():
            raise
        raise wrong("model", f"the network cannot be built: {str(error).splitlines()[0]}.", ADVICE) from error
