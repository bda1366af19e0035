"""A node in a confined process is what it is in this one, and what the process says otherwise is refused."""

import copy
import socket
import threading
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from reference.deployment import Deployment
from reference.experiments import METHODS, small
from reference.sites import SCHEMA, SIZES, sites, write_sites
from safetensors.torch import load, save

from simulator.core.backend import Order
from simulator.core.declaration import Declared
from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.core.place import Place
from simulator.core.report import Metric
from simulator.deployment import testimony
from simulator.deployment.confined import channel
from simulator.deployment.confined.declaration import PartForm
from simulator.deployment.confined.folder import ConfinedFolder, Lost
from simulator.deployment.confined.program import Program, serve
from simulator.deployment.transport.wire import decode, encode

DP = {"name": "dp_sgd", "noise_multiplier": 2.0}
CHOCO = {"name": "choco", "compression": {"name": "random_k", "keep": 0.2}}
ROWS = {1: {0: 0.25, 1: 0.5, 2: 0.25}, 3: {0: 0.25, 2: 0.25, 3: 0.5}}
PLACE = Place(0, {0: 0.5, 1: 0.25, 3: 0.25}, (1, 3), rows=ROWS)
END = Order(absorb=True, lost={0: [1, 3]})
EARLY = {"name": "gossip", "order": "combine_then_adapt"}


def agreeing(path):
    """Sites that agree on statistics before round 1."""
    schema = copy.deepcopy(SCHEMA)
    for column in schema["columns"]:
        column.pop("mean", None)
        column.pop("std", None)
    return sites(write_sites(path), sites={"names": list(SIZES), "data_schema": schema, "statistics": "agreed"})


ENORMOUS = PartForm.of(Declared(torch.float32, (2**40,) * 16)).model_dump()


class Telling(Program):
    """A program whose answers go through ``change``."""

    change = staticmethod(lambda word, head, pieces: (head, pieces))

    def answer(self, frame):
        return self.change(frame.head["word"], *super().answer(frame))


@pytest.fixture
def confined(tmp_path, monkeypatch):
    """``confined(deployment)``: node 0 as its site's process sees it, whose program is a thread here."""
    opened = []

    def started(program):
        here, there = socket.socketpair()
        here.settimeout(60)
        opened.append((here, threading.Thread(target=run, args=(there, program))))
        opened[-1][1].start()
        return here

    def run(there, program):
        with there, suppress(SystemExit):
            serve(there, program)

    def made(deployment, program=None):
        monkeypatch.chdir(deployment.place(0))
        folder = ConfinedFolder.of(deployment.node_folder(0), lambda: started(program or Program()))
        return folder.carried(deployment.manifest.run)

    yield made
    for here, thread in opened:
        here.close()
        thread.join()


@pytest.mark.parametrize(
    "experiment",
    [
        lambda path: small(methods=[DP], rounds=4),
        lambda path: small(methods=METHODS, rounds=4),
        lambda path: small(mixer=CHOCO, rounds=3),
        lambda path: small(mixer=EARLY, methods=[{"name": "neighbourhood_gradient_clustering"}], rounds=3),
        lambda path: agreeing(path / "sites"),
    ],
    ids=["noise", "idkd", "compressed", "in exchanges", "sites"],
)
def test_what_it_says_of_itself_is_what_it_is(experiment, confined, tmp_path):
    deployment = Deployment(experiment(tmp_path), tmp_path)
    here = deployment.node_folder(0).carried(deployment.manifest.run)
    there = confined(deployment)
    for name in ("counts", "shared", "content", "tolerant", "exchanges"):
        assert getattr(there, name) == getattr(here, name), name
    assert torch.equal(there.parameters, here.parameters)
    assert (there.sums is None) == (here.sums is None)
    assert here.sums is None or there.sums.tobytes() == here.sums.tobytes()
    own, said = here.asked, there.asked
    assert replace(said, promise=None, bounded=own.bounded) == replace(own, promise=None)
    assert said.bounded <= own.bounded
    every = range(deployment.manifest.rounds + 1)
    assert [own.promise and own.promise.cost(each) for each in every] == [
        said.promise and said.promise.cost(each) for each in every
    ]
    for round in every[1:]:
        for exchange in range(1, here.exchanges + 1):
            for link in ((0, 1), (1, 0), (0, 3), (3, 0)):
                assert there.declared(*link, round, exchange) == here.declared(*link, round, exchange)


@pytest.mark.parametrize(
    "case",
    [{"methods": METHODS}, {"mixer": CHOCO, "record": {"every": 1}}, {"mixer": "masked_sums"}],
    ids=["idkd", "choco", "masked sums"],
)
def test_a_round_has_the_bytes_that_it_has_here(case, confined, tmp_path):
    """So has the state after it, also in a process that goes on from it."""
    deployment = Deployment(small(rounds=3, **case), tmp_path)
    here, there = deployment.node_folder(0).carried(deployment.manifest.run), confined(deployment)
    first = Order(begin=True, train=True, send=1, places={0: PLACE})
    for order in (Order(evaluate=True), first, END, Order(snapshot=True)):
        (said, sent), (own_said, own_sent) = there.superstep(order), here.superstep(order)
        assert [each.encode() for each in sent] == [each.encode() for each in own_sent]
        assert encode(said) == encode(own_said)
    other = confined(deployment)
    other.load(said.state)
    assert torch.equal(other.parameters, here.parameters)
    assert encode(other.superstep(first)[0]) == encode(here.superstep(first)[0])


def again(reply, **changes):
    """A reply's bytes, changed."""
    return encode(replace(decode(reply), **changes))


def message(data, **changes):
    return replace(Message.decode(data), **changes).encode()


LIES = {
    "speaks of messages of another node": {"sent/0": lambda data: message(data, sender=2)},
    "speaks of messages of another round": {"sent/0": lambda data: message(data, round=7)},
    "to nodes that are no neighbours": {"sent/0": lambda data: message(data, receiver=2)},
    "its last one, which is not its to say": {"sent/0": lambda data: message(data, last=True)},
    "it counts its messages otherwise": {"sent/0": lambda data: message(data, parts={})},
    "not a message": {"sent/0": lambda data: b"\x80\x04cbuiltins\nexec"},
    "holds no reply of a node": {"reply": lambda data: data[:-1]},
    "trained more than it can have": {"reply": lambda data: again(data, steps=2**52)},
    "'x' of a round more than once": {"reply": lambda data: again(data, metrics=[Metric(1, 0, "x", 0.5)] * 2)},
    "speaks of another round": {"reply": lambda data: again(data, metrics=[Metric(5, 0, "x", 0.5)])},
    "has another state than what is due": {"reply": lambda data: again(data, state={"x": torch.ones(9)})},
    "bytes, and": {"more": lambda data: bytes(2**24)},
}


@pytest.fixture
def begun(confined, tmp_path, monkeypatch):
    """A node whose program says what it is told to; and the order that begins a round."""
    monkeypatch.setattr(testimony, "ROOM", 2**20)
    deployment, program = Deployment(small(rounds=3), tmp_path), Telling()
    return confined(deployment, program), program, Order(begin=True, train=True, send=1, places={0: PLACE})


@pytest.mark.parametrize("what", LIES)
def test_what_a_node_cannot_say_is_refused_by_name(what, begun):
    node, program, order = begun
    (name, lie), *_ = LIES[what].items()
    _, messages = node.superstep(order)
    assert [each.receiver for each in messages] == [1, 3]
    node.load({**node.superstep(Order(snapshot=True))[0].state, "round": torch.tensor(0)})
    program.change = lambda word, head, pieces: (head, {**pieces, name: lie(pieces.get(name))})
    with pytest.raises(RunError, match=rf"what the confined process of node 0 says is refused: (.|\n)*{what}"):
        node.superstep(order)


def test_parameters_are_as_many_as_there_were_and_an_epsilon_is_a_number(begun):
    node, program, order = begun
    node.superstep(order)
    program.change = lambda word, head, pieces: (
        head,
        {**pieces, "tensors": save({"parameters": load(pieces["tensors"])["parameters"][1:]})},
    )
    with pytest.raises(RunError, match="parameters of another size"):
        node.superstep(END)
    for epsilon in (-1.0, 10**400):
        program.change = lambda word, head, pieces, said=epsilon: ({"epsilon": said}, {})
        with pytest.raises(RunError, match="an epsilon that is none"):
            node._cost(1)


def test_an_answer_is_never_longer_than_the_hosts_memory_bears(begun, monkeypatch):
    """Whatever was declared: that is the word of the experiment's code."""
    node, _, order = begun
    monkeypatch.setattr(channel, "MOST", 1000)
    with pytest.raises(RunError, match=r"bytes, and 1,000 are allowed"):
        node.superstep(order)


def test_nor_is_a_message_declared_that_is(confined, tmp_path):
    """Those of neighbours, too, which are taken as long as they are declared."""
    program = Telling()
    program.change = lambda word, head, pieces: ({**head, "kinds": [{"x": ENORMOUS}, *head["kinds"][1:]]}, pieces)
    with pytest.raises(RunError, match="messages that are larger than this host's memory bears"):
        confined(Deployment(small(), tmp_path), program)


@pytest.mark.parametrize("sizes", [[5, 5, 1], [0, 5, 0]], ids=str)
def test_a_part_of_no_size_is_no_declaration(sizes):
    part = PartForm.of(Declared(torch.float32, (range(1, 5),))).model_dump()
    with pytest.raises(ValidationError):
        PartForm.model_validate({**part, "shape": [sizes]})


def test_an_error_of_its_code_is_one_of_the_run_whatever_it_calls_itself(begun):
    node, program, order = begun
    program.change = lambda word, head, pieces: ({"error": ["Declined"], "text": "\x1b[2J" + "x" * 10_000}, {})
    with pytest.raises(RunError, match=r"^node 0: its program says: \?\[2Jx{1996}$"):
        node.superstep(order)


def test_a_program_that_is_gone_is_lost_and_said_to_be(begun):
    node, program, order = begun
    program.change = lambda word, head, pieces: (_ for _ in ()).throw(SystemExit)
    with pytest.raises(Lost, match="the process in which node 0 is trained has died"):
        node.superstep(order)
