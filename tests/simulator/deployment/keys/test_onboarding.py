"""Keys that are made on the hosts: nothing secret travels, and what is wrong or nearly right is told by name."""

import shutil
import stat
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from reference.deployment import Consortium, Deployment
from reference.experiments import results, small
from typer.testing import CliRunner

from simulator import run
from simulator.cli import app
from simulator.core.errors import InputError
from simulator.deployment.host import check_keys
from simulator.deployment.keys.authority import Authority, authority_fingerprint
from simulator.deployment.keys.on_the_host import init, join
from simulator.deployment.keys.private import FILES
from simulator.deployment.keys.request import SEALING, SUPERNODE, Request
from simulator.deployment.keys.signing import sign
from simulator.deployment.keys.spoken import spoken, word
from simulator.deployment.transport.certificates import name_of


@pytest.fixture
def consortium(tmp_path):
    return Consortium(small(rounds=2), tmp_path)


@pytest.fixture(scope="module")
def onboarded(tmp_path_factory):
    """Not to be changed."""
    return Consortium(small(), tmp_path_factory.mktemp("onboarded")).onboarded()


def secrets_of(place):
    """What must not stand in any other file: each key as it lies there, and its bytes in two encodings."""
    for name in FILES:
        content = (place / name).read_bytes()
        yield content.strip().splitlines()[1] if b"-----" in content else content
    number = load_pem_private_key((place / "node.key").read_bytes(), None).private_numbers().private_value
    yield number.to_bytes(32)
    yield (place / "seal.key").read_bytes().hex().encode()


def test_no_private_key_is_in_anything_that_the_organiser_has_or_sends(onboarded):
    """Its folder holds what goes to each host; a lab's, which does have them, shows that the search finds them."""
    made = [file for file in onboarded.folder.rglob("*") if file.is_file()]
    assert len(made) > 40
    everything = b"\n".join(file.read_bytes() for file in made)
    requests = b"\n".join((onboarded.place(node) / "request.csr").read_bytes() for node in range(4))
    for node in range(4):
        place = onboarded.place(node)
        assert not any(secret in everything + requests for secret in secrets_of(place))
        found = b"\n".join(file.read_bytes() for file in place.rglob("*") if file.is_file())
        assert all(secret in found for secret in list(secrets_of(place))[:3])
        for name in FILES:
            assert stat.S_IMODE((place / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.slow
def test_a_run_with_keys_made_on_the_hosts_gives_the_bytes_of_local(onboarded, tmp_path):
    for node in range(4):
        check_keys(onboarded.node_folder(node))
    for until in (3, 6):
        assert onboarded.p2p(until) == dict.fromkeys(range(4), until)
    local = run(small(), tmp_path / "local")
    assert results(onboarded.collected(tmp_path / "deployed")) == results(local.path)


def test_sites_are_signed_one_after_the_other_and_start_when_their_neighbours_are(consortium):
    """On a ring of four, 0 and 2 are neighbours of 1 and 3."""
    first = sign(consortium.folder, "node-0", consortium.request(0))
    assert first.unsigned == ["node-1", "node-2", "node-3"]
    assert first.parcels["node-1"] == ["nodes/node-1/neighbours/node-0.crt"]
    with pytest.raises(InputError, match=r"neighbours: holds no certificate of node-1, node-3, which the organiser"):
        consortium.delivered(0)
    sign(consortium.folder, "1", consortium.request(1))
    assert sign(consortium.folder, "node-3", consortium.request(3)).unsigned == ["node-2"]
    consortium.delivered(0)
    check_keys(consortium.node_folder(0))
    keys = consortium.node_folder(0).keys
    assert bytes.fromhex(keys[1]) == Request.read(consortium.place(1) / "request.csr").sealing


def typed(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_two_people_compare_the_same_words(consortium, tmp_path):
    """What the commands of a host and of the organiser print."""
    words = []
    for node in range(4):
        name = name_of(node)
        told = typed("site", "init", consortium.place(node))
        signed = typed("deploy", "sign", consortium.folder, name, consortium.place(node) / "request.csr")
        words.append(Request.read(consortium.place(node) / "request.csr").fingerprint)
        assert words[-1] in told
        assert words[-1] in signed
    joined = typed("site", "join", consortium.place(2), consortium.folder / "nodes" / "node-2")
    authority = authority_fingerprint((consortium.folder / "authority" / "ca.crt").read_bytes())
    assert authority in joined
    assert authority in (consortium.folder / "README.md").read_text().replace("\n", " ")
    assert len({*words, authority}) == 5
    assert all(len(each.split()) == 8 for each in words)


def test_fingerprints_are_words_of_sixteen_bits_each():
    """The proposal's own examples are 127.0.0.1 and 63.84.220.193; the SHA-256 of nothing begins with e3b0c442."""
    assert [word(number) for number in (0x7F00, 0x0001, 0x3F54, 0xDCC1)] == ["lusab", "babad", "gutih", "tugad"]
    assert spoken(b"").split()[:2] == [word(0xE3B0), word(0xC442)]


@pytest.mark.parametrize("option", [(), ("--node", "node-7x"), ("--node", "oslo")])
def test_a_folder_that_is_not_called_like_a_node_needs_its_name(option, tmp_path):
    result = CliRunner().invoke(app, ["site", "init", str(tmp_path / "keys"), *option])
    assert isinstance(result.exception, InputError)
    assert "--node node-2" in str(result.exception)
    assert not (tmp_path / "keys").exists()


def changed(request):
    """Another sealing key in it: one bit."""
    lines = request.read_text().splitlines()
    middle = len(lines) // 2
    flipped = "B" if lines[middle][10] != "B" else "C"
    lines[middle] = lines[middle][:10] + flipped + lines[middle][11:]
    request.write_text("\n".join(lines))


def of_another_kind(request):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node-0")])
    bare = x509.CertificateSigningRequestBuilder(name).sign(key, hashes.SHA256())
    request.write_bytes(bare.public_bytes(Encoding.PEM))


def with_sealing_key(info):
    """A request whose site chose that as its public key for sealing."""

    def spoil(request):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node-0")])
        builder = x509.CertificateSigningRequestBuilder(name)
        supernode = ec.generate_private_key(ec.SECP384R1()).public_key()
        keys = {SEALING: info, SUPERNODE: supernode.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}
        for oid, key in keys.items():
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, key), critical=False)
        made = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        request.write_bytes(made.public_bytes(Encoding.PEM))

    return spoil


X25519_INFO = bytes.fromhex("302a300506032b656e032100")  # what goes before the 32 bytes of such a key
BAD_REQUESTS = {
    "a key with which all secrets are nought": (with_sealing_key(X25519_INFO + bytes(32)), "is no request of a node"),
    "a key of an unknown kind": (
        with_sealing_key(X25519_INFO.replace(b"\x65\x6e", b"\x65\x01") + bytes(32)),
        "is no request of a node",
    ),
    "changed on the way": (changed, r"request.csr: (has been changed: its signature|is no request of a node)"),
    "without the other keys": (of_another_kind, r"request.csr: is no request of a node: .*(.|\n)*site init"),
    "not there": (lambda request: request.unlink(), r"request.csr: cannot be read: No such file"),
    "a private key": (lambda request: shutil.copy(request.parent / "node.key", request), "holds a private key"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_what_is_no_request_is_not_signed(case, consortium):
    spoil, told = BAD_REQUESTS[case]
    request = consortium.request(0)
    spoil(request)
    with pytest.raises(InputError, match=told):
        sign(consortium.folder, "node-0", request)
    assert not (consortium.folder / "nodes" / "node-0" / "node.crt").exists()


def test_a_request_is_signed_for_its_own_node_once(consortium, tmp_path):
    request = consortium.request(0)
    with pytest.raises(InputError, match=r"request.csr: is a request of node-0, not of node-1.\n.*Sign it as the node"):
        sign(consortium.folder, "node-1", request)
    with pytest.raises(InputError, match=r"NODE: there is no node 'node-4'.\n.*Did you mean 'node-"):
        sign(consortium.folder, "node-4", request)
    sign(consortium.folder, "node-0", request)
    sign(consortium.folder, "node-0", request)  # the same keys again
    other = init(tmp_path / "stranger", "node-0")
    with pytest.raises(
        InputError, match=r"asks for another key than the one that node-0 has(.|\n)*add --renew"
    ) as told:
        sign(consortium.folder, "node-0", tmp_path / "stranger" / "request.csr")
    assert other.fingerprint in str(told.value)


def test_two_nodes_do_not_share_a_key(consortium):
    from simulator.deployment.keys.private import PrivateKeys
    from simulator.deployment.keys.request import write_request

    sign(consortium.folder, "node-0", consortium.request(0))
    theirs = PrivateKeys.read(consortium.place(0))
    file = consortium.folder.parent / "request.csr"
    file.write_bytes(write_request(theirs, "node-1"))
    with pytest.raises(InputError, match="asks for a key that node-0 has"):
        sign(consortium.folder, "node-1", file)


def signed_folder(consortium, tmp_path, node=0):
    """A copy of what the organiser would send."""
    return shutil.copytree(consortium.folder / "nodes" / f"node-{node}", tmp_path / "signed")


def other_authority(signed):
    (signed / "ca.crt").write_bytes(Authority("other").certificate)


def certified(valid):
    """A certificate of the right keys that counts at another time."""

    def spoil(signed, consortium):
        authority = Authority.read(consortium.folder / "authority")
        request = Request.read(consortium.place(0) / "request.csr")
        (signed / "node.crt").write_bytes(authority.certify(request, valid=valid))

    return spoil


def not_yet(signed, consortium):
    from simulator.deployment.keys import authority

    with pytest.MonkeyPatch.context() as patch:
        clock = authority.datetime

        class Tomorrow(clock):
            @classmethod
            def now(cls, zone=None):
                return clock.now(zone) + timedelta(days=1)

        patch.setattr(authority, "datetime", Tomorrow)
        certified(timedelta(days=9))(signed, consortium)


def copied(name, there):
    return lambda signed, consortium: shutil.copy(consortium.folder / there, signed / name)


BAD_FOLDERS = {
    "another node's": (
        lambda signed, consortium: shutil.copytree(consortium.folder / "nodes" / "node-1", signed, dirs_exist_ok=True),
        "is the folder of node-1, and these keys are of node-0",
    ),
    "with private keys": (
        lambda signed, consortium: shutil.copy(consortium.place(0) / "seal.key", signed),
        r"holds private keys: seal.key. Whoever",
    ),
    "a certificate of other keys": (
        copied("node.crt", "nodes/node-1/node.crt"),
        r"node.crt: the certificate of node-0 in it is of other keys than this host's",
    ),
    "another authority's": (
        lambda signed, consortium: other_authority(signed),
        "ca.crt: is of another authority than the one that node-0 has joined",
    ),
    "an expired certificate": (certified(timedelta(days=-1)), r"the certificate of node-0 expired on"),
    "one that is not valid yet": (not_yet, r"node-0 is not valid before .* UTC.\n.*clock"),
    "a certificate under another name": (
        copied("neighbours/node-1.crt", "nodes/node-1/neighbours/node-2.crt"),
        r"node-1.crt: is the certificate of node-2, and not that of node-1",
    ),
    "no list of revoked ones": (
        lambda signed, consortium: (signed / "revoked.crl").unlink(),
        r"revoked.crl: cannot be read",
    ),
    "no node's": (lambda signed, consortium: (signed / "node.yaml").unlink(), "is not the folder of a node"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_what_does_not_fit_is_not_joined(case, onboarded, tmp_path):
    spoil, told = BAD_FOLDERS[case]
    keys = shutil.copytree(onboarded.place(0), tmp_path / "node-0")
    before = {file: file.read_bytes() for file in keys.rglob("*") if file.is_file()}
    signed = signed_folder(onboarded, tmp_path)
    spoil(signed, onboarded)
    with pytest.raises(InputError, match=told):
        join(keys, signed)
    assert before == {file: file.read_bytes() for file in keys.rglob("*") if file.is_file()}


def test_what_the_sites_people_have_written_stays(consortium, tmp_path):
    consortium.onboarded()
    own = consortium.place(0) / "node.yaml"
    own.write_text(own.read_text().replace("127.0.0.1", "10.0.0.7"))
    (consortium.folder / "nodes" / "node-0" / "start.sh").write_text("#!/bin/sh\nrm -rf /\n")
    _, changed = consortium.delivered(0)
    assert changed == []
    assert "10.0.0.7" in own.read_text()
    assert "rumormill-host" in (consortium.place(0) / "start.sh").read_text()


@pytest.mark.parametrize("name", FILES)
def test_a_private_key_that_others_can_read_starts_nothing(name, tmp_path):
    deployment = Deployment(small(), tmp_path)
    key = deployment.place(0) / name
    key.chmod(0o640)
    with pytest.raises(InputError, match=rf"{name}: others than its owner can use this private key(.|\n)*chmod 600"):
        check_keys(deployment.node_folder(0))
    if name == "node.key":
        assert isinstance(deployment.p2p(1, nodes=[0])[0], InputError)
    key.chmod(0o600)
    (deployment.place(0) / "node.key").write_bytes((deployment.place(1) / "node.key").read_bytes())
    with pytest.raises(InputError, match=r"the certificate of node-0 is of another key than node.key"):
        check_keys(deployment.node_folder(0))


def test_the_authority_is_needed_to_sign_and_must_be_whole(consortium):
    request, key = consortium.request(0), consortium.folder / "authority" / "ca.key"
    key.chmod(0o644)
    with pytest.raises(InputError, match="others than its owner"):
        sign(consortium.folder, "node-0", request)
    key.chmod(0o600)
    key.write_bytes(Authority("other").key)
    with pytest.raises(InputError, match=r"ca.key is not the key of ca.crt"):
        sign(consortium.folder, "node-0", request)
    key.unlink()
    with pytest.raises(InputError, match=r"ca.key: cannot be read(.|\n)*with `authority/` in it"):
        sign(consortium.folder, "node-0", request)
