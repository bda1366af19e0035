"""Rounds of several exchanges, deployed: broken off in the middle, with a neighbour lost, and misled."""

import shutil

import pytest
import torch
from reference import deployment as reference_deployment
from reference.deployment import Deployment
from reference.experiments import results, small

from simulator import run
from simulator.core.errors import RunError
from simulator.deployment.records import sealed
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


@pytest.mark.parametrize("plane", ["p2p", "relay"])
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
    step = "take_part" if plane == "p2p" else "do_exchange"
    monkeypatch.setattr(reference_deployment, step, until_done(getattr(reference_deployment, step)))
    if plane == "p2p":
        assert deployment.p2p(3, seconds=60.0) == dict.fromkeys(range(4), 3)
    else:
        deployment.relay(3)
    steps = ("early-1", "heard-1", "early-2", "heard-2", "work", "absorb")
    assert deaths == [f"000001-{step}.safetensors" for step in steps]
    assert results(deployment.collected(tmp_path / "deployed")) == results(on_local(once, tmp_path).path)
    kept = memory_of(deployment, 1)._path.glob("*heard*")
    assert {file.name[:6] for file in kept} == {"000002"}  # of the two last states, that which a round follows


def test_a_neighbour_that_is_never_there_is_as_one_that_is_away(tmp_path):
    deployment = Deployment(experiment(), tmp_path)
    found = deployment.p2p(ROUNDS, nodes=[0, 1, 2], join_timeout=2.0, seconds=60.0)
    assert found == dict.fromkeys((0, 1, 2), ROUNDS)
    away = on_local(experiment(f"topology.failures={{absences: [[3, 1, {ROUNDS}]]}}"), tmp_path)
    assert torch.equal(models(deployment, (0, 1, 2)), torch.as_tensor(away.models(ROUNDS)[:3]))


def passing_on(monkeypatch, arrives):
    """Let the router lose all letters for which ``arrives(round, exchange, sender, receiver)`` is not true."""
    honest, steps = reference_deployment.route, reference_deployment.steps
    under_way = []

    def noted(manifest, start):
        for step in steps(manifest, start):
            under_way.append(step)
            yield step

    def route(replies, links):
        return honest(replies, {(sender, to) for sender, to in links if arrives(*under_way[-1], sender, to)})

    monkeypatch.setattr(reference_deployment, "steps", noted)
    monkeypatch.setattr(reference_deployment, "route", route)


def test_models_that_are_lost_one_way_are_as_links_that_fail_so(tmp_path, monkeypatch, capsys):
    """Who has not heard a model returns no gradient to it, and is not missed for that."""
    failing = experiment("topology.failures={links: 0.4, symmetric: false}")
    at = failing.topology.build(failing.seed).at
    passing_on(monkeypatch, lambda round, k, sender, to: k > 1 or bool(at(round).weights[to, sender]))
    deployment = Deployment(experiment(), tmp_path, plane="relay")
    deployment.relay(ROUNDS)
    assert torch.equal(models(deployment, range(4)), torch.as_tensor(on_local(failing, tmp_path).models(ROUNDS)))
    said = capsys.readouterr().out
    assert "round 1: going on without the messages of nodes" in said
    assert "exchange 2" not in said
    assert "refused" not in said


@pytest.mark.slow
def test_a_gradient_that_is_lost_is_left_out_of_the_mean_and_the_models_are_mixed_all_the_same(tmp_path, monkeypatch):
    whole, lossy = (Deployment(experiment(rounds=1), tmp_path / name, plane="relay") for name in "ab")
    whole.relay(1)
    passing_on(monkeypatch, lambda round, k, sender, to: (k, sender, to) != (2, 1, 0))
    lossy.relay(1)
    differ = (models(whole, range(4), 1) != models(lossy, range(4), 1)).any(dim=1)
    assert differ.tolist() == [True, False, False, False]


def test_what_was_heard_once_stands_and_nothing_may_be_left_out(tmp_path):
    deployment = Deployment(experiment(rounds=1), tmp_path, plane="relay")
    first, second = deployment.relay(1)[:2]
    mail = sealed(first[0], "from-")
    once = memory_of(deployment, 0).heard(0, 1).encode()
    deployment.relayed(0, 0, {}, exchange=2)
    assert memory_of(deployment, 0).heard(0, 1).encode() == once
    shutil.rmtree(memory_of(deployment, 0)._path)
    deployment.relayed(0, 0, {})
    with pytest.raises(RunError, match="given the mail of round 1, exchange 2, and has nothing of round 1 on its disk"):
        deployment.relayed(0, 0, sealed(second[0], "from-"), exchange=3)
    with pytest.raises(RunError, match="node 0 is asked for round 1, exchange 4, and its rounds have fewer"):
        deployment.relayed(0, 0, {}, exchange=4)
    deployment.relayed(0, 0, mail, exchange=2)
    assert memory_of(deployment, 0).heard(0, 1).encode() == once
