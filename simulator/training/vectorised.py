"""What keeps a network from being run for many models or samples as one program: which layer, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

RANDOM_LAYERS = (nn.modules.dropout._DropoutNd, nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)
WHY_RANDOM = "draws random numbers of its own, and those of a run come from generators of the nodes alone"
WITHOUT_RANDOM = "Train without it: take it out of the network, or set its probability to 0."
ELSE = "Use a network that torch.func.vmap can run: no branches on values, no .item(), no state that it writes to."


class CannotBeVectorisedError(Exception):
    """A layer fails where many models, or samples, are run at once.

    Args:
        what: which one, and why.
        advice: what to do about it.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what, self.advice = what, advice


def is_random(layer: nn.Module) -> bool:
    """Whether a layer of PyTorch draws random numbers while it is trained."""
    if isinstance(layer, nn.MultiheadAttention):
        return bool(layer.dropout > 0)
    return isinstance(layer, RANDOM_LAYERS) and getattr(layer, "p", 1.0) > 0


def named(name: str, layer: nn.Module) -> str:
    """A layer in words."""
    first, *more = str(layer).splitlines()
    return f"{name or 'the network'}, {first.rstrip('(') if more else first},"


@contextmanager
def explaining(network: nn.Module) -> Iterator[None]:
    """Say of what the block raises in which layer it was, and what to do.

    Raises:
        CannotBeVectorisedError: in place of whatever a stranger's network raises.
    """
    entered: list[tuple[str, nn.Module]] = []
    with ExitStack() as stack:
        for name, layer in network.named_modules():
            stack.callback(layer.register_forward_pre_hook(_entering(entered, name)).remove)
            stack.callback(layer.register_forward_hook(lambda *_: entered.pop() and None).remove)
        try:
            yield
        except Exception as error:
            raise _explained(error, *(entered or [("", network)])[-1]) from error


def _entering(entered: list[tuple[str, nn.Module]], name: str) -> Callable[[nn.Module, object], None]:
    return lambda layer, _: entered.append((name, layer))


def _explained(error: Exception, name: str, layer: nn.Module) -> CannotBeVectorisedError:
    message = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {message[0] if message else 'no message'}"
    if "random" in said or is_random(layer):
        return CannotBeVectorisedError(f"{named(name, layer)} {WHY_RANDOM} ({said})", WITHOUT_RANDOM)
    return CannotBeVectorisedError(f"{named(name, layer)} fails with {said}", ELSE)
