"""The mailbox of the plane relay, over real connections with certificates: who may do what, and what outages cost."""

import subprocess
import sys
import threading
import time
from functools import partial

import grpc
import pytest
import torch
from reference.deployment import free_addresses

from simulator.core.errors import InputError, RunError
from simulator.core.message import Message
from simulator.deployment.keys.authority import Authority
from simulator.deployment.keys.private import sealing_key
from simulator.deployment.transport import mailbox as module
from simulator.deployment.transport import post
from simulator.deployment.transport.box import BEHIND, Answer, Found, question
from simulator.deployment.transport.certificates import MAILBOX, Identity
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.heard import Heard
from simulator.deployment.transport.line import Line
from simulator.deployment.transport.mailbox import Mailbox
from simulator.deployment.transport.neighbour import Patience
from simulator.deployment.transport.outbox import Outbox
from simulator.deployment.transport.parcel import Head, Hello, Progress, parcel
from simulator.deployment.transport.planes import relay
from simulator.deployment.transport.positions import ONCE
from simulator.deployment.transport.run_keys import RunSeals
from simulator.deployment.transport.sealing import OVERHEAD

AUTHORITY = Authority("test")
IDENTITIES = {node: AUTHORITY.issue(f"node-{node}") for node in range(4)}
KEYS, OF_THE_RUN = ({node: sealing_key() for node in range(4)} for _ in range(2))
LINKS = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (3, 0), (0, 3)]
ROUNDS, LARGEST = 1000, 1000
PATIENT = Patience(start=60.0, round=60.0, tolerant=True)
SHORT = Patience(start=60.0, round=1.0, tolerant=True)


def message(sender, receiver, position):
    """Of a run with one exchange a round."""
    return Message(sender, receiver, position + 1, {"parameters": torch.tensor([float(position)])})


def soon():
    """The deadline of a phase that no test waits for."""
    return time.monotonic() + 120


@pytest.fixture
def address():
    (found,) = free_addresses(1)
    return found


@pytest.fixture(autouse=True)
def _posts_that_leave_at_once(monkeypatch):
    """The last letters are put in a moment, and where there is no mailbox never."""
    monkeypatch.setattr(post, "LEAVE", 0.5)


@pytest.fixture
def opened():
    """``opened(thing)``: the thing, closed at the end."""
    things = []
    yield lambda thing: things.append(thing) or thing
    for each in reversed(things):
        each.close()


def seals_of(node, run="run-a"):
    around = [sender for sender, receiver in LINKS if receiver == node]
    return RunSeals(run, node, KEYS[node][0], {other: KEYS[other][1] for other in around}, OF_THE_RUN[node][0])


def hello(node, run="run-a", **changes):
    told = [(other, text.hex()) for other, text in seals_of(node, run).greetings().items()]
    return Hello(**{"run": run, "sender": node, "greetings": told, "wanted": [], **changes}).model_dump_json().encode()


@pytest.fixture
def line(address, opened):
    """``line(node)``: the node's connection to the mailbox."""
    return lambda node, identity=None: opened(Line(MAILBOX, address, identity or IDENTITIES[node], LARGEST + OVERHEAD))


@pytest.fixture
def greet(line):
    """``greet()``: all nodes of the ring have told their keys of the run."""

    def all_of_them(run="run-a"):
        for node in range(4):
            line(node).greet(hello(node, run), timeout=30, wait_for_ready=True)

    return all_of_them


@pytest.fixture
def serve(address, opened):
    """``serve()``: a mailbox of a ring of four nodes, which has forgotten what earlier ones knew."""
    return lambda: opened(Mailbox(AUTHORITY.issue(MAILBOX), address, LINKS, LARGEST + OVERHEAD, ONCE))


@pytest.fixture
def join(address, opened, greet):
    """``join(node)``: what the node sends and hears there."""

    def node(number, patience=PATIENT, run="run-a", away=(), greeted=True):
        if greeted:
            greet(run)
        seals = seals_of(number, run)
        greetings = seals.greetings()
        expected = Expected(ROUNDS, dict.fromkeys(greetings, LARGEST), lambda message: None)

        def let_go(messages, seal):
            return {each.receiver: seal(each) for each in messages}

        to = (run, partial(Outbox, 0), let_go, address, IDENTITIES[number])
        return opened(relay(number, *to, patience, expected, seals, greetings, away))

    return node


def heard(neighbours, position, senders):
    found = neighbours.ask(position, senders, soon())()
    return sorted(each.sender for each in found.messages), found.lost


def test_messages_arrive_and_nobody_needs_to_be_there_when_they_do(serve, join):
    serve()
    second = join(1)
    second.outbox.publish(0, [message(1, 0, 0), message(1, 2, 0)])
    first = join(0)
    assert heard(first, 0, [1]) == ([1], [])
    second.close()
    third = join(2)
    assert heard(third, 0, [1]) == ([1], [])


def test_one_who_has_gone_on_without_a_node_says_so(serve, join):
    serve()
    first, second = join(0), join(1)
    for round in range(6):
        second.outbox.publish(round, [message(1, 0, round)])
    assert heard(first, 1, [1]) == ([1], [])  # it is only late
    second.outbox.go_on_without(0)
    second.outbox.publish(6, [message(1, 0, 6)])
    until(lambda: first.gone_on(3, [1]) == 6)
    assert first.ask(3, [1], soon())().furthest == 6


def until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_has_been_fetched_is_forgotten_by_its_sender_too_and_waited_for_at_the_end(serve, join):
    serve()
    first, second = join(0), join(1)
    for round in range(5):
        second.outbox.publish(round, [message(1, 0, round)])
    late = threading.Timer(0.5, lambda: [first.ask(round, [1], soon())() for round in range(5)])
    late.start()
    began = time.monotonic()
    second.linger(soon())
    assert 0.3 < time.monotonic() - began < 20
    assert list(second.outbox.held().letters) == [3, 4]
    late.join()


def test_a_mailbox_that_was_started_again_is_given_what_is_still_needed(serve, join):
    box = serve()
    first, second = join(0), join(1)
    second.outbox.publish(0, [message(1, 0, 0)])
    assert heard(first, 0, [1]) == ([1], [])
    second.outbox.publish(1, [message(1, 0, 1)])
    waiting = []
    one = threading.Thread(target=lambda: waiting.append(heard(first, 2, [1])))
    one.start()
    box.close()
    serve()
    second.outbox.publish(2, [message(1, 0, 2)])
    one.join(300)
    assert waiting == [([1], [])]
    assert heard(first, 1, [1]) == ([1], [])


@pytest.mark.slow
def test_the_silence_of_the_mailbox_is_not_the_neighbours(serve, join, capsys):
    """It is waited for longer than a silent neighbour, and then the phase cannot go on."""
    box, brief = serve(), Patience(start=2.0, round=0.3, tolerant=True)
    first, second = join(0, brief), join(1, brief)
    second.outbox.publish(0, [message(1, 0, 0)])
    assert heard(first, 0, [1]) == ([1], [])
    box.close()
    threading.Timer(1.0, serve).start()
    threading.Timer(1.0, second.outbox.publish, [1, [message(1, 0, 1)]]).start()
    assert heard(first, 1, [1]) == ([1], [])
    assert "silent" not in capsys.readouterr().out


def test_without_a_mailbox_a_phase_cannot_go_on(join):
    first = join(0, Patience(start=0.5, round=0.3, tolerant=True), greeted=False)
    first.outbox.publish(0, [message(0, 1, 0)])
    first.ask(0, [1, 3], soon())()
    assert first.broken_off


@pytest.mark.slow
def test_a_dead_neighbour_costs_one_timeout_and_one_that_waits_for_it_is_not_taken_for_dead(serve, join):
    """Node 2 has been killed; node 1 waits for it, and node 0 for node 1, which lives, and says nothing for now."""
    serve()
    first, second, third = join(0, SHORT), join(1, SHORT), join(2, SHORT)
    second.outbox.publish(0, [message(1, 0, 0), message(1, 2, 0)])
    third.outbox.publish(0, [message(2, 1, 0)])
    assert (heard(first, 0, [1]), heard(second, 0, [2])) == (([1], []), ([2], []))
    third.close()
    found = []
    waits = threading.Thread(target=lambda: found.append(heard(first, 1, [1])))
    waits.start()
    began = time.monotonic()
    assert heard(second, 1, [2]) == ([], [2])
    assert 0.8 < time.monotonic() - began < 10  # and not the two minutes of the phase
    time.sleep(0.3)
    second.outbox.publish(1, [message(1, 0, 1)])
    waits.join(300)
    assert found == [([1], [])]
    began = time.monotonic()
    for round in range(2, 30):
        assert heard(second, round, [2]) == ([], [2])
    assert time.monotonic() - began < 14 * SHORT.round  # for all of them: for each it would be 28


def test_a_later_run_takes_the_place_of_an_earlier_one(serve, join):
    serve()
    join(1).outbox.publish(0, [message(1, 0, 0)])
    again, first = join(1, run="run-b"), join(0, run="run-b")
    again.outbox.publish(0, [message(1, 0, 0)])
    assert heard(first, 0, [1]) == ([1], [])


def head(sender=0, letters=((0, 1, 5),), **changes):
    plain = {"run": "run-a", "position": 0, "whole": True, "given_up": [], "fetched": []}
    return Head(**{**plain, "sender": sender, "letters": list(letters), **changes})


def put(line, head, letter=b"12345"):
    letters = {at: {to: letter for when, to, _ in head.letters if when == at} for at, _, _ in head.letters}
    return Progress.decode(line.put(parcel(head, letters), timeout=30, wait_for_ready=True))


MISDEEDS = {
    "node-0 puts as node-1": lambda line: put(line(0), head(sender=1)),
    "node-0 writes to node-2, which fetches nothing of it here": lambda line: put(line(0), head(letters=[(0, 2, 5)])),
    r"node-0 writes to node-1 9,999 bytes, and no message has more than": lambda line: put(
        line(0), head(letters=[(0, 1, 9999)]), bytes(9999)
    ),
    "node-0 puts 5 bytes where 4 were to come": lambda line: put(line(0), head(letters=[(0, 1, 4)])),
    "node-0 puts 0 bytes where 5 were to come": lambda line: line(0).put(iter([head().model_dump_json().encode()])),
    "node-0 puts two letters in one place": lambda line: put(line(0), head(letters=[(0, 1, 5), (0, 1, 5)])),
    "node-0 writes to node-1 at position 7, and is at 0": lambda line: put(line(0), head(letters=[(7, 1, 5)])),
    "node-0 writes to node-1 at position 0, and is at 64": lambda line: put(line(0), head(position=BEHIND)),
    "node-0 puts what is nothing": lambda line: line(0).put(iter([b'{"run": "run-a"}'])),
    "node-2 asks for what node-0 sends, which is no neighbour of it": lambda line: line(2).fetch(
        question("run-a", 0, 0)
    ),
    "node-2 asks as node-0": lambda line: line(2).fetched(question("run-a", 0, 0)),
    "node-2 asks nothing": lambda line: line(2).fetched(b"?"),
    "node-0 greets as node-1": lambda line: line(0).greet(hello(1)),
    "node-0 greets node-2, which is no neighbour of it": lambda line: line(0).greet(hello(0, greetings=[(2, "00")])),
    "node-0 greets with what is nothing": lambda line: line(0).greet(b"{}"),
    "node-7 is no neighbour": lambda line: put(line(7, AUTHORITY.issue("node-7")), head()),
}


@pytest.mark.parametrize("why", MISDEEDS)
def test_what_a_node_may_not_do_is_refused_by_name(why, serve, line, capsys):
    serve()
    put(line(0), head(letters=[]))
    with pytest.raises(grpc.RpcError) as refused:
        MISDEEDS[why](line)
    assert why in refused.value.details()
    assert f"is turned away: {why}" in capsys.readouterr().out


def test_what_is_for_another_is_given_to_nobody_else(serve, line):
    """Node 3 is a neighbour of node 0, too."""
    serve()
    put(line(0), head())
    assert Found.decode(line(3).fetch(question("run-a", 0, 0), timeout=5)) == Found(Answer.GONE, 0)
    assert Found.decode(line(1).fetch(question("run-a", 0, 0), timeout=5)) == Found(Answer.MESSAGE, 0, b"12345")


def test_with_a_certificate_of_another_authority_nobody_is_answered(serve, line):
    serve()
    theirs = Authority("another").issue("node-0")
    stranger = line(0, Identity(AUTHORITY.certificate, theirs.certificate, theirs.key))
    with pytest.raises(grpc.RpcError) as refused:
        stranger.fetch(question("run-a", 1, 0), timeout=5)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.slow
def test_a_node_that_poses_as_the_mailbox_is_not_talked_to(opened, join, address):
    opened(Mailbox(IDENTITIES[3], address, LINKS, LARGEST, ONCE))
    first = join(0, Patience(start=0.5, round=0.5, tolerant=True), greeted=False)
    first.ask(0, [1, 3], soon())()
    assert first.broken_off


def test_who_is_not_let_in_says_so_in_its_own_run(serve, join, capsys):
    serve()
    first = join(0)
    first.outbox.add(0, {0: {1: bytes(5000)}})
    join(1).outbox.publish(0, [message(1, 0, 0)])
    until(lambda: "node-0 writes to node-1 5,000 bytes" in capsys.readouterr().out)
    with pytest.raises(RunError, match=r"mailbox at .* does not take what node 0 sends: 'node-0 writes to node-1"):
        first.ask(0, [1], soon())()


def test_what_nobody_fetches_is_kept_as_long_as_there_is_room(serve, line, monkeypatch):
    monkeypatch.setattr(module, "ROOM", 5 * 2 * (LARGEST + OVERHEAD))
    serve()
    sender, receiver = line(0), line(1)
    for position in range(10):
        assert put(sender, head(letters=[(position, 1, 5)], position=position)).known
    found = [Found.decode(receiver.fetch(question("run-a", 0, at), timeout=5)).answer for at in range(10)]
    assert found == [Answer.GONE] * 5 + [Answer.MESSAGE] * 5


def test_its_process_imports_nothing_heavy():
    code = "import sys, simulator.deployment.mailbox_process; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_address_in_use_is_refused(serve):
    serve()
    with pytest.raises(InputError, match=r"cannot listen at .* in use(.|\n)*mailbox.yaml"):
        serve()


def test_heard_nothing_is_nothing(serve, join):
    """Of a neighbour all of whose messages are optional, none is missed."""
    serve()
    first, second = join(0), join(1)
    second.outbox.publish(0, [])
    first._expected = Expected(ROUNDS, {1: LARGEST}, lambda message: None, needed=lambda sender, position: False)
    assert first.ask(0, [1], soon())() == Heard()


@pytest.mark.slow
def test_for_one_whose_key_is_not_known_nothing_is_sealed_until_it_comes(serve, join):
    """Node 3 comes late: nobody waits for it again, and it is heard of by its key."""
    serve()
    brief = Patience(start=0.5, round=0.5, tolerant=True)
    first = join(0, brief, greeted=False)
    first.outbox.publish(0, [message(0, 1, 0), message(0, 3, 0)])
    assert first.outbox.held().letters == {0: {}}
    assert heard(first, 0, [1, 3]) == ([], [1, 3])
    last = join(3, brief, greeted=False)
    positions = iter(range(1, 200))

    def understand_each_other():
        position = next(positions)
        first.outbox.publish(position, [message(0, 3, position)])
        last.outbox.publish(position, [message(3, 0, position)])
        return heard(first, position, [3]) == ([3], []) and heard(last, position, [0]) == ([0], [])

    until(understand_each_other)


def test_one_that_has_lost_its_disk_has_another_key_and_is_understood(serve, join, monkeypatch):
    serve()
    first, second = join(0), join(1)
    second.outbox.publish(0, [message(1, 0, 0)])
    assert heard(first, 0, [1]) == ([1], [])
    second.close()
    monkeypatch.setitem(OF_THE_RUN, 1, sealing_key())
    again = join(1)
    again.outbox.publish(1, [message(1, 0, 1)])
    assert heard(first, 1, [1]) == ([1], [])
