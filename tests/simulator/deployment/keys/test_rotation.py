"""New keys without a new deployment: in the middle of a run, under pins, and the end of certificates told in time."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from reference.deployment import Consortium, Deployment
from reference.experiments import results, small

from simulator import run
from simulator.core.errors import InputError
from simulator.deployment.keys.authority import Authority
from simulator.deployment.keys.certificate import Certificate
from simulator.deployment.keys.expiry import endings
from simulator.deployment.keys.on_the_host import init, renew
from simulator.deployment.keys.revocation import Revoked
from simulator.deployment.keys.signing import sign
from simulator.deployment.status import _counts
from simulator.deployment.transport.certificates import Identity, key_digest


@pytest.fixture
def consortium(tmp_path):
    return Consortium(small(), tmp_path).onboarded()


def renewed(consortium, node, everything=False):
    """The node has new keys and their certificate; returns what had to be sent to others."""
    renew(consortium.place(node), everything)
    request = consortium.place(node) / "renewed" / "request.csr"
    signed = sign(consortium.folder, f"node-{node}", request, renew=True)
    consortium.delivered(node)
    return signed.parcels


@pytest.mark.slow
def test_a_run_goes_on_with_a_key_that_was_renewed_between_two_phases(consortium, tmp_path):
    """Its neighbours do not have to be told, and all end with the bytes of local."""
    before = Identity.read(consortium.place(2))
    assert consortium.p2p(3) == dict.fromkeys(range(4), 3)
    parcels = renewed(consortium, 2)
    assert parcels == {"node-2": ["nodes/node-2/"], "the SuperLink": ["superlink/supernodes/node-2.crt"]}
    after = Identity.read(consortium.place(2))
    assert before.key != after.key
    assert before.own.sealing == after.own.sealing
    assert not (consortium.place(2) / "renewed").exists()
    assert consortium.p2p(6) == dict.fromkeys(range(4), 6)
    local = run(small(), tmp_path / "local")
    assert results(consortium.collected(tmp_path / "deployed")) == results(local.path)


@pytest.mark.slow
def test_until_the_new_key_is_joined_the_old_one_counts(consortium):
    renew(consortium.place(2))
    assert consortium.p2p(1) == dict.fromkeys(range(4), 1)
    sign(consortium.folder, "node-2", consortium.place(2) / "renewed" / "request.csr", renew=True)
    assert consortium.p2p(2) == dict.fromkeys(range(4), 2)
    renew(consortium.place(2))  # and another one, which is not what was signed
    with pytest.raises(InputError, match="is of other keys than this host's"):
        consortium.delivered(2)
    with pytest.raises(InputError, match=r"cannot be read: No such file(.|\n)*rumormill site init FOLDER"):
        renew(consortium.folder)


def test_all_keys_are_renewed_and_who_needs_them_is_told(consortium):
    before = consortium.node_folder(1).keys[2]
    parcels = renewed(consortium, 2, everything=True)
    theirs = {f"node-{other}": [f"nodes/node-{other}/neighbours/node-2.crt"] for other in (1, 3)}
    keys = ["superlink/supernodes/node-2.crt", "superlink/supernodes/node-2.pub"]
    assert parcels == {"node-2": ["nodes/node-2/"], **theirs, "the SuperLink": keys}
    assert consortium.node_folder(1).keys[2] == before  # which is why it has to be told
    for node in (1, 3):
        consortium.delivered(node)
    assert consortium.node_folder(1).keys[2] == Identity.read(consortium.place(2)).own.sealing.hex() != before
    assert consortium.p2p(1) == dict.fromkeys(range(4), 1)


@pytest.mark.slow
def test_under_pins_both_keys_may_stand_in_a_policy(consortium, capsys):
    """Node 1's site pins its neighbours' keys: the new one of node 2 is turned away until it stands there, too."""
    path = consortium.policy(1)
    policy = yaml.safe_load(path.read_text())
    pinned = {
        f"node-{node}": [
            hashlib.sha256(Identity.read(consortium.place(node)).own.sealing).hexdigest(),
            key_digest(Identity.read(consortium.place(node)).certificate),
        ]
        for node in (0, 2)
    }

    def pin():
        policy["peers"]["pinned"] = pinned
        path.write_text(yaml.safe_dump(policy))

    pin()
    assert consortium.p2p(1) == dict.fromkeys(range(4), 1)
    assert "turned away" not in capsys.readouterr().out
    renewed(consortium, 2)
    pinned["node-2"].append(new := key_digest(Identity.read(consortium.place(2)).certificate))
    consortium.p2p(2, round_timeout=0.5)
    said = capsys.readouterr().out
    assert f"the key of node-2's certificate is not pinned in this site's policy: {new}" in said
    pin()
    assert consortium.p2p(3) == dict.fromkeys(range(4), 3)
    assert "turned away" not in capsys.readouterr().out


def test_the_end_of_a_certificate_is_told_in_time(tmp_path):
    authority, now = Authority("test"), datetime.now(UTC)
    init(tmp_path / "node-0")
    certificate = Certificate.of(authority.issue("node-0", valid=timedelta(days=60)).certificate)
    assert list(endings([certificate], now)) == []
    soon, late = now + timedelta(days=31), now + timedelta(days=61)
    day = f"{certificate.ends:%Y-%m-%d}"
    assert list(endings([certificate], soon)) == [
        f"the certificate of node-0 ends on {day}: have its host make a new key, and sign it"
    ]
    assert f"node-0 ended on {day}" in next(endings([certificate], late))
    (tmp_path / "node-0.crt").write_bytes(certificate.pem)
    counts = [_counts(tmp_path / "node-0.crt", Revoked(), when) for when in (now, soon, late)]
    assert counts == [f"until {day}", f"until {day} (soon)", f"ended {day}"]
    assert _counts(tmp_path / "node-0.crt", Revoked(2, frozenset([certificate.serial])), now) == "revoked"


def test_a_lab_has_all_keys_in_one_place_and_can_renew_them_too(tmp_path):
    deployment = Deployment(small(), tmp_path)
    assert "This is a lab's deployment" in (deployment.folder / "README.md").read_text()
    request = renew(deployment.place(0))
    assert request.name == "node-0"
