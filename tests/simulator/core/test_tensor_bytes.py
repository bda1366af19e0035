"""Tensors are encoded to the bytes of the library's slower way, whatever their type, shape and place in memory."""

import pytest
import torch
from safetensors.torch import save

from simulator.core.tensor_bytes import encoded

TYPES = [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]


@pytest.mark.parametrize("dtype", [*TYPES, torch.bool, torch.bfloat16, torch.float8_e4m3fn, torch.complex64], ids=str)
def test_the_bytes_are_those_of_safetensors(dtype):
    values = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "b/whole": values.to(dtype),
        "a": values.to(dtype).T,
        "part": values.to(dtype)[:, 1],
        "scalar": torch.tensor(1.0).to(dtype),
        "empty": torch.empty(0, 5).to(dtype),
        "trained": torch.ones(3, requires_grad=True),
        "numbers": torch.tensor([3, 4]),
    }
    tensors["again"] = tensors["a"]  # in the same memory
    assert encoded(tensors) == save({name: each.detach().clone().contiguous() for name, each in tensors.items()})
    assert encoded({}) == save({})
