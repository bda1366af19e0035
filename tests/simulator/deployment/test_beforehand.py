"""The ServerApp has all nodes agree on statistics together: one that fails needs the others once more."""

import time
from dataclasses import replace

import pytest

from simulator.deployment import beforehand
from simulator.deployment import messenger as flower
from simulator.deployment.beforehand import have_agreed
from simulator.deployment.messenger import Answered
from simulator.deployment.run_manifest import RunManifest

MANIFEST = RunManifest("run", "print", "1.0", "p2p", 3, "0>1 1>0", 9, 1, 5, 1.0, 0.3, 0.3, quorum=3, absences="borne")


class Nodes:
    """A `Messenger` to nodes that answer what ``scripts`` say, an order after the other, and then that they agree."""

    nodes = (0, 1, 2)

    def __init__(self, **scripts):
        self._scripts = {int(name.removeprefix("node")): list(script) for name, script in scripts.items()}
        self.busy, self.orders, self._ready = set(), [], []

    def send(self, node, kind, content, seconds):
        assert kind == "train.statistics"
        assert 0 < content["seconds"] <= MANIFEST.phase_timeout
        self.orders.append(node)
        step = (self._scripts.get(node) or [1]).pop(0) if self._scripts.get(node) else 1
        if step is None:
            self.busy.add(node)
        elif isinstance(step, str):
            self._ready.append(Answered(node, None, step))
        else:
            self._ready.append(Answered(node, {"agreed": step}))
        return True

    def answers(self):
        ready, self._ready = self._ready, []
        return ready

    def pause(self):
        time.sleep(flower.POLL)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(flower, "POLL", 0.001)
    monkeypatch.setattr(flower, "GRACE", 0.1)
    monkeypatch.setattr(beforehand, "RETRY", 0.01)


def test_each_is_told_once_where_all_take_part(capsys):
    nodes = Nodes()
    have_agreed(nodes, MANIFEST)
    assert sorted(nodes.orders) == [0, 1, 2]
    assert "all nodes have agreed on statistics" in capsys.readouterr().out


@pytest.mark.parametrize("failing", [0, "Node Unavailable"])
def test_those_who_are_done_take_part_again_where_one_is_not(failing, capsys):
    nodes = Nodes(node1=[failing])
    have_agreed(nodes, MANIFEST)
    assert [nodes.orders.count(node) for node in (0, 1)] == [2, 2]
    assert "node 1 has not agreed on statistics: " in capsys.readouterr().out


def test_it_ends_with_the_names_of_those_who_do_not_answer():
    with pytest.raises(RuntimeError, match="could not agree on statistics: nodes 2 have not taken part"):
        have_agreed(Nodes(node2=[None]), replace(MANIFEST, phase_timeout=0.1))


def test_a_reply_that_is_none_is_refused():
    with pytest.raises(RuntimeError, match="node 0: its reply has 7 as 'agreed'"):
        have_agreed(Nodes(node0=[7]), MANIFEST)
