"""The plane p2p without Flower: nodes as threads, over real connections with certificates."""

import socket
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import grpc
import pytest
import torch
from reference.deployment import free_addresses

from simulator.core.errors import InputError, RunError
from simulator.core.message import Message
from simulator.deployment.addresses import NOWHERE
from simulator.deployment.keys.authority import Authority
from simulator.deployment.transport import door, neighbour
from simulator.deployment.transport.box import BEHIND, Answer, Found, question
from simulator.deployment.transport.certificates import Identity, key_digest
from simulator.deployment.transport.door import FETCH, SERVICE
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.heard import Heard
from simulator.deployment.transport.inspection import refusal
from simulator.deployment.transport.line import Line
from simulator.deployment.transport.neighbour import Patience
from simulator.deployment.transport.outbox import Outbox
from simulator.deployment.transport.parcel import Head, parcel
from simulator.deployment.transport.planes import p2p
from simulator.deployment.transport.positions import Positions

AUTHORITY = Authority("test")
IDENTITIES = {node: AUTHORITY.issue(f"node-{node}") for node in range(3)}
ROUNDS, LARGEST = 1000, 10_000
PATIENT = Patience(start=60.0, round=60.0, tolerant=True)  # where nobody is silent, however busy the machine is
SHORT = Patience(start=60.0, round=1.0, tolerant=True)


def message(sender, receiver, position):
    """Of a run with one exchange a round."""
    parts = {"parameters": torch.tensor([sender, receiver, position], dtype=torch.float64)}
    return Message(sender, receiver, position + 1, parts)


def encoded(messages):
    """What lets everything go."""
    return {message.receiver: message.encode() for message in messages}


def refuse_nan(message):
    if message.parts["parameters"].isnan().any():
        raise refusal(message.sender, message.round, "holds NaN")


def within(seconds):
    return time.monotonic() + seconds


def soon():
    """The deadline of a phase that no test waits for."""
    return within(120)


@pytest.fixture
def open_node():
    """``open_node(node, addresses)``: its connections, closed at the end."""
    opened = []

    def node(number, addresses, identity=None, patience=PATIENT, round=0, run="run-a", pins=None, away=()):
        others = {other: address for other, address in addresses.items() if other != number}
        known = identity or IDENTITIES[number]
        expected = Expected(ROUNDS, dict.fromkeys(others, LARGEST), refuse_nan)
        outbox, listen = Outbox(round, encoded), addresses[number]
        opened.append(p2p(number, run, outbox, listen, others, known, patience, expected, pins, away))
        return opened[-1]

    yield node
    for each in opened:
        each.close()


@pytest.fixture
def two():
    return dict(enumerate(free_addresses(2)))


def test_messages_arrive_as_they_were_sent(open_node, two):
    first, second = open_node(0, two), open_node(1, two)
    second.outbox.publish(0, [message(1, 0, 0)])
    second.outbox.publish(1, [message(1, 0, 1)])
    for round in (0, 1):
        heard = first.ask(round, [1], soon())()
        assert torch.equal(heard.messages[0].parts["parameters"], message(1, 0, round).parts["parameters"])
        assert heard.lost == []


def test_one_who_has_gone_on_without_a_node_says_so(open_node, two, capsys):
    first, second = open_node(0, two), open_node(1, two)
    for round in range(6):
        second.outbox.publish(round, [message(1, 0, round)])
    assert first.ask(1, [1], soon())().lost == []  # it is only late
    second.outbox.go_on_without(0)
    began = time.monotonic()
    heard = first.ask(2, [1], soon())()
    assert (heard.lost, heard.furthest) == ([1], 5)
    assert time.monotonic() - began < PATIENT.round / 2
    first.ask(3, [1], soon())()
    assert capsys.readouterr().out.count("goes on without this node") == 1


@pytest.mark.slow
def test_a_silent_neighbour_costs_one_timeout_and_is_heard_again(open_node, two, capsys):
    first, second = open_node(0, two, patience=SHORT), open_node(1, two)
    second.outbox.publish(0, [message(1, 0, 0)])
    first.ask(0, [1], soon())()
    second.close()
    taken = []
    for round in range(1, 6):
        began = time.monotonic()
        assert first.ask(round, [1], soon())().lost == [1]
        taken.append(time.monotonic() - began)
    assert taken[0] > 0.8  # the timeout of a round
    assert sum(taken[1:]) < 3 * SHORT.round  # nobody listens there, which is seen at once: else it would be four
    back = open_node(1, two, round=6)
    back.outbox.publish(6, [message(1, 0, 6)])
    deadline = soon()
    while first.ask(6, [1], deadline)().lost:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    said = capsys.readouterr().out
    assert said.count("is silent") == 1
    assert "node 1 is heard again" in said


@pytest.mark.slow
def test_a_neighbour_that_waits_for_a_silent_one_is_not_taken_for_one(open_node, two):
    """It lives, says so, and has its message a moment after the silent one has cost it one timeout."""
    patience = Patience(start=60.0, round=2.0, tolerant=True)
    first, second = open_node(0, two, patience=patience), open_node(1, two)
    second.outbox.publish(0, [message(1, 0, 0)])
    first.ask(0, [1], soon())()
    late = threading.Timer(1.2 * patience.round, second.outbox.publish, [1, [message(1, 0, 1)]])
    late.start()
    assert first.ask(1, [1], soon())().lost == []
    began = time.monotonic()
    assert first.ask(2, [1], soon())().lost == [1]  # it lives, but not for ever
    assert time.monotonic() - began < 10 * patience.round
    late.join()


@pytest.mark.slow
def test_a_suspected_neighbour_that_is_back_is_given_the_time_to_train(open_node, two, monkeypatch):
    """Else nodes that train for longer than an answer takes would never hear each other again."""
    monkeypatch.setattr(neighbour, "PROBE", 0.6)
    patience = Patience(start=60.0, round=2.0, tolerant=True)
    first, second = open_node(0, two, patience=patience), open_node(1, two)
    second.outbox.publish(0, [message(1, 0, 0)])
    assert [first.ask(round, [1], soon())().lost for round in (0, 1)] == [[], [1]]
    began = time.monotonic()
    for _ in range(10):
        assert first.ask(9, [1], soon())().lost == [1]  # it is far behind
        time.sleep(0.1)
    assert time.monotonic() - began < 5 * patience.round  # waited for, each of the ten would take one
    second.outbox.publish(9, [])
    late = threading.Timer(0.8 * patience.round, second.outbox.publish, [11, [message(1, 0, 11)]])
    late.start()
    began, fruitless = time.monotonic(), 0
    while first.ask(11, [1], soon())().lost:
        fruitless += 1
        time.sleep(0.2)
    assert fruitless < 6  # then it was waited for
    assert time.monotonic() - began < 10 * patience.round
    late.join()


@pytest.mark.parametrize("tolerant", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_whom_nobody_answers_breaks_off(tolerant, open_node):
    """And so does who needs every message, where one is silent; who hears somebody else goes on without it."""
    addresses = dict(enumerate(free_addresses(3)))
    first = open_node(0, addresses, patience=Patience(0.5, 0.5, tolerant))
    second = open_node(1, addresses)
    second.outbox.publish(3, [message(1, 0, 3)])
    heard = first.ask(3, [1, 2], soon())()
    assert ([found.sender for found in heard.messages], heard.lost) == ([1], [2])
    assert first.broken_off == (not tolerant)
    second.close()
    first.ask(4, [1, 2], soon())()
    assert first.broken_off


def test_one_who_is_alone_because_all_others_are_away_goes_on(open_node, two):
    first = open_node(0, two, patience=Patience(0.3, 0.3, tolerant=True), away=[1])
    assert first.ask(0, [1], soon())().lost == [1]
    assert not first.broken_off


def silent_address():
    """Where connections are taken and nothing is ever said, as of a host that is not there: no refusal."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening, f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_dead_host_costs_one_timeout_and_then_nothing(open_node, two):
    held, two[1] = silent_address()
    first = open_node(0, two, patience=Patience(0.5, 0.5, tolerant=True))
    with held:
        first.ask(0, [1], soon())()
        began = time.monotonic()
        for round in range(1, 201):
            assert first.ask(round, [1], soon())().lost == [1]
        assert time.monotonic() - began < 20 * neighbour.PROBE  # for all of them: for each it would be 200


@pytest.mark.slow
def test_one_that_is_said_to_be_away_is_not_waited_for_and_heard_when_it_comes(open_node, two, capsys):
    first = open_node(0, two, patience=PATIENT, away=[1])
    began = time.monotonic()
    for round in range(3):
        assert first.ask(round, [1], soon())().lost == [1]
    assert time.monotonic() - began < PATIENT.round  # for each it would be three
    open_node(1, two).outbox.publish(3, [message(1, 0, 3)])
    deadline = soon()
    while first.ask(3, [1], deadline)().lost:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "node 1 is heard again" in capsys.readouterr().out


@pytest.mark.slow
def test_one_that_stalls_on_purpose_is_left_behind_after_four_timeouts(open_node, two):
    """It says that it lives and is all but ready, round after round, and never sends anything."""
    patience = Patience(start=0.4, round=0.4, tolerant=True)
    first, second = open_node(0, two, patience=patience), open_node(1, two)
    second.outbox.take = lambda receiver, position, seconds: Found(Answer.NOT_YET, position - 1)
    began = time.monotonic()
    for round in range(60):
        assert first.ask(round, [1], soon())().lost == [1]
        time.sleep(0.02)  # while it trains, the stalling one is asked again
    assert time.monotonic() - began < 60 * 0.02 + 40 * patience.round  # after all 60 it would be more than 60


def test_who_comes_back_learns_how_far_the_others_are_before_it_says_anything(open_node):
    """Who is only ahead, as where links change, and has its message, has not gone on without it."""
    addresses = dict(enumerate(free_addresses(3)))
    first, second, third = (open_node(node, addresses) for node in range(3))
    for node in (second, third):
        node.outbox.go_on_without(0)
        for position in range(3, 8 if node is second else 10):
            node.outbox.publish(position, [message(1 if node is second else 2, 0, position)])
    assert first.gone_on(3, [1, 2]) == 7  # rounds that are over for both
    assert first.outbox.take(1, 3, 0.0).answer == Answer.NOT_YET
    third.outbox.welcome(0)
    assert first.gone_on(8, [2]) == 0  # it has that message still
    assert first.gone_on(9, [1, 2]) == 0  # they are not there yet


def test_the_deadline_of_a_phase_is_no_silence(open_node, two):
    assert open_node(0, two).ask(0, [1], within(0.2))() is None


def test_only_neighbours_are_let_in(open_node):
    """Node 2 has a certificate of the same authority, and knows where node 1 listens."""
    addresses = dict(enumerate(free_addresses(3)))
    open_node(1, {node: addresses[node] for node in (0, 1)}).outbox.publish(0, [message(1, 0, 0)])
    stranger = open_node(2, {node: addresses[node] for node in (1, 2)})
    with pytest.raises(RunError, match="node-2 is no neighbour"):
        stranger.ask(0, [1], soon())()


def test_a_neighbour_in_another_run_is_not_heard(open_node, two):
    """Two runs of one deployment at once: the same nodes, the same certificates, other models."""
    first, second = open_node(0, two), open_node(1, two, run="run-b")
    second.outbox.publish(0, [message(1, 0, 0)])
    with pytest.raises(RunError, match=r"node-1 at .* refuses this node: 'it takes part in run run-b'"):
        first.ask(0, [1], soon())()


@pytest.mark.parametrize(
    "identity",
    [
        pytest.param(AUTHORITY.issue("node-1", valid=timedelta(days=-1)), id="expired", marks=pytest.mark.slow),
        pytest.param(Authority("another").issue("node-1"), id="of another authority", marks=pytest.mark.slow),
        pytest.param(AUTHORITY.issue("node-2"), id="of another node"),
    ],
)
def test_a_neighbour_with_a_wrong_certificate_is_not_heard(identity, open_node, two):
    first, false = open_node(0, two, patience=Patience(0.6, 0.6, tolerant=True)), open_node(1, two, identity)
    false.outbox.publish(0, [message(1, 0, 0)])
    assert first.ask(0, [1], soon())().lost == [1]


def test_without_a_certificate_nobody_is_answered(open_node, two):
    open_node(1, two).outbox.publish(0, [message(1, 0, 0)])
    options = [("grpc.ssl_target_name_override", "node-1")]
    channel = grpc.secure_channel(two[1], grpc.ssl_channel_credentials(AUTHORITY.certificate), options)
    with channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(f"/{SERVICE}/{FETCH}")(question("run-a", 1, 0), timeout=60)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_the_owner_of_a_wrong_certificate_is_told(tmp_path):
    for name, identity in {
        r"expired on": AUTHORITY.issue("node-0", valid=timedelta(days=-1)),
        r"of node-1, not of node-0": IDENTITIES[1],
        r"not issued by ca.crt": Identity(AUTHORITY.certificate, Authority("x").issue("node-0").certificate, b""),
    }.items():
        with pytest.raises(InputError, match=name):
            identity.check("node-0")
    with pytest.raises(InputError, match=r"node.crt|ca.crt"):
        Identity.read(tmp_path)


def test_an_address_in_use_is_refused(open_node, two):
    open_node(0, two)
    with pytest.raises(InputError, match=r"cannot listen at .* in use"):
        open_node(0, two)


class Says:
    """Stands for an answer; these bytes travel."""

    def __init__(self, data):
        self._data = data

    def encode(self):
        return self._data


BAD = {
    "of another round": (
        Found(Answer.MESSAGE, 0, message(1, 0, 7).encode()).encode(),
        "of node 1 to node 0 in round 8",
    ),
    "of another sender": (Found(Answer.MESSAGE, 0, message(2, 0, 0).encode()).encode(), "of node 2 to node 0"),
    "another exchange": (
        Found(Answer.MESSAGE, 0, replace(message(1, 0, 0), exchange=2).encode()).encode(),
        "of node 1 to node 0 in round 1, exchange 2",
    ),
    "no message": (Found(Answer.MESSAGE, 0, b"garbage").encode(), "something else than a message"),
    "NaN": (
        Found(Answer.MESSAGE, 0, Message(1, 0, 1, {"parameters": torch.tensor([torch.nan])}).encode()).encode(),
        "holds NaN",
    ),
    "too long": (Found(Answer.MESSAGE, 0, bytes(2 * LARGEST)).encode(), "RESOURCE_EXHAUSTED"),
    "nothing": (b"", "0 bytes"),
    "no answer": (b"\x07" + bytes(8), "7 is not a valid Answer"),
    "gone, far away": (Found(Answer.GONE, 2**62).encode(), "claims to be in round 4611686018427387905"),
    "gone, far behind": (Found(Answer.GONE, -9).encode(), "claims to be in round -8"),
    "gone, before it was there": (Found(Answer.GONE, -1).encode(), "claims to be in round 0"),
    "not yet, and far ahead": (Found(Answer.NOT_YET, 900).encode(), "claims to be in round 901"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_refused_by_name_and_the_round_goes_on(case, open_node, two, capsys):
    said, why = BAD[case]
    first, second = open_node(0, two), open_node(1, two)
    second.outbox.take = lambda *asked: Says(said)
    heard = first.ask(0, [1], soon())()
    assert (heard.messages, heard.lost, heard.refused, heard.furthest) == ([], [1], [1], 0)
    out = capsys.readouterr().out
    assert "the message of node 1 in round 1 is refused" in out
    assert why in out


def test_where_every_message_is_needed_a_refused_one_is_an_error(open_node, two):
    first, second = open_node(0, two, patience=Patience(60, 60, tolerant=False)), open_node(1, two)
    second.outbox.take = lambda *asked: Says(b"garbage")
    with pytest.raises(RunError, match=r"message of node 1 in round 1 is refused.* need every message"):
        first.ask(0, [1], soon())()


def test_one_neighbours_word_silences_nobody_whom_another_one_still_answers(open_node):
    addresses = dict(enumerate(free_addresses(3)))
    first, second, third = (open_node(node, addresses) for node in range(3))
    second.outbox.take = lambda *asked: Found(Answer.GONE, ROUNDS - 1)
    third.outbox.publish(0, [message(2, 0, 0)])
    assert first.ask(0, [1, 2], soon())().furthest == 0
    assert first.ask(0, [1], soon())().furthest == BEHIND  # at a time
    third.outbox.take = lambda *asked: Found(Answer.GONE, 5)
    assert first.ask(0, [1, 2], soon())().furthest == 5


def test_one_of_several_that_turns_a_node_away_is_gone_on_without(open_node, capsys):
    addresses = dict(enumerate(free_addresses(3)))
    first, _, third = open_node(0, addresses), open_node(1, addresses, run="run-b"), open_node(2, addresses)
    third.outbox.publish(0, [message(2, 0, 0)])
    heard = first.ask(0, [1, 2], soon())()
    assert (heard.lost, heard.refused, len(heard.messages)) == ([1], [1], 1)
    assert "node-1 at" in capsys.readouterr().out


def streams_that_ask_nothing(address, identity, count):
    """Open at the server of node 1, and held open until the channel is closed."""
    credentials = grpc.ssl_channel_credentials(AUTHORITY.certificate, identity.key, identity.certificate)
    channel = grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", "node-1")])
    hold = threading.Event()

    def nothing():
        hold.wait(20)
        yield from ()

    calls = [channel.stream_unary(f"/{SERVICE}/{FETCH}").future(nothing(), timeout=20) for _ in range(count)]
    return channel, hold, calls


@pytest.mark.parametrize(
    "node", [pytest.param(2, id="of a stranger"), pytest.param(0, id="of another neighbour", marks=pytest.mark.slow)]
)
def test_streams_that_ask_nothing_stall_nobody_and_are_named(node, open_node, capsys):
    """With a certificate of the deployment, more streams than the server has threads."""
    addresses = dict(enumerate(free_addresses(4)))
    identity = IDENTITIES[node] if node else IDENTITIES[0]
    near = {other: addresses[other] for other in (0, 1, 3)}
    brief = Patience(start=10.0, round=10.0, tolerant=True)  # as against the 20 s for which those streams stay open
    third = open_node(3, near, identity=AUTHORITY.issue("node-3"), patience=brief)
    second = open_node(1, near)
    channel, hold, calls = streams_that_ask_nothing(addresses[1], identity, 30)
    time.sleep(0.5)
    for round in range(5):
        second.outbox.publish(round, [message(1, 3, round)])
        assert third.ask(round, [1], soon())().lost == []
    hold.set()
    channel.close()
    second.close()
    said = capsys.readouterr().out
    assert f"a question of node-{node} is turned away: node-{node} {'is no neighbour' if node else 'asks'}" in said
    assert f"questions of node-{node} that were turned away:" in said
    assert len(calls) == 30


def test_a_question_that_is_announced_and_not_put_ends(open_node, two, monkeypatch):
    monkeypatch.setattr(door, "ASKING", 0.3)
    open_node(1, two)
    channel, hold, (call,) = streams_that_ask_nothing(two[1], IDENTITIES[0], 1)
    with channel, pytest.raises((grpc.RpcError, grpc.FutureCancelledError)):
        call.result(15)  # sooner than it ends by itself
    hold.set()


@pytest.mark.parametrize("asked", [b"", b"x", question("run-a", 1, 0) + b"x", bytes(10**6)], ids=len)
def test_what_is_no_question_is_turned_away(asked, open_node, two):
    open_node(1, two)
    first = open_node(0, two)
    with pytest.raises(grpc.RpcError) as refused:
        first._ways[1]._line.fetch(asked, timeout=60)
    assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_one_who_cannot_be_reached_puts_what_it_sends_at_its_neighbours_and_again_where_that_is_lost(open_node, two):
    two[1] = NOWHERE
    first, second = open_node(0, two), open_node(1, two)
    first.outbox.publish(0, [message(0, 1, 0)])
    second.outbox.publish(0, [message(1, 0, 0)])
    assert [len(each.ask(0, [1 - node], soon())().messages) for node, each in enumerate((first, second))] == [1, 1]
    second.linger(soon())
    first.close()
    again = open_node(0, two, round=1)
    second.outbox.publish(1, [message(1, 0, 1)])
    assert [len(again.ask(at, [1], soon())().messages) for at in (0, 1)] == [1, 1]


def test_one_who_can_be_reached_puts_nothing_elsewhere(open_node):
    """Node 2 can be reached, node 1 cannot; nobody puts as another."""
    addresses = dict(enumerate(free_addresses(3)))
    addresses[1] = NOWHERE
    open_node(0, addresses)
    head = {"run": "run-a", "position": 0, "whole": True, "given_up": [], "letters": [(0, 0, 1)], "fetched": []}
    for sender, asker, why in ((2, 2, "node-2 writes to node-0, which fetches nothing"), (1, 2, "puts as node-1")):
        with (
            closing(Line("node-0", addresses[0], IDENTITIES[asker], LARGEST)) as line,
            pytest.raises(grpc.RpcError, match=why),
        ):
            line.put(parcel(Head(sender=sender, **head), {0: {0: b"x"}}), timeout=30)


def test_an_outbox_waits_forgets_and_knows_who_has_fetched():
    outbox = Outbox(3, encoded)
    assert outbox.take(1, 3, 0.0) == Found(Answer.NOT_YET, 2)
    assert outbox.take(1, 2, 0.0) == Found(Answer.GONE, 2)
    outbox.publish(3, [message(0, 1, 3)])
    outbox.publish(4, [message(0, 1, 4)])
    began = time.monotonic()
    outbox.wait_until_fetched(0.2)
    assert time.monotonic() - began >= 0.2
    assert [outbox.take(1, round, 0.0).answer for round in (3, 4)] == [Answer.MESSAGE] * 2
    outbox.wait_until_fetched(60)
    assert outbox.take(2, 4, 0.0).answer == Answer.GONE  # nothing for this one
    outbox.publish(5, [message(0, 1, 5)])
    assert outbox.take(1, 3, 0.0).answer == Answer.GONE  # it has been fetched, and is too old to be asked for again
    outbox.go_on_without(1)
    outbox.wait_until_fetched(60)


def test_an_outbox_keeps_all_exchanges_of_a_round_that_a_neighbour_may_begin_anew():
    positions = Positions(exchanges=3)

    def at(position):
        round, exchange = positions.split(position)
        return replace(message(0, 1, 0), round=round, exchange=exchange)

    outbox = Outbox(6, encoded, [at(3), at(5)], positions)
    answers = [outbox.take(1, position, 0.0).answer for position in (3, 4, 5)]
    assert answers == [Answer.MESSAGE, Answer.GONE, Answer.MESSAGE]
    for position in range(6, 12):
        outbox.publish(position, [at(position)])
        assert outbox.take(1, position, 0.0).answer == Answer.MESSAGE
        begins = 3 if position < 9 else 6  # the round before
        assert outbox.take(1, begins, 0.0).answer == Answer.MESSAGE
        assert outbox.take(1, begins - 1, 0.0).answer == Answer.GONE


@pytest.mark.slow
def test_who_has_nothing_to_say_is_not_missed_where_all_of_it_is_optional(open_node, two):
    first, second = open_node(0, two, patience=SHORT), open_node(1, two)
    second.outbox.publish(0, [])
    assert first.ask(0, [1], soon())().lost == [1]
    first._expected = replace(first._expected, needed=lambda sender, position: False)
    assert first.ask(0, [1], soon())() == Heard()
    second.close()
    assert first.ask(1, [1], soon())().lost == [1]  # but silence is another thing


def test_an_outbox_keeps_what_has_not_been_fetched_for_a_while():
    outbox = Outbox(0, encoded)
    for round in range(BEHIND + 3):
        outbox.publish(round, [message(0, 1, round)])
    assert outbox.take(1, 2, 0.0).answer == Answer.GONE
    assert outbox.take(1, 3, 0.0).answer == Answer.MESSAGE
    assert Found.decode(Found(Answer.MESSAGE, 9, b"abc").encode()) == Found(Answer.MESSAGE, 9, b"abc")


def test_of_an_error_at_a_node_neighbours_learn_nothing_but_that_it_was(open_node, two, capsys):
    first, second = open_node(0, two), open_node(1, two)

    def fails(*asked):
        raise ValueError("patient 4711")

    second.outbox.take = fails
    assert first.ask(0, [1], soon())().refused == [1]
    said = capsys.readouterr()
    assert "INTERNAL: 'an error at the one who was asked'" in said.out
    assert "4711" not in said.out
    assert "patient 4711" in said.err  # of the node itself


def test_a_certificate_of_the_right_name_with_another_key_gets_nothing_where_keys_are_pinned(open_node, two, capsys):
    """The deployment's authority may issue another one; the site has pinned the first."""
    pins = {0: [key_digest(IDENTITIES[0].certificate)]}
    second = open_node(1, two, pins=pins)
    second.outbox.publish(0, [message(1, 0, 0)])
    first = open_node(0, two)
    assert first.ask(0, [1], soon())().lost == []
    first.close()
    identity = AUTHORITY.issue("node-0")
    another = open_node(0, two, identity=identity)
    with pytest.raises(RunError, match="the key of node-0's certificate is not pinned"):
        another.ask(0, [1], soon())()
    assert f"policy: {key_digest(identity.certificate)}" in capsys.readouterr().out
