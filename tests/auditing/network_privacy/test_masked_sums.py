"""What masked neighbour sums tell: less than single messages, and the same where there is one honest sender."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from reference.experiments import small

from auditing.network_privacy.contributions import simple
from auditing.network_privacy.linear_gossip import Adversary, Noise, exposure
from auditing.network_privacy.linear_rounds import rounds_of
from auditing.network_privacy.network_dp import by_distance, network_epsilon
from simulator import cli, run
from simulator.privacy.gaussian_dp import epsilons_of
from topologies import Topology, distances

SIGMA, ROUNDS, DELTA = 4.0, 10, 1e-5
NOISY = {"name": "correlated_noise", "noise_multiplier": SIGMA, "correlated_multiplier": 0.0, "clip": 0.1}
PRIVATE = {"data.public": [], "evaluate.every": ROUNDS, "data.partition": "iid", "data.validation": 0}


def each(topology, sums):
    return [replace(Adversary.node(node), sums=sums) for node in range(topology.num_nodes)]


def epsilons(topology, sums, observers=None):
    return network_epsilon(topology, ROUNDS, SIGMA, DELTA, observers=observers or each(topology, sums))


@pytest.mark.parametrize(
    ("graph", "plain", "masked", "further"),
    [("ring", 3.34, 2.26, [0.94, 0.45, 0.20, 0.07]), ("torus", 3.31, 1.53, [0.64, 0.50, 0.42])],
)
def test_neighbours_learn_a_third_less_by_the_closed_bound_and_no_node_ever_more(graph, plain, masked, further):
    topology = Topology.build(graph, 16)
    rounds = rounds_of(topology, ROUNDS)
    for sums, expected in ((False, plain), (True, masked)):
        bound = simple(exposure(rounds, Noise(SIGMA), replace(Adversary.node(0), sums=sums)))
        found = by_distance(epsilons_of(bound, DELTA), distances(topology.graph)[0])
        assert found[1].max() == pytest.approx(expected, abs=0.005)
    assert [found[d].max() for d in range(2, 2 + len(further))] == pytest.approx(further, abs=0.006)
    exact = epsilons(topology, True)
    assert (exact <= epsilons(topology, False) + 1e-9)[~np.eye(16, dtype=bool)].all()


def test_a_single_sender_is_seen_as_by_gossip():
    chain = Topology.build("chain", 5)
    masked, plain = epsilons(chain, True), epsilons(chain, False)
    np.testing.assert_allclose(masked[:, 0], plain[:, 0])
    assert (masked[1:4, 2] < plain[1:4, 2])[[0, 2]].all()


def test_with_all_but_one_of_its_neighbours_on_its_side_an_observer_sees_the_last_one_as_by_gossip():
    """On a ring node 0 and its neighbour 1: of what 0 hears, all but the term of node 15 is known to the two."""
    ring = Topology.build("ring", 16)
    pair = Adversary.coalition([0, 1])
    masked, plain = (epsilons(ring, sums, [replace(pair, sums=sums)]) for sums in (True, False))
    np.testing.assert_allclose(masked, plain)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The run whose figures are printed."""
    wanted = {"mixer": "masked_sums", "topology": {"graph": "torus", "nodes": 16}, "methods": [NOISY]}
    settings = [f"{name}={json.dumps(value)}" for name, value in PRIVATE.items()]
    return run(small(*settings, f"rounds={ROUNDS}", "record.every=5", **wanted), tmp_path_factory.mktemp("masked"))


@pytest.mark.slow
def test_the_audit_takes_the_nodes_of_a_masked_run_as_hearing_sums(done, monkeypatch, capsys):
    command = ["rumormill", "audit", str(done.path), "graphs=[ring]", "--audit", "network_privacy"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    result = json.loads((done.path / "audit" / "network_privacy" / "result.json").read_text())
    torus = Topology.build("torus", 16)
    np.testing.assert_allclose(np.array(result["epsilon"], dtype=float), epsilons(torus, True))
    beside = [at["largest"] for at in result["single_messages"]]
    assert beside == pytest.approx([3.18, 0.96, 0.57, 0.42], abs=0.006)
    assert result["all_messages"] > beside[0]
    assert result["published"] is None
    assert [at["largest"] for at in result["graphs"]["ring"]][:3] == pytest.approx([2.17, 0.94, 0.45], abs=0.006)
    assert "epsilon 1.4" in " ".join(capsys.readouterr().err.split())
