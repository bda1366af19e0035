"""Rounds of several exchanges, deployed: broken off in the middle, with a neighbour lost, and misled."""

import threading
import time

import pytest
import torch
from reference import deployment as reference_deployment
from reference.deployment import Deployment
from reference.experiments import results, small
from reference.marks import first

from simulator import run
from simulator.deployment.transport.box import Answer, Found, asked
from simulator.deployment.transport.mailbox import Mailbox
from simulator.deployment.transport.neighbour import Neighbour
from simulator.deployment.transport.positions import Positions
from simulator.deployment.transport.saved_rounds import SavedRounds

NGC = {"name": "neighbourhood_gradient_clustering"}
EARLY = {"name": "gossip", "order": "combine_then_adapt"}
ROUNDS = 2


def experiment(*overrides, **changes):
    return small(*overrides, **{"mixer": EARLY, "methods": [NGC], "rounds": ROUNDS} | changes)


def on_local(experiment, path):
    return run(experiment.model_copy(update={"backend": small().backend}), path / "local")


def memory_of(deployment, node):
    return deployment.node_folder(node).memory(deployment.manifest.run)


def models(deployment, nodes, rounds=ROUNDS):
    return torch.stack([memory_of(deployment, node).load(rounds)[0]["parameters"] for node in nodes])


def until_done(step):
    """``step``, done again and again until the node does not die of it."""

    def again(*arguments):
        while True:
            try:
                return step(*arguments)
            except KeyboardInterrupt:
                continue

    return again


@pytest.mark.slow
@pytest.mark.parametrize("plane", first(["p2p", "relay"]))
def test_a_node_that_dies_in_the_middle_of_rounds_changes_nothing(plane, tmp_path, monkeypatch):
    """Node 1 dies at every write of its second round, before or in the middle of it, and is started again."""
    once, write, deaths = experiment(rounds=3), SavedRounds._write, list[str]()
    deployment = Deployment(once, tmp_path, plane=plane)

    def dying(memory, file, data):
        if "node-1" in str(file) and file.name.startswith("000001") and file.name not in deaths:
            deaths.append(file.name)
            file.with_name(f".{file.name}").write_bytes(data[: len(data) // 2])
            raise KeyboardInterrupt
        write(memory, file, data)

    monkeypatch.setattr(SavedRounds, "_write", dying)
    monkeypatch.setattr(reference_deployment, "take_part", until_done(reference_deployment.take_part))
    assert deployment.on(plane, 3, seconds=60.0) == dict.fromkeys(range(4), 3)
    steps = ("early-1", "heard-1", "early-2", "heard-2", "work", "absorb")
    assert deaths == [f"000001-{step}.safetensors" for step in steps]
    assert results(deployment.collected(tmp_path / "deployed")) == results(on_local(once, tmp_path).path)
    kept = memory_of(deployment, 1)._path.glob("*heard*")
    assert {file.name[:6] for file in kept} == {"000002"}  # of the two last states, that which a round follows


@pytest.mark.slow
def test_a_neighbour_that_is_never_there_is_as_one_that_is_away(tmp_path):
    deployment = Deployment(experiment(), tmp_path)
    found = deployment.p2p(ROUNDS, nodes=[0, 1, 2], join_timeout=2.0, seconds=60.0)
    assert found == dict.fromkeys((0, 1, 2), ROUNDS)
    away = on_local(experiment(f"topology.failures={{absences: [[3, 1, {ROUNDS}]]}}"), tmp_path)
    assert torch.equal(models(deployment, (0, 1, 2)), torch.as_tensor(away.models(ROUNDS)[:3]))


def passing_on(monkeypatch, arrives):
    """Let all messages be lost for which ``arrives(round, exchange, sender, receiver)`` is not true."""
    honest, positions = Mailbox._fetch, Positions(exchanges=3)

    def fetch(server, receiver, question, more, seconds):
        _, sender, position, _ = asked(question)
        round, exchange = positions.split(position)
        if arrives(round - 1, exchange, sender, receiver):
            return honest(server, receiver, question, more, seconds)
        return Found(Answer.GONE, position).encode()

    monkeypatch.setattr(Mailbox, "_fetch", fetch)


def test_models_that_are_lost_one_way_are_as_links_that_fail_so(tmp_path, monkeypatch, capsys):
    """Who has not heard a model returns no gradient to it, and is not missed for that."""
    failing = experiment("topology.failures={links: 0.4, symmetric: false}")
    at = failing.topology.build(failing.seed).at
    passing_on(monkeypatch, lambda round, k, sender, to: k > 1 or bool(at(round).weights[to, sender]))
    deployment = Deployment(experiment(), tmp_path)
    assert deployment.p2p(ROUNDS, seconds=60.0) == dict.fromkeys(range(4), ROUNDS)
    assert torch.equal(models(deployment, range(4)), torch.as_tensor(on_local(failing, tmp_path).models(ROUNDS)))
    replies = [memory_of(deployment, node).reply(round, "absorb") for node in range(4) for round in range(ROUNDS)]
    lost = [metric for reply in replies for metric in reply.metrics if metric.name.startswith(("lost", "refused"))]
    assert lost
    assert {metric.value for metric in lost} == {1.0}  # in the first exchange of a round
    assert "refused" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_node_does_not_leave_before_it_has_said_that_it_has_nothing_for_a_neighbour(tmp_path, monkeypatch, capsys):
    """Node 1 asks late, and node 0, which has not heard its model, has no gradient for it."""
    passing_on(monkeypatch, lambda round, k, sender, to: (k, sender, to) != (1, 1, 0))
    ask, end = Neighbour.ask, Positions(exchanges=3).of(ROUNDS, 2)

    def late(way, position, deadline):
        if threading.current_thread().name == "node-1" and position == end:
            time.sleep(1.5)
        ask(way, position, deadline)

    monkeypatch.setattr(Neighbour, "ask", late)
    began = time.monotonic()
    assert Deployment(experiment(), tmp_path).p2p(ROUNDS, seconds=60.0) == dict.fromkeys(range(4), ROUNDS)
    assert time.monotonic() - began < 30  # of round_timeout, which nobody waits for in vain
    assert "silent" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_gradient_that_is_lost_is_left_out_of_the_mean_and_the_models_are_mixed_all_the_same(tmp_path, monkeypatch):
    whole, lossy = (Deployment(experiment(rounds=1), tmp_path / name) for name in "ab")
    whole.p2p(1)
    passing_on(monkeypatch, lambda round, k, sender, to: (k, sender, to) != (2, 1, 0))
    lossy.p2p(1)
    differ = (models(whole, range(4), 1) != models(lossy, range(4), 1)).any(dim=1)
    assert differ.tolist() == [True, False, False, False]
