"""The ServerApp's parts on a Grid that is not Flower's."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, RecordDict

from simulator.core.errors import InputError
from simulator.deployment import members, messenger
from simulator.deployment.members import Members
from simulator.deployment.messenger import Messenger
from simulator.deployment.records import packed
from simulator.deployment.run_manifest import RunManifest

MANIFEST = RunManifest("run", "print", "1.0", "p2p", 2, "0>1 1>0", 10, 1, 5, 1.0, 1.0, 0.3, quorum=2, absences="borne")


class Grid:
    """Answers at once, by ``answers``: for each SuperNode, what it says to one message after the other."""

    def __init__(self, answers):
        self._answers = {number: list(replies) for number, replies in answers.items()}
        self._waiting, self._over = {}, set()

    def get_node_ids(self):
        return list(self._answers)

    def push_messages(self, messages):
        for message in messages:
            number = f"m{len(self._waiting)}"
            self._waiting[number] = message.metadata.dst_node_id
            yield number

    def pull_messages(self, numbers):
        """As Flower does, who says of what has been answered before that it is not to be had."""
        for number in numbers:
            said = self._answers[self._waiting[number]]
            if number in self._over:
                yield reply(number, (3, "Message Unavailable"))
            elif said:
                self._over.add(number)
                yield reply(number, said.pop(0))


def reply(number, said):
    failed = isinstance(said, tuple)
    return SimpleNamespace(
        metadata=SimpleNamespace(reply_to_message_id=number),
        has_error=lambda: failed,
        error=SimpleNamespace(code=said[0], reason=said[1]) if failed else None,
        content=None if failed else packed(said),
    )


def gather(grid, manifest=MANIFEST):
    joined = Members(grid, manifest)
    joined.gather()
    return joined.found


def hello(node, **changes):
    own = {"fingerprint": "print", "version": "1.0", "versions": "", "certified_until": "2999-01-01"}
    return {"node": node, "rounds": 3, **own, **changes}


def letter(content, dst_node_id, message_type, ttl=None):
    """Stands for Flower's message, which cannot be made outside a run."""
    return SimpleNamespace(content=content, metadata=SimpleNamespace(dst_node_id=dst_node_id))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(members, "Message", letter)
    monkeypatch.setattr(messenger, "Message", letter)
    monkeypatch.setattr(members, "POLL", 0.01)


def test_all_nodes_are_found_whatever_flower_calls_them():
    assert gather(Grid({77: [hello(1)], 55: [(5, "gone"), hello(0)]})) == {0: (55, 3), 1: (77, 3)}


def test_who_has_answered_is_not_asked_again(capsys):
    """Else every run would say that a SuperNode cannot take part."""
    grid = Grid({55: [hello(0)], 77: []})
    late = threading.Timer(0.1, grid._answers[77].append, [hello(1)])
    late.start()
    assert gather(grid, replace(MANIFEST, join_timeout=30.0)).keys() == {0, 1}
    assert len(grid._waiting) == 2
    assert "cannot take part" not in capsys.readouterr().out


def test_a_run_begins_with_as_many_as_it_is_told_and_the_others_come_later(capsys):
    grid = Grid({55: [hello(0)]})
    joined = Members(grid, replace(MANIFEST, quorum=1))
    joined.gather()
    assert joined.found == {0: (55, 3)}
    assert "beginning without nodes 1, which may come later" in capsys.readouterr().out
    grid._answers[77] = [hello(1, rounds=0)]
    joined.look()
    assert joined.found[1] == (77, 0)


def test_those_who_are_missing_are_named_and_waited_for(capsys):
    with pytest.raises(RuntimeError, match=r"of 2 nodes, these have not joined in 0.3 s: 1"):
        gather(Grid({55: [hello(0)]}))
    assert "waiting for nodes 0, 1: 0 s left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        (hello(1, version="0.9"), r"node 1 is refused: it has rumormill 0.9, not 1.0"),
        (hello(1, fingerprint="other"), r"node 1 is refused: its experiment.yaml is not that of this run"),
        (hello(7), r"node 7 is refused"),
        (hello(-1), r"node -1 is refused"),
        (
            hello(1, versions="torch=2.12.0"),
            r"node 1 is refused: it has torch 2.12.0, and the run was planned with none",
        ),
        ({"declined": "node 1 declines: hours"}, r"^node 1 declines: hours$"),
        (hello(0), r"two SuperNodes say that they are node 0"),
    ],
)
def test_those_who_do_not_fit_are_refused(said, refusal):
    with pytest.raises(RuntimeError, match=refusal):
        gather(Grid({55: [hello(0)], 77: [said]}))


def told(sends, *nodes):
    """What has come of one message more to each of ``nodes``."""
    assert all(sends.send(node, "train.gossip", {"until": 5}, 1.0) for node in nodes)
    assert sends.busy == set(nodes)
    return [tuple(answered) for answered in sends.answers()]


def test_a_lost_supernode_is_no_error():
    asked = Messenger(
        Grid({55: [(5, "Node Unavailable"), (8, "stopped responding"), {"round": 4}], 77: [{"round": 5}]}),
        {0: 55, 1: 77},
    )
    assert told(asked, 0) == [(0, None, "Node Unavailable")]
    assert told(asked, 0, 1) == [(0, None, "stopped responding"), (1, {"round": 5}, "")]
    assert told(asked, 0) == [(0, {"round": 4}, "")]


def test_nor_is_what_a_signal_has_broken_off():
    reason = "<class 'simulator.deployment.site.untold.Untold'>:<'node 0 cannot go on (BrokenOff): errors.log'>"
    asked = Messenger(Grid({55: [(2, reason), {"round": 4}]}), {0: 55})
    assert told(asked, 0) == [(0, None, reason)]
    assert told(asked, 0) == [(0, {"round": 4}, "")]


def test_what_a_node_cannot_do_ends_the_run():
    with pytest.raises(RuntimeError, match="node 0: training diverged"):
        told(Messenger(Grid({55: [(2, "training diverged")]}), {0: 55}), 0)


@pytest.mark.parametrize(
    "changes",
    [
        *({"node": "1"}, {"node": b""}, {"node": 1.0}, {"version": 1}, {"fingerprint": b"print"}),
        *({"rounds": -1}, {"rounds": 2**62}, {"rounds": "3"}, {"rounds": [3]}),
        *({"versions": 3}, {"certified_until": "soon"}, {"certified_until": 7}),
    ],
    ids=str,
)
def test_what_is_no_introduction_is_refused(changes):
    with pytest.raises(RuntimeError, match=r"is refused"):
        gather(Grid({55: [hello(0)], 77: [hello(1) | changes]}))


def test_a_reply_without_this_apps_record_is_refused_by_name():
    empty = SimpleNamespace(
        metadata=SimpleNamespace(reply_to_message_id="m0"), has_error=lambda: False, content=RecordDict()
    )
    grid = Grid({55: [{}]})
    grid.pull_messages = lambda numbers: [empty]
    with pytest.raises(RuntimeError, match="node 0: its reply holds no record of this app"):
        told(Messenger(grid, {0: 55}), 0)


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
