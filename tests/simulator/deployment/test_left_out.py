"""Runs one of whose hosts never comes back, and messages that go one way alone: collected, and said everywhere."""

import shutil

import pytest
import torch
from reference.deployment import Deployment
from reference.experiments import METHODS, small

from simulator import Run, audit, resume, run
from simulator.core.errors import InputError
from simulator.deployment.collect import collect
from simulator.deployment.transport.gossip import Neighbours
from simulator.results.comparison.table import compare
from simulator.results.comparison.text import as_markdown
from simulator.results.report.participation import Participation
from simulator.runs.report import write_run_report


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """A deployment whose node 3 is gone for good after two rounds of six; and what is collected of the others."""
    path = tmp_path_factory.mktemp("lost")
    deployment = Deployment(small(rounds=6, methods=METHODS, checkpoint={"every": 2, "keep": "all"}), path)
    deployment.p2p(2)
    assert deployment.p2p(6, nodes=[0, 1, 2], away=[3]) == dict.fromkeys((0, 1, 2), 6)
    shutil.rmtree(deployment.place(3))
    deployment.done = collect(deployment.folder, path / "runs", without=["node-3"])
    return deployment


@pytest.mark.slow
def test_what_is_collected_is_what_the_others_have_become(lost, tmp_path):
    topology = {"graph": "ring", "nodes": 4, "failures": {"absences": [[3, 3, 6]]}}
    twin = run(small(rounds=6, methods=METHODS, topology=topology), tmp_path)
    states, own = (Run.open(each.path).checkpoints.load(6).nodes for each in (lost.done, twin))
    assert sorted(states) == [0, 1, 2]
    assert all(torch.equal(states[node]["parameters"], own[node]["parameters"]) for node in states)
    assert {metric.node for metric in lost.done.metrics()} == {None, 0, 1, 2}
    assert {3} & {m[end] for m in lost.done.directory.messages() for end in ("sender", "receiver")} == set()
    scores, own = ([m for m in each.metrics() if m.name == "test/accuracy"] for each in (lost.done, twin))
    assert scores == [metric for metric in own if metric.node in (0, 1, 2)]


def test_it_is_named_wherever_the_run_is_read(lost):
    page = write_run_report(lost.done.directory).read_text()
    assert "This run was collected without node 3: no figure here counts what is theirs" in page
    assert "the 3 nodes have a test accuracy" in page
    assert "not collected" in page
    assert "| 0 (without node 3: 0) |" in as_markdown(compare([lost.done.directory]))


@pytest.mark.parametrize(
    "use",
    [
        lambda done: audit(done, "membership", signals=["loss"]),
        lambda done: audit(done, "network_privacy"),
        lambda done: done.models(6),
        lambda done: done.running(6),
        lambda done: done.nodes,
        lambda done: resume(done.path, 4),
    ],
    ids=["membership", "network privacy", "models", "statistics", "nodes", "resume"],
)
def test_what_needs_all_models_refuses_it_by_name(use, lost):
    with pytest.raises(InputError, match="was collected without node 3, whose models are not known"):
        use(lost.done)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "holds 0 of 6 rounds .*\n.*--without node-3"),
        (["3"], "'3' is no node of this deployment, which has node-0 to node-3"),
        (["node-0", "node-3"], "holds all rounds of node-0, which is not to be left out"),
        ([f"node-{node}" for node in range(4)], "no node is left to collect"),
    ],
)
def test_only_what_is_not_there_is_left_out_and_only_where_that_is_said(names, problem, lost, tmp_path):
    with pytest.raises(InputError, match=problem):
        collect(lost.folder, tmp_path, without=names)
    assert not list(tmp_path.iterdir())


def test_one_way_is_what_is_known_to_have_come_the_other_way():
    lost = {(1, 0): [2, 5, 7], (0, 1): [5], (3, 0): [2, 4], (2, 1): [6]}
    found = Participation(not_collected=[3], away={1: [7], 2: [6]}, lost=lost)
    assert found.one_way == {(1, 0): [2]}  # not where both were lost, the sender was away, or its word is not had


def test_rounds_in_which_a_message_went_one_way_alone_are_named(tmp_path, monkeypatch):
    """Node 1 does not get what node 0 sends in round 2, which has its own; and node 3 is away in round 3."""
    hear = Neighbours._hear

    def without(self, position, ways, *given):
        heard, senders = hear(self, position, ways, *given), [way.node for way in ways]
        if sorted(senders) == [0, 2] and position == 1:
            heard.messages = [message for message in heard.messages if (message.sender, message.receiver) != (0, 1)]
            heard.lost += [0] if len(heard.messages) == 1 else []
        return heard

    deployment = Deployment(small(rounds=3), tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Neighbours, "_hear", without)
        deployment.p2p(2)
    deployment.p2p(3, nodes=[0, 1, 2], away=[3])
    deployment.p2p(3, nodes=[3], over=3)
    page = write_run_report(Run.open(deployment.collected(tmp_path / "runs")).directory).read_text()
    assert "In rounds 2 messages went one way alone, so that the weights of these rounds keep no mean" in page
