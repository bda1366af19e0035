"""What travels through Ray's object store: tensors in memory that receivers map instead of copying."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from ray import cloudpickle
from torch import Tensor

T = TypeVar("T")
CARRIED_AS = {torch.bfloat16: torch.int16}  # types that numpy does not know, and others of the same size


class SharedTensors(Generic[T]):
    """``content``, whose tensors arrive on the CPU, read-only, wherever it is unpacked.

    A tensor that occurs more than once in it is stored once. To write to one that has arrived, copy it first: the
    system ends a process that writes to the object store's memory.
    """

    def __init__(self, content: T) -> None:
        self.content = content

    def __reduce__(self) -> tuple[Callable[..., SharedTensors[Any]], tuple[bytes, list[pickle.PickleBuffer]]]:
        stream, buffers = BytesIO(), list[pickle.PickleBuffer]()
        _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(self.content)
        return _unpack, (stream.getvalue(), buffers)


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # Ray's own copy has no types
    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor or value.requires_grad or value.layout is not torch.strided:
            return super().reducer_override(value)
        carried_as = CARRIED_AS.get(value.dtype, value.dtype)
        return _tensor, (value.cpu().view(carried_as).numpy(), value.dtype)


def _unpack(stream: bytes, buffers: list[pickle.PickleBuffer]) -> SharedTensors[Any]:
    return SharedTensors(pickle.loads(stream, buffers=buffers))


def _tensor(array: NDArray[Any], dtype: torch.dtype) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nobody writes to it
        return torch.from_numpy(array).view(dtype)
