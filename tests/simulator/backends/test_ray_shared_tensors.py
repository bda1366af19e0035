"""Parcels: every tensor arrives as it was, shared ones once, and in memory that was mapped and not copied."""

import pickle
from types import SimpleNamespace

import pytest
import torch

from simulator.backends.ray.actor import Actor
from simulator.backends.ray.shared_tensors import SharedTensors
from simulator.core.message import Message

pytestmark = pytest.mark.ray

TENSORS = {
    "floats": torch.arange(6.0).reshape(2, 3),
    "doubles": torch.tensor([1e-300, torch.nan, torch.inf], dtype=torch.float64),
    "a number": torch.tensor(7),
    "nothing": torch.empty(0, 4),
    "bytes": torch.arange(12, dtype=torch.uint8),
    "booleans": torch.tensor([True, False]),
    "brain floats": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "every other": torch.arange(10)[::2],
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "with a gradient": torch.ones(3, requires_grad=True),
    "sparse": torch.eye(3).to_sparse(),
}


def packed(content):
    """What Ray stores: a stream and, beside it, the memory that is mapped."""
    buffers = []
    return pickle.dumps(SharedTensors(content), protocol=5, buffer_callback=buffers.append), buffers


def arrived(content):
    """The content after a journey through memory that cannot be written to."""
    stream, buffers = packed(content)
    return pickle.loads(stream, buffers=[bytes(buffer.raw()) for buffer in buffers]).content


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_arrives_as_it_was(name):
    sent = TENSORS[name]
    found = arrived([sent])[0]

    assert (found.dtype, found.shape, found.requires_grad) == (sent.dtype, sent.shape, sent.requires_grad)
    assert torch.equal(found.to_dense().nan_to_num(), sent.to_dense().nan_to_num())


def test_messages_that_share_a_tensor_store_it_once():
    parameters = torch.zeros(10_000)
    messages = [Message(0, to, 3, {"parameters": parameters, "count": torch.tensor(to)}) for to in range(1, 5)]
    stream, buffers = packed(messages)
    found = arrived(messages)

    assert sum(len(buffer.raw()) for buffer in buffers) == 4 * 10_000 + 4 * 8
    assert len(stream) < 4000
    assert [message.envelope for message in found] == [message.envelope for message in messages]
    assert len({message.parts["parameters"].data_ptr() for message in found}) == 1


def test_what_arrives_is_the_memory_of_the_store():
    stream, (buffer,) = packed(torch.arange(1000))
    memory = bytearray(buffer.raw())
    found = pickle.loads(stream, buffers=[memory]).content
    memory[0] = 9

    assert found[0] == 9


def test_actors_give_their_nodes_copies_of_states():
    """A method may write to its state; nobody may write to the store."""
    given, state = {}, {"buffer": torch.zeros(3)}
    actor = Actor()
    actor._worker = SimpleNamespace(load=given.update)
    actor.load(SharedTensors({0: dict(state)}))
    given[0]["buffer"] += 1

    assert torch.equal(state["buffer"], torch.zeros(3))
