"""What is sure of updates whatever rule mixes: beside the algebra of sums, and beside what a rule really does."""

import networkx as nx
import numpy as np
import pytest
import torch
from reference.experiments import small

from auditing.network_privacy.linear_rounds import rounds_of
from auditing.reconstruction.certainty import certain
from auditing.reconstruction.observers import OBSERVERS
from auditing.reconstruction.plan import Seen
from auditing.reconstruction.solvability import solvability
from auditing.views.record import RunRecord, Stored
from simulator import run
from topologies import Failures, Network, Topology
from topologies.schedules import build_schedule

ROUNDS = 4
NEVER = Failures()


def network(graph, failures=NEVER):
    return Network(build_schedule("static", Topology.from_networkx(graph)), failures)


def surely(found, who, lying=()):
    links = [found.at(round) for round in range(ROUNDS)]
    return np.stack(list(certain(links, OBSERVERS[who](found.base), lying)))


@pytest.mark.parametrize("who", ["nodes", "pairs", "edges", "all"])
@pytest.mark.parametrize("failures", [NEVER, Failures(links=0.3), Failures(nodes=0.3)])
def test_what_is_sure_is_computed_from_sums_too(who, failures):
    found = network(nx.random_regular_graph(4, 8, seed=1), failures)
    sure, algebra = surely(found, who), solvability(rounds_of(found, ROUNDS), OBSERVERS[who](found.base))
    assert np.array_equal(np.isnan(sure), ~algebra.made)
    assert (sure == 1).any()
    assert algebra.solved[sure == 1].all()


def test_who_hears_all_that_a_node_mixes_knows_its_updates_for_ever_and_others_the_first():
    assert np.nanmin(surely(network(nx.complete_graph(5)), "nodes")) == 1
    ring = np.nan_to_num(surely(network(nx.cycle_graph(6)), "nodes"))
    assert np.argwhere(ring[0]).tolist() == [[1, 0], [5, 0]]  # node, and place of the round
    assert np.nanmin(surely(network(nx.cycle_graph(6)), "all")) == 1


def test_an_attacker_who_may_tell_everybody_something_else_knows_more_than_the_others():
    found = surely(network(nx.complete_graph(5)), "nodes", lying=[4])
    assert np.isnan(found[:, 4]).all()
    honest = np.nan_to_num(found[:4, :4])
    assert honest[:, :, 0].sum() == 12
    assert honest[:, :, 1:].sum() == 0
    assert np.nanmin(found[4, :4]) == 1
    assert np.nanmin(surely(network(nx.complete_graph(5)), "all", lying=[4])[0, :4]) == 1


def test_who_hears_everybody_works_out_what_a_rule_does(tmp_path):
    changes = ("topology.graph=complete", "rounds=3", "record.rounds=[1,2,3]", "data.public=[]")
    done = run(small(*changes, mixer={"name": "median"}), tmp_path)
    record = RunRecord.of(done)
    for round in (1, 2):
        heard = [record.load(record.message(round, node, (node + 1) % 4)) for node in range(4)]
        ordered = torch.stack(heard).sort(0).values
        assert torch.allclose((ordered[1] + ordered[2]) / 2, record.load(Stored("start", 1, round + 1)), atol=1e-7)
    seen = Seen.in_network(done.experiment, "nodes")
    assert seen.sure
    assert seen.of.solved.sum() == 4 * 3 * 3
