"""A node that must not take part any more is turned away by its neighbours, by name; as client and as server."""

import shutil
import threading
import time

import pytest
from reference.deployment import Consortium, free_addresses
from reference.experiments import small
from typer.testing import CliRunner

from simulator.cli import app
from simulator.core.errors import InputError, RunError
from simulator.deployment.keys.authority import Authority
from simulator.deployment.keys.on_the_host import renew
from simulator.deployment.keys.revocation import Revoked
from simulator.deployment.keys.signing import revoke, sign
from simulator.deployment.registration import agree
from simulator.deployment.site.ledger import verified
from simulator.deployment.transport.certificates import Identity
from simulator.deployment.transport.door import Door
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.gossip import Neighbours
from simulator.deployment.transport.neighbour import Patience
from simulator.deployment.transport.outbox import Outbox
from simulator.deployment.transport.planes import p2p


@pytest.fixture
def consortium(tmp_path):
    return Consortium(small(), tmp_path).onboarded()


def told(consortium, nodes):
    """These hosts have been sent the list."""
    for node in nodes:
        shutil.copy(consortium.folder / "nodes" / f"node-{node}" / "revoked.crl", consortium.place(node))


def again(consortium, node):
    """A node makes all keys anew, is signed again, and its neighbours are sent what they need."""
    renew(consortium.place(node), everything=True)
    sign(consortium.folder, f"node-{node}", consortium.place(node) / "renewed" / "request.csr", renew=True)
    for each in range(4):
        consortium.delivered(each)


@pytest.fixture
def at_two_doors(monkeypatch):
    """Nodes hear nothing before two have turned node 2 away: those who have ended turn nobody away."""

    def begin():
        doors, both, turn_away, ask = set(), threading.Event(), Door._turn_away, Neighbours.ask

        def turned_away(door, name, *given):
            doors.add(id(door))
            if len(doors) == 2:
                both.set()
            turn_away(door, name, *given)

        def asked(*given):
            if threading.current_thread().name != "node-2":
                both.wait(100)
            return ask(*given)

        monkeypatch.setattr(Door, "_turn_away", turned_away)
        monkeypatch.setattr(Neighbours, "ask", asked)

    return begin


def test_a_revoked_node_is_turned_away_by_name_and_the_others_do_not_wait_for_it(consortium, at_two_doors, capsys):
    """Whoever has its keys goes on with the list that was there before."""
    assert consortium.p2p(2) == dict.fromkeys(range(4), 2)
    revoke(consortium.folder, "node-2")
    told(consortium, (0, 1, 3))
    at_two_doors()
    began = time.monotonic()
    found = consortium.p2p(4)
    assert time.monotonic() - began < 60  # join_timeout is 120
    assert {node: found[node] for node in (0, 1, 3)} == dict.fromkeys((0, 1, 3), 4)
    assert isinstance(found[2], RunError)
    assert "refuses this node: 'the certificate of node-2 has been revoked'" in str(found[2])
    said = capsys.readouterr().out
    assert said.count("node-2 has been revoked: going on without it") == 2
    assert "a question of node-2 is turned away: the certificate of node-2 has been revoked" in said
    told(consortium, [2])
    assert "node.crt: the certificate of node-2 has been revoked" in str(consortium.p2p(5, nodes=[2])[2])


@pytest.mark.slow
def test_on_the_relay_too_nothing_goes_to_a_revoked_node_or_comes_from_it(tmp_path, capsys):
    """The mailbox turns it away, and its neighbours seal nothing for it; what stands in the ledger is for others."""
    consortium = Consortium(small(), tmp_path, plane="relay").onboarded()
    assert consortium.relay(2) == dict.fromkeys(range(4), 2)
    revoke(consortium.folder, "node-2")  # the mailbox reads the list when it begins
    told(consortium, (0, 1, 3))
    found = consortium.relay(4, join_timeout=5.0, round_timeout=1.0)
    assert {node: found[node] for node in (0, 1, 3)} == dict.fromkeys((0, 1, 3), 4)
    assert "a question of node-2 is turned away: the certificate of node-2 has been revoked" in capsys.readouterr().out
    lines = verified(consortium.policy(1).parent / "ledger.jsonl")
    sent = {(line["round"], line["to"]) for line in lines if line["what"] == "message"}
    assert sent == {(1, "node-0"), (1, "node-2"), (2, "node-0"), (2, "node-2"), (3, "node-0"), (4, "node-0")}


@pytest.mark.slow
def test_after_new_keys_were_signed_it_takes_part_again(consortium):
    revoke(consortium.folder, "node-2")
    told(consortium, range(4))
    renew(consortium.place(2))
    request = consortium.place(2) / "renewed" / "request.csr"
    with pytest.raises(InputError, match=r"a key of node-2 that has been revoked.\n.*site renew FOLDER --all"):
        sign(consortium.folder, "node-2", request, renew=True)  # its key for sealing is the old one
    again(consortium, 2)
    assert consortium.p2p(2) == dict.fromkeys(range(4), 2)


@pytest.mark.parametrize("answers", ["with the keys that were revoked", "with the new ones"])
def test_a_client_does_not_believe_a_revoked_certificate(answers, consortium):
    """Node 1 asks, and there is whoever has the old keys of node 2 in its place."""
    old = Identity.read(consortium.place(2))
    revoke(consortium.folder, "node-2")
    again(consortium, 2)
    shown = old if answers == "with the keys that were revoked" else Identity.read(consortium.place(2))
    here, there = free_addresses(2)
    patience, expected = Patience(2.0, 2.0, tolerant=True), Expected(9, {1: 100, 2: 100}, lambda message: None)
    box = [Outbox(0, lambda messages: {message.receiver: b"x" for message in messages}) for _ in range(2)]
    other = p2p(2, "run", box[1], there, {1: here}, shown, patience, expected)
    one = p2p(1, "run", box[0], here, {2: there}, Identity.read(consortium.place(1)), patience, expected)
    try:
        answer = one._ways[2].glance(0)()
        assert (answer is None) == (shown is old)
    finally:
        one.close()
        other.close()


def test_where_every_message_is_needed_the_run_ends_by_name(tmp_path):
    choco = {"name": "choco", "compression": {"name": "top_k", "keep": 0.2}}
    consortium = Consortium(small(mixer=choco), tmp_path).onboarded()
    revoke(consortium.folder, "node-2")
    told(consortium, (0, 1, 3))
    error = consortium.p2p(1, nodes=[1])[1]
    assert isinstance(error, RunError)
    assert "node-2 has been revoked, and this experiment's mixer or methods need every message" in str(error)


def test_lists_follow_each_other_and_none_is_believed_but_the_authoritys(consortium, tmp_path):
    place = consortium.folder / "nodes" / "node-0"
    first = (place / "revoked.crl").read_bytes()
    ended, parcels = revoke(consortium.folder, "node-2")
    assert [each.name for each in ended] == ["node-2"]
    assert parcels["the SuperLink"][0] == "superlink/revoked.crl"
    assert parcels.keys() == {"the SuperLink", "node-0", "node-1", "node-3"}
    with pytest.raises(InputError, match=r"NODE: node-2 has no certificate that has not been revoked"):
        revoke(consortium.folder, "node-2")
    revoke(consortium.folder, "3")
    ca = (consortium.folder / "authority" / "ca.crt").read_bytes()
    found = Revoked.read(place, ca)
    assert (found.number, len(found.serials)) == (3, 2)

    consortium.delivered(0)
    (place / "revoked.crl").write_bytes(first)
    with pytest.raises(InputError, match=r"revoked.crl: is older than the list(.|\n)*as it is now"):
        consortium.delivered(0)
    own = consortium.place(0) / "revoked.crl"
    own.write_bytes(Authority("deployment").revoking(Revoked(), ()))  # of the same name
    assert "was not signed by the authority in ca.crt" in str(consortium.p2p(1, nodes=[0])[0])
    own.write_text("nothing")
    assert "is no list of revoked certificates" in str(consortium.p2p(1, nodes=[0])[0])
    own.unlink()
    assert "revoked.crl: cannot be read" in str(consortium.p2p(1, nodes=[0])[0])


class Control:
    """Flower's SuperLink, as far as keys go."""

    def __init__(self):
        self.keys, self.count = {}, 0

    def register(self, key, name):
        self.count += 1
        self.keys[str(self.count)] = (name, key.read_bytes())
        return str(self.count)

    def unregister(self, number):
        del self.keys[number]


@pytest.mark.slow
def test_the_superlink_forgets_keys_that_are_gone_and_learns_new_ones(consortium, capsys):
    control, link = Control(), consortium.folder / "superlink"
    assert agree(link, control) == agree(link, control) == 4
    assert control.count == 4
    old = dict(control.keys.values())["node-2"]
    revoke(consortium.folder, "node-2")
    assert agree(link, control) == 3
    assert dict(control.keys.values()).keys() == {"node-0", "node-1", "node-3"}
    again(consortium, 2)
    assert agree(link, control) == 4
    assert dict(control.keys.values())["node-2"] == (link / "supernodes" / "node-2.pub").read_bytes() != old
    again(consortium, 1)
    assert agree(link, control) == 4
    assert len(control.keys) == 4
    assert capsys.readouterr().out.count("may not take part any more") == 2


def test_the_command_says_what_is_to_be_sent(consortium):
    result = CliRunner().invoke(app, ["deploy", "revoke", str(consortium.folder), "node-2"])
    assert "Revoked: the certificates of node-2, 1 in number. What has left for it has left." in result.output
    assert "To the host of node-0: nodes/node-0/revoked.crl" in result.output
    assert "superlink/supernodes/ (without node-2.pub: remove it there)" in result.output
