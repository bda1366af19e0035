"""What stands in a ledger cannot be changed unseen, forgotten by a crash, or given back by an old checkpoint."""

import json
import shutil
import threading

import pytest
import torch
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.errors import InputError
from simulator.core.message import Message
from simulator.core.node_program import NodeProgram
from simulator.deployment.site import ledger as ledger_module
from simulator.deployment.site.declined import Declined
from simulator.deployment.site.gate import Gate
from simulator.deployment.site.ledger import Ledger, verified
from simulator.deployment.transport.outbox import Outbox
from simulator.deployment.transport.saved_rounds import SavedRounds

PRIVATE = {"methods": [{"name": "dp_sgd", "noise_multiplier": 2.0}], "rounds": 4, "evaluate": {"every": 4}}


@pytest.fixture
def written(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append([{"what": "message", "round": round} for round in range(3)])
    ledger.append([{"what": "message", "round": 3}])
    return ledger.path


def test_a_ledger_goes_on_where_it_was_left(written):
    assert [line["round"] for line in Ledger(written).lines] == [0, 1, 2, 3]
    Ledger(written).append([{"what": "message", "round": 4}])
    assert [line["round"] for line in verified(written)] == [0, 1, 2, 3, 4]


CHANGES = {
    "a number": lambda lines: [line.replace('"round": 1', '"round": 9') for line in lines],
    "the last line": lambda lines: [*lines[:-1], lines[-1].replace('"round": 3', '"round": 9')],
    "a line taken out": lambda lines: [*lines[:1], *lines[2:]],
    "the first line taken out": lambda lines: lines[1:],
    "two lines exchanged": lambda lines: [lines[0], lines[2], lines[1], lines[3]],
    "a line twice": lambda lines: [*lines, lines[-1]],
    "a line of one's own": lambda lines: [*lines, json.dumps({**json.loads(lines[-1]), "round": 4})],
    "no JSON": lambda lines: [*lines, "x"],
    "no object": lambda lines: [*lines, "[]"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_ledger_that_was_changed_is_refused_and_nothing_is_appended(change, written):
    lines = CHANGES[change](written.read_text().splitlines())
    written.write_text("".join(f"{line}\n" for line in lines))
    for opened in (Ledger, verified):
        with pytest.raises(InputError, match=r"ledger.jsonl:[1-5]: the ledger is broken"):
            opened(written)
    assert len(written.read_text().splitlines()) == len(lines)


def test_one_who_has_opened_it_sees_that_it_was_cut(written):
    ledger = Ledger(written)
    written.write_text("".join(f"{line}\n" for line in written.read_text().splitlines()[:-1]))
    with pytest.raises(InputError, match="is gone"):
        ledger.append([{"what": "message", "round": 4}])


def test_half_a_line_of_one_that_died_is_cut_and_the_chain_goes_on(written):
    """What it was about had not left yet."""
    with written.open("a") as file:
        file.write('{"time": "2026')
    Ledger(written).append([{"what": "message", "round": 4}])
    assert [line["round"] for line in verified(written)] == [0, 1, 2, 3, 4]


def test_several_nodes_of_a_site_write_one_chain(tmp_path):
    ledgers = [Ledger(tmp_path / "ledger.jsonl") for _ in range(4)]
    writing = [
        threading.Thread(target=lambda ledger=ledger: [ledger.append([{"what": "x"}, {"what": "y"}]) for _ in range(9)])
        for ledger in ledgers
    ]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    assert [line["what"] for line in verified(tmp_path / "ledger.jsonl")] == ["x", "y"] * 36


@pytest.fixture
def private(tmp_path):
    """A deployment whose sites want differential privacy, and allow little more than one run of it."""
    deployment = Deployment(small(**PRIVATE), tmp_path)
    for node in range(4):
        path = deployment.policy(node)
        path.write_text(path.read_text().replace("mechanism: none", "mechanism: dp_sgd"))
    return deployment


def sent(deployment, node=0):
    lines = verified(deployment.policy(node).parent / "ledger.jsonl")
    return [line for line in lines if line["what"] == "message"]


@pytest.mark.slow
def test_what_can_be_fetched_stood_in_the_ledger_before(private, monkeypatch):
    take, before = Outbox.take, []

    def looking(outbox, receiver, position, *more):
        found = take(outbox, receiver, position, *more)
        if found.message:
            lines = verified(private.policy(Message.decode(found.message).sender).parent / "ledger.jsonl")
            before.append((f"node-{receiver}", position + 1) in {(line.get("to"), line.get("round")) for line in lines})
        return found

    monkeypatch.setattr(Outbox, "take", looking)
    assert private.p2p(2) == dict.fromkeys(range(4), 2)
    assert len(before) >= 16
    assert all(before)


def test_what_is_appended_is_on_the_disk(tmp_path, monkeypatch):
    ledger, flushed = Ledger(tmp_path / "ledger.jsonl"), []
    monkeypatch.setattr(ledger_module.os, "fsync", lambda file: flushed.append(ledger.path.read_text()))
    ledger.append([{"what": "x"}, {"what": "y"}])
    assert [json.loads(line)["what"] for line in flushed[0].splitlines()] == ["x", "y"]


def test_a_crash_between_ledger_and_sending_forgets_nothing_and_costs_nothing_twice(private, monkeypatch):
    release, deaths = Gate.release, []

    def dying(gate, *things):
        release(gate, *things)
        if gate._folder.node == 0 and things[0].kind == "message" and not deaths:
            deaths.append(1)
            raise KeyboardInterrupt

    monkeypatch.setattr(Gate, "release", dying)
    node_folder, gate = private.node_folder(0), private.gate(0)
    peer = node_folder.peer(private.manifest, gate)
    peer.close()
    with pytest.raises(KeyboardInterrupt):
        Outbox(0, gate.messages).publish(0, peer.begin())
    assert [line["again"] for line in sent(private)] == ["", ""]
    assert private.p2p(4) == dict.fromkeys(range(4), 4)
    lines = sent(private)
    assert [line["again"] for line in lines[:4]] == ["", "", "same", "same"]
    assert len({line["content"] for line in lines[:4]}) == 2  # to each neighbour the same as before
    assert lines[0]["epsilon"] == lines[2]["epsilon"] < lines[-1]["epsilon"]


@pytest.mark.slow
def test_an_old_checkpoint_gives_nothing_back(private, monkeypatch):
    """Put back to after round 1, the node hears nothing and would send other models of rounds that it has sent."""
    assert private.p2p(3) == dict.fromkeys(range(4), 3)
    before = private.node_folder(0).memory(private.manifest.run)
    spent = sent(private)[-1]["epsilon"]
    saved = {round: before.load(round)[0] for round in before.rounds()}
    shutil.rmtree(private.node_folder(0).state(private.manifest.run))
    send = NodeProgram.send

    def otherwise(program, exchange, place=None):
        messages = send(program, exchange, place)
        for message in messages:
            message.parts["parameters"].add_(1e-9)
        return messages

    monkeypatch.setattr(NodeProgram, "send", otherwise)
    memory = SavedRounds.of(private.node_folder(0).folder, private.manifest.run)
    memory.save(2, saved[2])
    found = private.p2p(4, nodes=[0], away=[1, 2, 3], join_timeout=0.2)[0]
    assert isinstance(found, Declined)
    assert "another message of round 3 has left" in str(found)
    assert sent(private)[-1]["epsilon"] == spent
    monkeypatch.undo()
    assert private.p2p(4, nodes=[0], away=[1, 2, 3], join_timeout=0.2) == {0: 4}  # what it says again, it has said
    assert {line["again"] for line in sent(private)[6:8]} == {"same"}


@pytest.mark.slow
def test_a_run_under_another_name_adds_to_what_was_spent(private):
    """A site that allows one run and a half allows one."""
    path = private.policy(0)
    assert private.p2p(4, nodes=[0], away=[1, 2, 3], join_timeout=0.2) == {0: 4}
    spent = sent(private)[-1]["epsilon"]
    path.write_text(path.read_text().replace("max_epsilon: unlimited", f"max_epsilon: {1.5 * spent}"))
    again = private.p2p(4, nodes=[0], away=[1, 2, 3], join_timeout=0.2, run="another")[0]
    assert isinstance(again, Declined)
    assert f"after {spent:.4g} before" in str(again)
    shutil.rmtree(private.node_folder(0).state(private.manifest.run))
    assert private.p2p(4, nodes=[0], away=[1, 2, 3], join_timeout=0.2) == {0: 4}
    assert torch.tensor([line["epsilon"] for line in sent(private)]).max() == spent


@pytest.mark.slow
def test_on_the_relay_what_leaves_is_sealed_and_counted(tmp_path):
    deployment = Deployment(small(rounds=2), tmp_path, plane="relay")
    assert deployment.relay(2) == dict.fromkeys(range(4), 2)
    lines = sent(deployment)
    assert {(line["to"], line["round"]) for line in lines} == {(f"node-{n}", r) for n in (1, 3) for r in (1, 2)}
    assert all(line["sha256"] != line["content"] for line in lines)
    everything = verified(deployment.policy(0).parent / "ledger.jsonl")
    assert [line["to"] for line in everything if line["what"] == "key"] == ["node-1", "node-3"]
