"""What noise by receiver promises between pairs, and how little to all neighbours together."""

import json

import numpy as np
import pytest
from reference.experiments import small

from auditing.network_privacy.audit import NetworkPrivacyAudit
from auditing.network_privacy.linear_gossip import Adversary
from auditing.network_privacy.linear_rounds import rounds_of
from auditing.network_privacy.link_noise import LinkNoise, link_exposure
from auditing.network_privacy.network_dp import pairwise
from auditing.network_privacy.report import section
from auditing.reconstruction.audit import ReconstructionAudit
from simulator import run
from simulator.core.errors import InputError
from simulator.privacy.gaussian_dp import epsilons_of
from simulator.runs.audit import audit
from topologies import Topology

ZIP = {"name": "zip_dl", "noise_multiplier": 4.0, "clip": 0.1}


@pytest.mark.parametrize(("graph", "nodes", "neighbours"), [("ring", 8, 2), ("torus", 16, 4), ("complete", 6, 5)])
def test_in_one_round_it_is_the_closed_form(graph, nodes, neighbours):
    """A lone neighbour faces s^2 (1 - 1 / (k + 1)), all k together s^2 / (k (k + 1))."""
    topology, k = Topology.build(graph, nodes), neighbours
    mu2 = pairwise(rounds_of(topology, 1), LinkNoise(4.0))
    neighbour = topology.neighbours(0)[0]
    assert mu2[0, neighbour] == pytest.approx((k + 1) / (16 * k))
    all_k = pairwise(rounds_of(topology, 1), LinkNoise(4.0), [Adversary.coalition(topology.neighbours(0))])[0, 0]
    assert all_k == pytest.approx(k * (k + 1) / 16) == pytest.approx(1 / LinkNoise(4.0).left(topology.links, 0))
    everything = pairwise(rounds_of(topology, 1), LinkNoise(4.0), [Adversary.everywhere()])[0, 0]
    assert everything == pytest.approx(all_k)


def test_drawn_messages_tell_as_much_as_is_accounted():
    """Node 1 of a ring of 4 hears three rounds, in which node 0 contributes 1 each time, or not; its own noise is 0."""
    topology, noise, observer = Topology.build("ring", 4), LinkNoise(4.0), 1
    rng, trials, heard = np.random.default_rng(0), 40_000, []
    models = np.zeros((2, 4, trials))  # without the contributions, and with them
    for _ in range(3):
        models[1, 0] += 1
        mixed = np.zeros_like(models)
        for node in range(4):
            whose, factor = noise.factor(topology.links, node)
            drawn = factor @ rng.normal(size=(len(whose), trials)) * (node != observer)
            for receiver, part in zip(whose, drawn, strict=True):
                mixed[:, receiver] += topology.weights[receiver, node] * (models[:, node] + part)
                if receiver == observer != node:
                    heard.append(models[:, node] + part)
        models = mixed
    without, within = np.stack(heard, axis=1)
    gap = (within - without).mean(1)
    seen = link_exposure(rounds_of(topology, 3), noise, Adversary.node(observer))
    assert gap @ np.linalg.solve(np.cov(without), gap) == pytest.approx(seen.blocks[0].sum(), rel=0.03)


def test_epsilon_grows_faster_than_under_noise_that_stays():
    rounds = rounds_of(Topology.build("ring", 16), 10)
    found = [epsilons_of(pairwise(rounds[:t], LinkNoise(4.0)), 1e-5)[1, 0] for t in (1, 2, 5, 10)]
    assert found == pytest.approx([1.16, 2.08, 5.03, 10.27], abs=0.005)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    settings = ("data.public=[]", "data.partition=iid", "rounds=3", "topology.nodes=6")
    return run(small(*settings, methods=[ZIP], record={"every": 1}), tmp_path_factory.mktemp("zip"))


def test_the_audit_reads_the_noise_from_the_run_and_says_what_holds(done):
    result = json.loads((audit(done.path, NetworkPrivacyAudit.Config(graphs=())) / "result.json").read_text())
    expected = epsilons_of(pairwise(rounds_of(Topology.build("ring", 6), 3), LinkNoise(4.0)), 1e-5)
    np.testing.assert_allclose(np.array(result["epsilon"], float), expected)
    assert result["noise"]["together"] == pytest.approx(4 / np.sqrt(6))
    assert result["all_messages"] > 2 * np.nanmax(expected)
    assert result["published"] is None
    said = " ".join(section(result).paragraphs)
    assert "estimate what it sent in a round to within 1.63 clipping norms" in said
    assert "holds in any case" not in said


def test_what_takes_messages_for_one_model_or_noise_for_one_of_gradients_refuses(done, tmp_path):
    with pytest.raises(InputError, match="zip_dl sends each receiver another model"):
        audit(done.path, ReconstructionAudit.Config())
    canaries = {"dataset": "digits", "canaries": {"number": 20, "kind": "block"}}
    private = {"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0}
    with pytest.raises(InputError, match="are followed in one message to all, and zip_dl sends others"):
        small(data=canaries, methods=[private, ZIP])
    other = run(small("data.public=[]", "rounds=2", "topology.weights=lazy", methods=[ZIP, {"name": "d2"}]), tmp_path)
    with pytest.raises(InputError, match="nodes of this run remember more"):
        audit(other.path, NetworkPrivacyAudit.Config())
