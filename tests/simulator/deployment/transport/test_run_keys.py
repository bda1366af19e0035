"""Keys of a run: without them, a node's own key opens nothing; nobody can slip in another one; they go with the run."""

import pytest
import torch

from simulator.core.message import Message
from simulator.deployment.keys.private import sealing_key
from simulator.deployment.transport.inspection import Refused
from simulator.deployment.transport.run_keys import FILE, GREETING, RunSeals, forget, run_key
from simulator.deployment.transport.sealing import LAYOUT, NONCE, Label, Seals, cipher

KEYS = {node: sealing_key() for node in range(3)}
OF_THE_RUN = {node: sealing_key() for node in range(3)}


def seals(node, run="run-a", of_the_run=None):
    public = {other: KEYS[other][1] for other in KEYS if other != node}
    return RunSeals(run, node, KEYS[node][0], public, of_the_run or OF_THE_RUN[node][0])


def acquainted(run="run-a"):
    found = {node: seals(node, run) for node in range(3)}
    for node, own in found.items():
        for other, greeting in own.greetings().items():
            assert found[other].hear(node, greeting)
    return found


def message(sender=0, receiver=1, round=5):
    return Message(sender, receiver, round, {"parameters": torch.arange(50, dtype=torch.float64)})


@pytest.mark.parametrize(("sender", "receiver"), [(0, 1), (1, 0), (2, 0), (1, 2)])
def test_those_who_know_each_others_keys_understand_each_other(sender, receiver):
    nodes = acquainted()
    opened = nodes[receiver].open(nodes[sender].seal(message(sender, receiver)), sender, 5)
    assert torch.equal(opened.parts["parameters"], message().parts["parameters"])


def test_who_steals_both_nodes_own_keys_later_cannot_open_what_was_recorded():
    """All that went through the mailbox: greetings, which give away public keys, and messages."""
    nodes = acquainted()
    recorded, greetings = nodes[0].seal(message()), [nodes[node].greetings()[1 - node] for node in (0, 1)]
    thief = {node: KEYS[node][0] for node in (0, 1)}
    own = Seals("run-a", 1, thief[1], {0: KEYS[0][1]})
    greeted = cipher(own._secret(0), GREETING, label := Label("run-a", 0, 0, 1))
    start = LAYOUT.size + NONCE
    assert greeted.decrypt(greetings[0][LAYOUT.size : start], greetings[0][start:], label.encode()) == OF_THE_RUN[0][1]
    with pytest.raises(Refused, match="tampered"):
        own.open(recorded, 0, 5)
    drawn = RunSeals("run-a", 1, thief[1], {0: KEYS[0][1]}, sealing_key()[0])
    drawn.hear(0, greetings[0])
    with pytest.raises(Refused, match="tampered"):
        drawn.open(recorded, 0, 5)


def test_nobody_can_slip_in_a_key():
    """A mailbox that makes one up, gives one of another sender, of another run, or one for another receiver."""
    own, stranger = seals(1), sealing_key()
    made_up = RunSeals("run-a", 0, stranger[0], {1: KEYS[1][1]}, stranger[0])
    for greeting in (
        made_up.greetings()[1],
        seals(2).greetings()[1],
        seals(0, "run-b").greetings()[1],
        seals(0).greetings()[2],
        seals(0).greetings()[1][:-1],
        b"",
    ):
        with pytest.raises(Refused, match="node 1 refuses the key of node 0 for this run"):
            own.hear(0, greeting)
    assert not own.knows(0)
    with pytest.raises(Refused, match="does not know the key of node 0"):
        own.seal(message(1, 0))


def test_a_key_stays_with_the_run_and_goes_with_it(tmp_path):
    first = run_key(tmp_path / "run-a")
    assert run_key(tmp_path / "run-a") == first
    assert (tmp_path / "run-a" / FILE).stat().st_mode & 0o777 == 0o600
    second = run_key(tmp_path / "run-b")
    assert second != first
    assert not (tmp_path / "run-a" / FILE).exists()  # one run at a time
    forget(tmp_path / "run-b")
    forget(tmp_path / "run-b")
    assert not list(tmp_path.rglob("*.key"))


def test_nobody_else_can_look_into_the_folder_of_a_run(tmp_path):
    run_key(tmp_path / "states" / "run-a")
    assert (tmp_path / "states" / "run-a").stat().st_mode & 0o077 == 0
