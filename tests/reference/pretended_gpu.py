"""A GPU that is not there: tensors that say that they are on it, kernels that refuse what a GPU would, CPU's results.

Values are on the CPU, and where a tensor is said to be is written on its storage, so that views, parameters whose data
are replaced and rows of a matrix agree on it. Code that asks for a device, moves a tensor or makes one is answered
as if there were a GPU; and every kernel, those of backward passes and below `vmap` among them, is looked at before it
runs on what it was given.

What only a GPU can show is not seen: operations that it lacks, and other rounding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._C import _functorch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from simulator.testing.network import SteppedNetwork

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
MEMORY = 2**34  # bytes
COPIES = {torch.ops.aten.copy_.default}  # from anywhere to anywhere
INDEXED = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
}
TAKES_NUMBERS = {torch.ops.aten.fill_.Tensor, *INDEXED}  # beside arithmetic: of those from anywhere
TO_NUMPY = {Tensor.numpy, Tensor.__array__}


class MixedDevicesError(RuntimeError):
    """A kernel was given tensors on the CPU beside those on the GPU."""


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Let there be one in this thread, for the length of the block: for ``training.device: cuda``."""
    autocast = torch.autocast
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=MEMORY))
        patch.setattr(torch, "autocast", lambda device, *given, **named: autocast("cpu", *given, **named))
        patch.setattr(torch, "Generator", _Generator)
        with _Kernels() as kernels, _Calls(kernels):
            yield


def is_the_same_on_it(build: Callable[[str], SteppedNetwork], rounds: int = 4) -> None:
    """A network on a device that is given computes the same on a pretended GPU, straight through or resumed."""
    expected = build("cpu").run(rounds)
    with pretended_gpu():
        network = build("cuda")
        assert is_on_gpu(network.nodes[0].parameters)
        network.run(rounds - 1)
        resumed = build("cuda")
        resumed.load(network.states())
        found = [each.run(1)[-1] for each in (network, resumed)]
    np.testing.assert_array_equal(found, [expected[-1]] * 2)


def is_close_on_a_real_one(build: Callable[[str], SteppedNetwork], rounds: int = 4) -> None:
    """A network in double precision computes on a GPU what it does on the CPU, but for rounding."""
    on_cpu, on_gpu = (build(device).run(rounds) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-8, atol=1e-9)


ON_A_GPU = pytest.mark.parametrize(
    "check",
    [
        pytest.param(is_the_same_on_it, id="pretended", marks=pytest.mark.slow),
        pytest.param(is_close_on_a_real_one, id="real", marks=pytest.mark.gpu),
    ],
)


class _Generator(torch.Generator):
    """One of the CPU, whatever it is asked for."""

    def __new__(cls, device: Any = "cpu") -> Any:
        return super().__new__(cls, "cpu")


def is_on_gpu(tensor: Tensor) -> bool:
    """Whether ``tensor``, of which `torch.func` may have made another, says so."""
    return getattr(_unwrapped(tensor).untyped_storage(), "is_on_gpu", False)


def _put(tensors: Any, on_gpu: bool) -> None:
    for tensor in _tensors(tensors):
        _unwrapped(tensor).untyped_storage().is_on_gpu = on_gpu


def _unwrapped(tensor: Tensor) -> Tensor:
    while _functorch.is_functorch_wrapped_tensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    return tensor


def _tensors(given: Any) -> list[Tensor]:
    return [each for each in tree_leaves(given) if isinstance(each, Tensor)]


class _Kernels(TorchDispatchMode):
    """What runs on a device, below autograd and `torch.func`.

    Attributes:
        makes_on_gpu: whether what is made of no tensor at all is made there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.makes_on_gpu = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import its compiler

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = _tensors((args, kwargs))
        on_gpu = any(map(is_on_gpu, given)) if given else self.makes_on_gpu
        if on_gpu and func not in COPIES:
            _check(func, args, given)
        found = func(*args, **kwargs)
        if on_gpu and func not in COPIES:
            _put(found, True)
        return found


def _check(func: Any, args: Sequence[Any], given: Sequence[Tensor]) -> None:
    """Refuse tensors elsewhere, but numbers in arithmetic, and indices into what is on the GPU."""
    if func in INDEXED:
        indexed, indices, *values = args
        if not is_on_gpu(indexed) and any(map(is_on_gpu, _tensors(indices))):
            raise MixedDevicesError(f"{func}: indices are on the GPU, and what they point into is not")
        given = [indexed, *_tensors(values)]
    numbers = torch.Tag.pointwise in func.tags or func in TAKES_NUMBERS
    strays = [each for each in given if not is_on_gpu(each) and not (numbers and each.dim() == 0)]
    if strays and len(strays) < len(given):
        shapes = ", ".join(str(list(each.shape)) for each in strays)
        raise MixedDevicesError(f"{func}: beside tensors on the GPU, it was given some on the CPU: {shapes}")


class _Calls(TorchFunctionMode):
    """What a program asks of tensors and devices."""

    def __init__(self, kernels: _Kernels) -> None:
        super().__init__()
        self._kernels = kernels

    def __torch_function__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in ANSWERS:
            return ANSWERS[func](*args, **kwargs)
        if func in TO_NUMPY and is_on_gpu(args[0]):
            raise TypeError(f"{func.__name__}: the tensor is on the GPU. Use Tensor.cpu() to copy it first.")
        device = kwargs.get("device", _device(args[0]) if func is Tensor.new_tensor else None)
        wanted = None if device is None else torch.device(device).type == "cuda"
        if wanted is not None:
            kwargs["device"] = CPU
        given = _tensors(args[:1] if func is Tensor.__deepcopy__ else (args, kwargs))  # whose memo holds many others
        before = self._kernels.makes_on_gpu
        self._kernels.makes_on_gpu = any(map(is_on_gpu, given)) if wanted is None else wanted
        try:
            found = func(*args, **kwargs)
        finally:
            self._kernels.makes_on_gpu = before
        if wanted is not None:
            _put(found, wanted)
        return found


def _moved(tensor: Tensor, device: torch.device | None, dtype: torch.dtype | None, **how: Any) -> Tensor:
    there = is_on_gpu(tensor) if device is None else device.type == "cuda"
    copy = how.pop("copy", False) or there != is_on_gpu(tensor)
    found = tensor.to(dtype or tensor.dtype, copy=copy, **how)
    if found is not tensor:
        _put(found, there)
    return found


def _to(tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
    how: dict[str, Any] = {"copy": copy}
    if "memory_format" in kwargs:
        how["memory_format"] = kwargs.pop("memory_format")
    if args and isinstance(args[0], Tensor):
        return _moved(tensor, _device(args[0]), args[0].dtype, **how)
    device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
    return _moved(tensor, device, dtype, **how)


def _device(tensor: Tensor) -> torch.device:
    return GPU if is_on_gpu(tensor) else CPU


ANSWERS: Mapping[Any, Callable[..., Any]] = {
    Tensor.device.__get__: _device,
    Tensor.is_cuda.__get__: is_on_gpu,
    Tensor.is_cpu.__get__: lambda tensor: not is_on_gpu(tensor),
    Tensor.to: _to,
    Tensor.cpu: lambda tensor, **how: _moved(tensor, CPU, None, **how),
    Tensor.cuda: lambda tensor, *given, **how: _moved(tensor, GPU, None, **how),
}
