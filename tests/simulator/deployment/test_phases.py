"""The ServerApp's orders to nodes that follow them, are lost, come back, or come late."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from simulator.deployment import messenger as flower
from simulator.deployment import phases
from simulator.deployment.members import Member
from simulator.deployment.messenger import Answered, Messenger
from simulator.deployment.phases import Phases
from simulator.deployment.run_manifest import RunManifest

MANIFEST = RunManifest("run", "print", "1.0", "p2p", 3, "0>1 1>0", 10, 1, 5, 1.0, 0.5, 0.3, quorum=3, absences="borne")


class Nodes:
    """A `Messenger` to nodes that do what ``scripts`` say, an order after the other: then they follow all others.

    A step is the round that is reached, a whole reply, or text: why the message is lost. None is never answered.
    """

    def __init__(self, **scripts):
        self.numbers = {}
        self._scripts = {int(name.removeprefix("node")): list(script) for name, script in scripts.items()}
        self._ready, self.busy, self.orders = [], set(), []

    @property
    def nodes(self):
        return sorted(self.numbers)

    def send(self, node, kind, orders, seconds):
        self.orders.append((node, orders))
        script = self._scripts.get(node, [])
        step = script.pop(0) if script else orders["until"]
        if step is None:
            self.busy.add(node)
        elif isinstance(step, str):
            self._ready.append(Answered(node, None, step))
        else:
            reply = step if isinstance(step, dict) else {"round": step, "away": 0, "heard": 1}
            self._ready.append(Answered(node, reply))
        return True

    def answers(self):
        ready, self._ready = self._ready, []
        return ready

    def pause(self):
        time.sleep(flower.POLL)

    def to(self, node, of="until"):
        """Of all orders to ``node``, one value each."""
        return [orders[of] for receiver, orders in self.orders if receiver == node]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(flower, "POLL", 0.001)
    monkeypatch.setattr(flower, "GRACE", 0.1)
    monkeypatch.setattr(phases, "RETRY", 0.02)


def passed(nodes, manifest=MANIFEST, begun=(0, 0, 0)):
    """``nodes``, after a run of those that have ``begun``; the others have not joined."""
    found = {node: Member(node + 50, rounds) for node, rounds in enumerate(begun)}
    nodes.numbers = {node: member.number for node, member in found.items()}
    members = SimpleNamespace(found=found, look=lambda: None)
    Phases(members, nodes, manifest).run()
    return nodes


def test_phases_end_at_the_same_rounds_wherever_they_begin():
    nodes = passed(Nodes(node1=[4]), begun=(3, 3, 3))
    assert (nodes.to(0), nodes.to(1)) == ([5, 10], [5, 5, 10])  # node 1 has broken its first phase off


def test_orders_say_for_how_long_and_not_until_what_time():
    assert set(passed(Nodes()).to(0, "seconds")) == {MANIFEST.phase_timeout}


def test_the_others_go_on_without_one_that_is_lost_and_it_is_taken_in_again(capsys):
    back = {"round": 10, "away": 6, "heard": 1}
    nodes = passed(Nodes(node2=[2, "Node Unavailable", back]))
    assert nodes.to(0) == [5, 10]
    assert nodes.to(0, "away") == ["", "2"]
    assert (nodes.to(2)[-1], nodes.to(2, "over")[-1]) == (10, 10)  # what is over for all others it sits out
    said = capsys.readouterr().out
    assert "node 2 is away: Node Unavailable; the others go on without it" in said
    assert "all nodes but 2 have finished 5 of 10 rounds" in said
    assert "node 2 is back, and has finished 10 rounds" in said
    assert "node 2 took part in 4 of 10 rounds\n" in said


def test_one_that_is_back_is_waited_for_at_the_end_of_the_phase_and_need_not_go_through_it_alone():
    """Its orders name what all others have finished, and not how far it is itself."""
    nodes = passed(Nodes(node2=[2]), begun=(3, 3, 0))
    assert (nodes.to(0), nodes.to(2)) == ([5, 10], [5, 5, 10])
    assert nodes.to(2, "over") == [3, 5, 5]


def test_one_that_is_cut_off_from_its_neighbours_is_not_waited_for(capsys):
    alone = {"round": 3, "away": 0, "heard": 0}
    passed(Nodes(node2=[alone]))
    assert "node 2 is away: it does not hear its neighbours" in capsys.readouterr().out


def test_when_the_run_is_over_those_away_are_told_so_and_then_named(capsys):
    rest = {"round": 10, "away": 7, "heard": 1}
    gone = {"round": 3, "away": 0, "heard": 0}
    nodes = passed(Nodes(node2=[gone, *["Node Unavailable"] * 3, rest]), replace(MANIFEST, join_timeout=30.0))
    assert nodes.to(2, "over")[-1] == 10
    assert "node 2 took part in 3 of 10 rounds\n" in capsys.readouterr().out
    passed(Nodes(node2=[3, *["Node Unavailable"] * 99]))
    assert "node 2 took part in 3 of 10 rounds; it was last seen after round 3" in capsys.readouterr().out


def test_one_that_comes_late_is_given_orders(capsys):
    nodes, late = Nodes(node2=[{"round": 10, "away": 5, "heard": 1}]), Member(52, 0)
    found = {0: Member(50, 0), 1: Member(51, 0)}
    members = SimpleNamespace(found=found, look=lambda: found.update({2: late} if nodes.to(0) == [5, 10] else {}))
    nodes.numbers = {0: 50, 1: 51}
    Phases(members, nodes, MANIFEST).run()
    assert nodes.to(0, "away") == ["2", "2"]
    assert "node 2 took part in 5 of 10 rounds" in capsys.readouterr().out


def test_all_wait_for_one_that_is_lost_where_parts_need_every_message(capsys):
    waits = {"round": 2, "away": 0, "heard": 0}
    nodes = passed(Nodes(node0=[waits], node2=["Node Unavailable"]), replace(MANIFEST, absences="waited out"))
    assert nodes.to(0) == [5, 5, 10]
    assert {*nodes.to(0, "over"), *nodes.to(2, "over")} == {0}
    assert "node 2 is away: Node Unavailable; all wait for it" in capsys.readouterr().out
    assert {*nodes.to(0, "away"), *nodes.to(1, "away")} == {""}  # else they would not wait for each other, either


def test_after_an_outage_for_all_they_begin_together_and_none_goes_on_alone():
    cut_off = {"round": 2, "away": 0, "heard": 0}
    nodes = passed(Nodes(node0=[cut_off], node1=[cut_off], node2=["Node Unavailable"]))
    assert nodes.to(0, "away")[1] == "2"
    assert nodes.to(1, "away")[1] == "2"
    nodes = passed(Nodes(node0=[cut_off]))
    assert nodes.to(1, "away")[-1] == "0"  # while others are there, they go on


@pytest.mark.slow
def test_nobody_waits_for_ever():
    lost = ["Node Unavailable"] * 99
    with pytest.raises(RuntimeError, match=r"nobody has got on for 1 s; what does not come is that of nodes 2"):
        passed(Nodes(node2=lost), replace(MANIFEST, absences="waited out"))
    with pytest.raises(RuntimeError, match=r"what does not come is that of nodes 0, 1, 2"):
        passed(Nodes(node0=lost, node1=lost, node2=lost))


def test_one_that_never_answers_is_left_behind(capsys):
    nodes = Nodes(node2=[None])
    found = {node: Member(node + 50, 0) for node in range(3)}
    nodes.numbers = {node: 50 + node for node in range(3)}
    run = Phases(SimpleNamespace(found=found, look=lambda: None), nodes, MANIFEST)
    run._pass(5, lambda: run._reached() >= 5)
    assert "node 2 is away: no answer for 1 s" in capsys.readouterr().out


def test_a_phase_in_which_a_node_has_finished_no_round_ends_the_run():
    with pytest.raises(RuntimeError, match=r"node 1: no round was finished within 0.5 s: raise backend.phase_timeout"):
        passed(Nodes(node1=[3]), begun=(3, 3, 3))


@pytest.mark.parametrize("reached", [None, "5", 5.0, -1, 11, 2**62, True], ids=str)
@pytest.mark.parametrize("what", ["round", "away", "heard"])
def test_a_node_cannot_have_reached_what_is_no_round(what, reached):
    with pytest.raises(RuntimeError, match="node 1: its reply has"):
        passed(Nodes(node1=[{"round": 5, "away": 0, "heard": 1} | {what: reached}]))


def test_the_longer_nothing_has_come_the_less_often_it_is_looked_and_never_seldom(monkeypatch):
    """Ten looks a second of a phase that takes minutes were a tenth of a core's time at the SuperLink."""
    now, paused = [0.0], []
    monkeypatch.setattr(flower, "POLL", 0.1)
    monkeypatch.setattr(flower.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(flower.time, "sleep", paused.append)
    lost = SimpleNamespace(code=3, reason="Node Unavailable")
    reply = SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id="1"), has_error=lambda: True, error=lost)
    messenger = Messenger(SimpleNamespace(pull_messages=lambda numbers: [reply]), {0: 7})
    for now[0] in (0.0, 8.0, 500.0):
        messenger.pause()
    messenger._under_way["1"] = 0
    assert list(messenger.answers()) == [Answered(0, None, "Node Unavailable")]
    messenger.pause()
    assert paused == [0.1, 0.8, 2.0, 0.1]
