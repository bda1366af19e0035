"""Masked sums in a deployment: keys of nodes two hops apart, certified and pinned, and what is done without one."""

import hashlib

import pytest
import yaml
from reference.deployment import Consortium, Deployment
from reference.experiments import results, small
from reference.marks import first

from simulator import run
from simulator.core.errors import InputError
from simulator.deployment.keys.signing import revoke, sign
from simulator.results.run_directory import RunDirectory

RING = {"graph": "ring", "nodes": 5}


def masked(**changes):
    return small(**{"mixer": "masked_sums", "topology": RING, "rounds": 4, "checkpoint": {"every": 2}, **changes})


@pytest.mark.slow
def test_co_senders_share_secrets_that_the_receiver_has_not(tmp_path):
    deployment = Deployment(masked(), tmp_path)
    folders = [deployment.node_folder(node) for node in range(5)]
    assert [folder.co_senders for folder in folders] == [[2, 3], [3, 4], [0, 4], [0, 1], [1, 2]]
    secrets = [folder.secrets("run").links for folder in folders]
    assert all(secrets[one][other] == secrets[other][one] for one in range(5) for other in range(5) if one != other)
    assert len({secret for links in secrets for secret in links.values()}) == 10
    assert [sorted(folder.public_keys) for folder in folders] == [sorted(folder.neighbours) for folder in folders]
    plain = Deployment(small(topology=RING), tmp_path / "plain").node_folder(0)
    assert not plain.co_senders
    assert sorted(plain.certificates()) == [1, 4]


def test_a_node_needs_the_certificates_of_its_co_senders_and_the_organiser_says_whom_to_send_them(tmp_path):
    consortium = Consortium(masked(), tmp_path)
    for node in (0, 1, 2, 4):
        sign(consortium.folder, f"node-{node}", consortium.request(node))
    with pytest.raises(InputError, match="holds no certificate of node-3"):
        consortium.delivered(0)  # whose neighbours are 1 and 4
    parcels = sign(consortium.folder, "node-3", consortium.request(3)).parcels
    assert "nodes/node-0/neighbours/node-3.crt" in parcels["node-0"]
    consortium.delivered(0)


def test_what_a_site_has_pinned_holds_for_co_senders_and_a_revoked_one_ends_the_run(tmp_path):
    deployment = Deployment(masked(), tmp_path)
    keys, policy = deployment.node_folder(0).known_keys, deployment.policy(0)
    content = yaml.safe_load(policy.read_text())
    pinned = {f"node-{node}": [hashlib.sha256(key).hexdigest()] for node, key in keys.items()}
    policy.write_text(yaml.safe_dump(content | {"peers": {"allow": "any", "pinned": pinned}}))
    deployment.gate(0)
    pinned["node-3"] = ["0" * 64]
    policy.write_text(yaml.safe_dump(content | {"peers": {"allow": "any", "pinned": pinned}}))
    with pytest.raises(Exception, match="the sealing key of node-3, from which masks of messages follow"):
        deployment.gate(0)
    policy.write_text(yaml.safe_dump(content))
    revoke(deployment.folder, "node-3")
    assert "node-3 has been revoked, and what this node sends is masked" in str(deployment.p2p(1, nodes=[0])[0])


@pytest.mark.slow
@pytest.mark.parametrize("plane", first(["p2p", "relay"]))
def test_deployed_nodes_give_the_bytes_of_a_simulation(plane, tmp_path):
    """Whatever masks are drawn, they cancel; in two phases, so that nodes go on from their disks."""
    deployment = Deployment(masked(), tmp_path, plane=plane)
    for until in (2, 4):
        assert deployment.on(plane, until) == dict.fromkeys(range(5), until)
    local = run(masked(), tmp_path / "local").path
    assert results(deployment.collected(tmp_path / "deployed")) == results(local)


@pytest.mark.slow
def test_who_misses_a_neighbour_keeps_its_model_and_says_so(tmp_path):
    """Node 2 is not there in rounds 3 and 4, and those in between 1 and 3 hear the sum of nothing that they can use."""
    deployment = Deployment(masked(rounds=6), tmp_path)
    assert deployment.manifest.goes_on
    assert deployment.p2p(2) == dict.fromkeys(range(5), 2)
    there = [0, 1, 3, 4]
    assert deployment.p2p(4, nodes=there, away={2}) == dict.fromkeys(there, 4)
    assert deployment.p2p(6, over=4) == dict.fromkeys(range(5), 6)
    told = RunDirectory(deployment.collected(tmp_path / "deployed")).metrics()
    assert {(m.node, m.round) for m in told if m.name == "masked_sums/discarded"} == {
        (node, round) for node in (1, 3) for round in (3, 4)
    }
