"""Messages of a hostile neighbour, thousands of them: taken as what mixer and methods declare, or refused by name.

``FUZZ=N`` in the environment draws N a case (default 400), ``FUZZ_SEED`` others.
"""

import os
from collections import Counter
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from reference.experiments import METHODS, nodes_of, small

from simulator.core.message import Message
from simulator.core.node_program import NodeProgram
from simulator.deployment.keys.private import sealing_key
from simulator.deployment.transport.box import Found
from simulator.deployment.transport.inspection import Refused, inspect, received
from simulator.deployment.transport.sealing import Seals
from simulator.runs.build import Simulation

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

DRAWS, SEED = int(os.environ.get("FUZZ", "400")), int(os.environ.get("FUZZ_SEED", "17"))
QGM, IDKD = METHODS
CHAIN = {"graph": "chain", "nodes": 4}
PUSH = {"graph": "ring", "nodes": 4, "weights": "push"}
LTC = {"name": "ltc", "every": 1}


def choco(**code):
    return {"mixer": {"name": "choco", "compression": code}}


CASES = {
    "gossip": {},
    "push_sum": {"mixer": "push_sum", "topology": PUSH},
    "relay_sum": {"mixer": "relay_sum", "topology": CHAIN},
    "top_k": choco(name="top_k"),
    "random_k": choco(name="random_k"),
    "sign": choco(name="sign"),
    "qsgd": choco(name="qsgd", bits=4),
    "tracking": {"methods": [{"name": "gradient_tracking"}]},
    "ltc": {"methods": [LTC]},
    "idkd": {"methods": [QGM, {**IDKD, "first_round": 1}]},
    "idkd, few": {"methods": [{**IDKD, "first_round": 1, "top_k": 3, "label_dtype": "float16", "merge": "official"}]},
}
AWAY = [torch.nan, torch.inf, -torch.inf, 1e30, -1e30, -1.0, 2.0**40, 0.0, 1.0, 2.0]
TYPES = [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool]


def value(tensor, random):
    """One entry is another."""
    if tensor.numel():
        new = AWAY[random.integers(len(AWAY))]
        if not tensor.is_floating_point():
            new = int(np.clip(0 if new != new else new, -(2**31), 2**31 - 1))
            new = new % 256 if tensor.dtype == torch.uint8 else new
        tensor.view(-1)[random.integers(tensor.numel())] = new
    return tensor


def shape(tensor, random):
    flat = tensor.reshape(-1)
    return [flat[:1], flat[:-1], flat[:0], torch.cat([flat, flat]), tensor[None], flat.sum()][random.integers(6)]


def dtype(tensor, random):
    return tensor.to(TYPES[random.integers(len(TYPES))])


def order(tensor, random):
    """Rows change places, or one stands for another."""
    if not tensor.ndim:
        return tensor
    rows = torch.from_numpy(random.integers(max(1, len(tensor)), size=len(tensor)))
    return tensor[rows] if random.random() < 0.5 else tensor.flip(0)


def every(tensor, random):
    return torch.full_like(tensor, [0, 1, 3][random.integers(3)])


def mutated(message, random):
    """``message`` with a part or the envelope changed, once or twice."""
    parts = {name: tensor.clone() for name, tensor in message.parts.items()}
    envelope = [message.sender, message.receiver, message.round]
    for _ in range(random.integers(1, 3)):
        names = sorted(parts)
        kind, name = random.integers(9), names[random.integers(len(names))] if names else "parameters"
        if kind == 6 or not names:
            parts.pop(name, None)
        elif kind == 7:
            parts[["extra", name + "x", "\n" * 3, "p" * 500][random.integers(4)]] = parts[name]
        elif kind == 8:
            envelope[random.integers(3)] += [1, -1, 2**62, -(2**62)][random.integers(4)]
        else:
            change = (value, value, shape, dtype, order, every)[kind]
            parts[name] = change(parts[name], random).clone()
    return Message(*envelope, parts).encode()


def garbled(data, random):
    """Bytes cut, changed, put in, or of nothing at all."""
    cut = random.integers(len(data) + 1)
    flipped = bytearray(data)
    for place in random.integers(min(len(data), 200), size=random.integers(1, 5)):
        flipped[place] = random.integers(256)
    return [data[:cut], bytes(flipped), data[:cut] + b"x" + data[cut:], random.bytes(cut % 300), b""][
        random.integers(5)
    ]


@pytest.fixture(params=CASES)
def network(request):
    """The nodes of a case, in the middle of its first round, and what node 1 has sent to node 0."""
    experiment = small(**CASES[request.param])
    module, nodes, sent = Simulation.of(experiment).blueprint.module(), nodes_of(experiment), []
    for node in nodes[:2]:
        with node.using(module):
            program = NodeProgram(node)
            program.begin()
            program.finish()
            sent += program.send(1)
    return request.param, nodes, next(message for message in sent if (message.sender, message.receiver) == (1, 0))


def test_what_arrives_is_as_declared_or_refused_by_name(network, capsys):
    case, nodes, honest = network
    node, random, found = nodes[0], np.random.default_rng([SEED, *case.encode()]), Counter()
    NodeProgram(node).lose(set(node.weights) - {0, 1})
    inspect(received(honest.encode(), 1, 0, 1), NodeProgram(node))  # what is honest is taken
    private, public = sealing_key()
    own, mine = sealing_key()
    theirs, ours = Seals("run", 1, private, {0: mine}), Seals("run", 0, own, {1: public})
    for number in range(DRAWS):
        data = mutated(honest, random) if random.random() < 0.8 else garbled(honest.encode(), random)
        for plane in ("p2p", "relay"):
            try:
                message = over(plane, data, theirs, ours)
                inspect(message, NodeProgram(node))
            except Refused as refused:
                found[plane, "refused" if "node 1" in str(refused) else "refused without a name"] += 1
            else:
                keeps_finite(node, message)
                found[plane, "taken"] += 1
        assert sum(found.values()) == 2 * (number + 1)
    with capsys.disabled():
        print(f"\n{case}: {dict(found)}")
    assert {how for _, how in found} <= {"taken", "refused"}
    assert found["p2p", "refused"] > DRAWS / 3
    assert found["p2p", "refused"] == found["relay", "refused"]


def over(plane, data, theirs, ours):
    if plane == "p2p":
        return received(data, 1, 0, 1)
    sealed = theirs.seal(SimpleNamespace(round=1, exchange=1, receiver=0, encode=lambda: data))
    return ours.open(sealed, 1, 1)


def keeps_finite(node, message):
    """What was taken can be heard and mixed, and leaves the node finite and as it was."""
    before, weights = node.state_dict(), node.weights
    NodeProgram(node).lose(set(weights) - {0, 1})
    for method in reversed(node.methods):
        message = method.incoming(node, message)
    node.mixer.mix(node, [message])
    assert node.parameters.isfinite().all()
    for state in node.mixer.state_dict().values():
        assert state.isfinite().all()
    node.load_state_dict(before)
    node.weights = weights


@pytest.mark.parametrize("seed", range(3))
def test_answers_and_sealed_messages_that_are_garbage_are_refused(seed):
    random = np.random.default_rng([SEED, seed])
    private, public = sealing_key()
    own, mine = sealing_key()
    theirs, ours = Seals("run", 1, private, {0: mine}), Seals("run", 0, own, {1: public})
    honest = Message(1, 0, 3, {"parameters": torch.ones(4)})
    sealed = theirs.seal(honest)
    for _ in range(DRAWS):
        with suppress(ValueError):
            Found.decode(random.bytes(random.integers(30)))
        data = garbled(sealed, random)
        if data != sealed:
            with pytest.raises(Refused, match="node 1"):
                ours.open(data, 1, 3)
