"""The ServerApp's parts on a Grid that is not Flower's."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, RecordDict

from simulator.core.errors import InputError
from simulator.deployment import members, messenger, server_app
from simulator.deployment.members import gather
from simulator.deployment.messenger import Messenger
from simulator.deployment.records import packed
from simulator.deployment.router import route
from simulator.deployment.run_manifest import RunManifest

MANIFEST = RunManifest("run", "print", "1.0", "p2p", 2, "0>1 1>0", 10, 1, 5, 1.0, 1.0, join_timeout=0.3)


class Grid:
    """Answers at once, by ``answers``: for each SuperNode, what it says to one message after the other."""

    def __init__(self, answers):
        self._answers = {number: list(replies) for number, replies in answers.items()}
        self._waiting = {}

    def get_node_ids(self):
        return list(self._answers)

    def push_messages(self, messages):
        for message in messages:
            number = f"m{len(self._waiting)}"
            self._waiting[number] = message.metadata.dst_node_id
            yield number

    def pull_messages(self, numbers):
        for number in numbers:
            said = self._answers[self._waiting[number]]
            if said:
                yield reply(number, said.pop(0))


def reply(number, said):
    failed = isinstance(said, tuple)
    return SimpleNamespace(
        metadata=SimpleNamespace(reply_to_message_id=number),
        has_error=lambda: failed,
        error=SimpleNamespace(code=said[0], reason=said[1]) if failed else None,
        content=None if failed else packed(said),
    )


def hello(node, **changes):
    return {"node": node, "fingerprint": "print", "version": "1.0", "rounds": 3, **changes}


def letter(content, dst_node_id, message_type, ttl=None):
    """Stands for Flower's message, which cannot be made outside a run."""
    return SimpleNamespace(content=content, metadata=SimpleNamespace(dst_node_id=dst_node_id))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(members, "Message", letter)
    monkeypatch.setattr(messenger, "Message", letter)
    monkeypatch.setattr(members, "POLL", 0.01)
    monkeypatch.setattr(messenger, "POLL", 0.01)
    monkeypatch.setattr(messenger, "RETRY", 0.0)


def test_all_nodes_are_found_whatever_flower_calls_them():
    assert gather(Grid({77: [hello(1)], 55: [(5, "gone"), hello(0)]}), MANIFEST) == {0: (55, 3), 1: (77, 3)}


def test_those_who_are_missing_are_named_and_waited_for(capsys):
    with pytest.raises(RuntimeError, match=r"of 2 nodes, these have not joined in 0.3 s: 1"):
        gather(Grid({55: [hello(0)]}), MANIFEST)
    assert "waiting for nodes 0, 1: 0 s left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        (hello(1, version="0.9"), r"node 1 is refused: it has rumormill 0.9, not 1.0"),
        (hello(1, fingerprint="other"), r"node 1 is refused: its experiment.yaml is not that of this run"),
        (hello(7), r"node 7 is refused"),
        (hello(-1), r"node -1 is refused"),
        ({"declined": "node 1 declines: hours"}, r"^node 1 declines: hours$"),
        (hello(0), r"two SuperNodes say that they are node 0"),
    ],
)
def test_those_who_do_not_fit_are_refused(said, refusal):
    with pytest.raises(RuntimeError, match=refusal):
        gather(Grid({55: [hello(0)], 77: [said]}), MANIFEST)


def test_what_a_lost_supernode_was_asked_is_asked_again(capsys):
    messenger = Messenger(
        Grid({55: [(5, "Node Unavailable"), (8, "stopped responding"), {"round": 4}], 77: [{"round": 5}]}),
        {0: 55, 1: 77},
    )
    assert messenger.ask("train.gossip", {0: {"until": 5}, 1: {"until": 5}}, 1.0) == {0: {"round": 4}, 1: {"round": 5}}
    assert capsys.readouterr().out.count("sending again") == 2


def test_what_a_node_cannot_do_ends_the_run():
    with pytest.raises(RuntimeError, match="node 0: training diverged"):
        Messenger(Grid({55: [(2, "training diverged")]}), {0: 55}).ask("train.gossip", {0: {}}, 1.0)


def test_a_node_that_never_answers_is_named(monkeypatch):
    monkeypatch.setattr(messenger, "GRACE", 0.1)
    with pytest.raises(RuntimeError, match="no answer from nodes 0 "):
        Messenger(Grid({55: []}), {0: 55}).ask("train.gossip", {0: {}}, 0.1)


class Reports:
    """An `Messenger` whose nodes report ``reached``, a phase after the other, and that keeps what they were asked."""

    nodes = (0, 1)

    def __init__(self, *reached):
        self._reached, self.asked = iter(reached), []

    def ask(self, kind, contents, seconds):
        self.asked.append(contents)
        return {node: {"round": round} for node, round in zip(self.nodes, next(self._reached), strict=True)}


def test_phases_end_at_the_same_rounds_wherever_they_begin():
    messenger = Reports((5, 5), (8, 7), (10, 10))
    server_app._phases(messenger, MANIFEST, finished=3)
    assert [asked[0]["until"] for asked in messenger.asked] == [5, 10, 10]


def test_all_nodes_have_the_same_deadline():
    """Also one that is sent its orders again: it must not go on alone when its neighbours have broken off."""
    messenger, before = Reports((10, 10)), time.time()
    server_app._phases(messenger, MANIFEST, finished=9)
    (asked,) = messenger.asked
    assert asked[0] == asked[1]
    assert before <= asked[0]["ends"] - MANIFEST.phase_timeout <= time.time()


def test_a_phase_in_which_a_node_has_finished_no_round_ends_the_run():
    with pytest.raises(RuntimeError, match=r"no round was finished within 1 s: raise backend.phase_timeout"):
        server_app._phases(Reports((5, 3)), MANIFEST, finished=3)


def test_mail_goes_along_links_only(capsys):
    links = frozenset({(0, 1), (1, 0)})
    assert route({0: {"round": 2, "to-1": b"a"}, 1: {"round": 2, "to-0": b"b"}}, links) == {
        1: {"from-0": b"a"},
        0: {"from-1": b"b"},
    }
    assert route({0: {"to-2": b"a", "to-1": b"c"}}, links) == {1: {"from-0": b"c"}}
    assert "node 0 writes to node 2, which is no neighbour of it: not delivered" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bad", [{"to-x": b"a"}, {"to-1": 7}, {"to--1": b"a"}, {"to-\u0661": b"a"}, {"to-": b"a"}], ids=str
)
def test_what_is_no_mail_is_not_delivered_and_its_sender_named(bad, capsys):
    assert route({0: bad, 1: {"to-0": b"b"}}, frozenset({(0, 1), (1, 0)})) == {0: {"from-1": b"b"}}
    assert "node 0: its reply has" in capsys.readouterr().out


@pytest.mark.parametrize("reached", [None, "5", 5.0, -1, 11, 2**62, True], ids=str)
def test_a_node_cannot_have_reached_what_is_no_round(reached):
    with pytest.raises(RuntimeError, match="node 1: its reply has"):
        server_app._phases(Reports((5, reached)), MANIFEST, finished=3)


@pytest.mark.parametrize(
    "changes",
    [
        *({"node": "1"}, {"node": b""}, {"node": 1.0}, {"version": 1}, {"fingerprint": b"print"}),
        *({"rounds": -1}, {"rounds": 2**62}, {"rounds": "3"}, {"rounds": [3]}),
    ],
    ids=str,
)
def test_what_is_no_introduction_is_refused(changes):
    with pytest.raises(RuntimeError, match=r"is refused"):
        gather(Grid({55: [hello(0)], 77: [hello(1) | changes]}), MANIFEST)


def test_a_reply_without_this_apps_record_is_refused_by_name():
    empty = SimpleNamespace(
        metadata=SimpleNamespace(reply_to_message_id="m0"), has_error=lambda: False, content=RecordDict()
    )
    grid = Grid({55: [{}]})
    grid.pull_messages = lambda numbers: [empty]
    with pytest.raises(RuntimeError, match="node 0: its reply holds no record of this app"):
        Messenger(grid, {0: 55}).ask("train.gossip", {0: {}}, 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        *({"nodes": "2"}, {"nodes": 0}, {"rounds": 2**62}, {"rounds": 1.5}, {"edges": "0>x"}, {"edges": 3}),
        *({"round_timeout": float("nan")}, {"phase_timeout": -1.0}, {"version": None}, {"phase": True}),
    ],
    ids=str,
)
def test_terms_that_cannot_be_are_refused_by_name(changes):
    (name,) = changes
    with pytest.raises(InputError, match=name.replace("_", "-")):
        RunManifest.read(MANIFEST.to_config() | {name.replace("_", "-"): changes[name]})


@pytest.mark.parametrize("run", ["", "..", "../../elsewhere", "a/b", "x" * 33, "ü", "a\n"])
def test_what_cannot_name_a_run_is_refused(run):
    with pytest.raises(InputError, match=r"run: (.|\n)* is no name of a run"):
        RunManifest.read(replace(MANIFEST, run=run).to_config())


def test_terms_survive_the_apps_configuration():
    assert RunManifest.read(MANIFEST.to_config()) == MANIFEST
    assert MANIFEST.links == {(0, 1), (1, 0)}
    assert all(isinstance(value, (str, int, float)) for value in MANIFEST.to_config().values())
    RecordDict({"config": ConfigRecord(MANIFEST.to_config())})
