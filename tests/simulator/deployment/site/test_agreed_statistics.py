"""Deployed sites agree on the statistics of their simulation, and let out what their policies allow."""

import copy
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import yaml
from reference.experiments import results
from reference.marks import MANY
from reference.sites import SCHEMA, SIZES, rows_of, sites, write_sites, write_table

from simulator import run
from simulator.core.errors import InputError
from simulator.core.report import STATISTICS
from simulator.data.sites.schema import SCHEMAS
from simulator.data.sites.statistics import Statistics
from simulator.data.sites.sums import told
from simulator.deployment import agreement
from simulator.deployment.plan import deployable, plan
from simulator.deployment.site.check import examined
from simulator.deployment.site.declined import Declined
from simulator.deployment.site.example import schema_file
from simulator.deployment.site.gate import Gate
from simulator.deployment.site.ledger import verified
from simulator.deployment.site.words import plan_in_words
from simulator.deployment.transport.outbox import Outbox
from simulator.privacy.accounting import GaussianSteps
from simulator.results.run_directory import RunDirectory

RANGES = {"age": [-4.0, 6.0], "dose": [-5.0, 3.0]}
NOISE = {"noise_multiplier": 2.0, "unit": "sample"}
DP = {"name": "dp_sgd", "noise_multiplier": 2.0, "delta": 1e-3}
EVERYBODY = dict.fromkeys(range(4), True)


def agreeing(folder, *overrides, noise=None, **data):
    schema = copy.deepcopy(SCHEMA)
    for column in schema["columns"]:
        column.pop("mean", None)
        column.pop("std", None)
        if noise and column["name"] in RANGES:
            column["range"] = RANGES[column["name"]]
    block = {"names": list(SIZES), "data_schema": schema, "statistics": noise or "agreed", **data.pop("sites", {})}
    return sites(write_sites(folder), *overrides, sites=block, **data)


def kept(deployment):
    """What each node has on its disk of what was agreed on."""
    folders = [deployment.node_folder(node) for node in range(4)]
    return [(each.state(deployment.manifest.run) / STATISTICS).read_bytes() for each in folders]


def ledger(deployment, node, what="statistics"):
    lines = verified(deployment.policy(node).parent / "ledger.jsonl")
    return [line for line in lines if line["what"] == what]


def change_policy(deployment, node, **blocks):
    path = deployment.policy(node)
    policy = yaml.safe_load(path.read_text())
    for name, settings in blocks.items():
        policy[name] |= settings
    path.write_text(yaml.safe_dump(policy))


@pytest.mark.parametrize(
    ("plane", "graph"),
    [
        ("p2p", "ring"),
        pytest.param("relay", "chain", marks=pytest.mark.slow),
        *(pytest.param(*each, marks=MANY) for each in (("p2p", "chain"), ("p2p", "star"), ("relay", "ring"))),
    ],
)
def test_a_deployment_gives_the_bytes_of_the_simulation(plane, graph, tmp_path, hosts):
    write_table(tmp_path / "common.csv", rows_of("lyon")[:20])
    given = ("rounds=3", f"topology.graph={graph}", f"data.root={tmp_path}", "data.test=common")
    experiment = agreeing(tmp_path / "all", *given, sites={"test": "common.csv"})
    simulated = run(experiment, tmp_path / "local").path
    deployment = hosts(experiment, tmp_path / "all", plane=plane)
    with deployment.mailbox() if plane == "relay" else nullcontext():
        assert deployment.agree() == EVERYBODY
        assert set(kept(deployment)) == {(simulated / STATISTICS).read_bytes()}
        assert deployment.p2p(3) == dict.fromkeys(range(4), 3)
    collected = deployment.collected(tmp_path / "out")
    assert results(collected) == results(simulated)
    assert (collected / STATISTICS).read_bytes() == (simulated / STATISTICS).read_bytes()
    for node, name in enumerate(SIZES):
        opened = [file for file in hosts.opened[node] if file.endswith(".csv") and "common" not in file]
        assert opened
        assert all(file.endswith(f"host-{node}/{name}.csv") for file in opened)


@pytest.mark.slow
def test_an_attempt_without_all_is_none_and_every_one_says_the_same(tmp_path, hosts, monkeypatch):
    published, publish = [], Outbox.publish
    monkeypatch.setattr(Outbox, "publish", lambda box, *given: published.append(given) or publish(box, *given))
    deployment = hosts(agreeing(tmp_path / "all", noise=NOISE), tmp_path / "all")
    assert deployment.agree(nodes=[0, 1, 3], seconds=3) == dict.fromkeys((0, 1, 3), False)
    refused = deployment.p2p(1, nodes=[0])[0]
    assert isinstance(refused, InputError)
    assert "has not agreed with the others" in str(refused)
    assert deployment.agree() == EVERYBODY
    assert deployment.agree() == EVERYBODY
    assert len(set(kept(deployment))) == 1
    for node in range(4):
        lines = ledger(deployment, node)
        assert len({(line["exchange"], line["to"], line["content"]) for line in lines}) == len(
            {(line["exchange"], line["to"]) for line in lines}
        )
        assert {line["again"] for line in lines} == {"", "same"}
        assert {line["round"] for line in lines} == {0}
    assert len(published) > 8


@pytest.mark.slow
def test_under_noise_what_leaves_are_never_the_sums_themselves(tmp_path, hosts, monkeypatch):
    sent, publish = {}, Outbox.publish
    experiment = agreeing(tmp_path / "all", "rounds=2", noise=NOISE)
    deployment = hosts(experiment, tmp_path / "all")

    def look(box, position, messages):
        sent.update({(each.sender, position): each.parts["statistics.sums"].numpy() for each in messages})
        return publish(box, position, messages)

    monkeypatch.setattr(Outbox, "publish", look)
    assert deployment.agree() == EVERYBODY
    settings, run_of = experiment.data.sites.statistics, deployment.manifest.run
    exact, noisy = {}, {}
    for node in range(4):
        folder = deployment.node_folder(node)
        exact[node] = folder.admitted(deployment.manifest, deployment.gate(node))
        noisy[node] = told(exact[node], settings, folder.noise_secret(run_of), node)
        assert not (exact[node] == noisy[node]).any()
    # of the ring 0-1-2-3-0: 2 below 1, 1 and 3 below 0
    assert (sent[2, 0] == noisy[2]).all()
    assert (sent[3, 0] == noisy[3]).all()
    assert (sent[1, 0] == noisy[1] + noisy[2]).all()
    assert (sent[0, 1] == noisy[0] + sent[1, 0] + noisy[3]).all()
    other = replace(deployment.manifest, run="another")
    fresh = told(exact[2], settings, deployment.node_folder(2).noise_secret(other.run), 2)
    assert not (fresh == noisy[2]).any()


@pytest.mark.slow
def test_the_ledger_and_a_policy_count_the_epsilon_of_the_release(tmp_path, hosts):
    experiment = agreeing(tmp_path / "all", f"methods=[{DP}]".replace("'", ""), noise=NOISE)
    deployment = hosts(experiment, tmp_path / "all")
    assert deployment.agree() == EVERYBODY
    (line, *_) = ledger(deployment, 2)
    assert line["epsilon"] == GaussianSteps(2.0, 1.0, 1e-3, "pld").epsilon(1)
    assert line["names"] == ["statistics.sums"]
    asked = deployment.node_folder(2).carried("asked").asked
    whole = asked.promise.cost(asked.rounds)
    assert whole > asked.promise.cost(0) == line["epsilon"]
    change_policy(deployment, 2, privacy={"mechanism": "dp_sgd", "max_epsilon": whole, "delta": 1e-3})
    assert deployment.p2p(1) == dict.fromkeys(range(4), 1)
    change_policy(deployment, 2, privacy={"max_epsilon": 0.99 * whole})
    with pytest.raises(Declined, match=r"privacy.max_epsilon"):
        deployment.node_folder(2).peer(deployment.manifest, deployment.gate(2))


@pytest.mark.parametrize(
    ("noise", "block", "where"),
    [
        (
            None,
            {"messages": {"parts": ["parameters"]}},
            "messages.parts: messages would hold the part 'statistics.sums'",
        ),
        (None, {"privacy": {"mechanism": "dp_sgd"}}, "privacy.mechanism"),
        (None, {"privacy": {"max_epsilon": 9.0}}, "privacy.max_epsilon"),
        (NOISE, {"privacy": {"mechanism": "dp_sgd", "unit": "group"}}, "privacy.unit"),
        (None, {"messages": {"max_bytes": 10.0}}, "messages.max_bytes"),
        (None, {"limits": {"hours": None}}, "limits.hours"),
    ],
)
@pytest.mark.slow
def test_a_site_that_does_not_allow_it_tells_nothing(noise, block, where, tmp_path, hosts):
    deployment = hosts(agreeing(tmp_path / "all", noise=noise), tmp_path / "all")
    change_policy(deployment, 2, **block)
    found = deployment.agree(seconds=2, nodes=[2])[2]
    assert isinstance(found, Declined)
    assert where in str(found)
    assert not ledger(deployment, 2)


@pytest.mark.slow
def test_data_that_have_changed_since_are_not_trained_on(tmp_path, hosts):
    """That would be another thing than what was agreed on, or than in the rounds before."""
    deployment = hosts(agreeing(tmp_path / "all", "rounds=1"), tmp_path / "all")
    assert deployment.agree() == EVERYBODY
    file = tmp_path / "host-2" / "oslo.csv"
    write_table(file, [*rows_of("oslo")[:-1], rows_of("oslo")[0]])
    found = deployment.p2p(1, nodes=[2])[2]
    assert "the data of node 2 have changed since it has begun this run" in str(found)
    write_table(file, rows_of("oslo"))
    assert deployment.p2p(1, nodes=[2], away=[0, 1, 3], join_timeout=0.2) == {2: 1}


@pytest.mark.slow
def test_data_that_have_changed_since_are_not_told_of(tmp_path, hosts):
    deployment = hosts(agreeing(tmp_path / "all"), tmp_path / "all")
    assert deployment.agree() == EVERYBODY
    write_table(tmp_path / "host-2" / "oslo.csv", rows_of("oslo")[:-4])
    found = deployment.agree(seconds=6)
    assert "would tell other sums than before" in str(found[2])
    (deployment.node_folder(2).state(deployment.manifest.run) / "statistics-below.npy").unlink()
    assert "other statistics have left before" in str(deployment.agree(seconds=6)[2])


NONE = [
    *(np.full((3, 2), np.nan), np.zeros((3, 3)), np.zeros((3, 2), dtype=np.float32)),
    *(np.array([[-5.0] * 2, [1.0] * 2, [-9.0] * 2]), np.array([[4.0] * 2, [8.0] * 2, [1.0] * 2])),
]


@pytest.mark.slow
@pytest.mark.parametrize("said", [NONE[0], *(pytest.param(each, marks=MANY) for each in NONE[1:])])
def test_what_are_no_sums_is_refused_by_name(said, tmp_path, hosts, monkeypatch):
    deployment = hosts(agreeing(tmp_path / "all"), tmp_path / "all")
    monkeypatch.setattr(agreement, "told", lambda sums, settings, secret, node: said if node == 2 else sums)
    monkeypatch.setattr(Gate, "_objections_to_statistics", lambda *given: iter(()))  # it is a host of somebody else's
    found = deployment.agree(seconds=6)
    assert "node-2 tells node 1 what are no sums" in str(found[1])
    assert found[0] is found[3] is False


def test_what_a_parent_sees_is_said_in_words(tmp_path, hosts):
    deployment = hosts(agreeing(tmp_path / "all", noise=NOISE), tmp_path / "all")
    experiment, said = deployment.experiment, {}
    for node in range(4):
        folder = deployment.node_folder(node)
        said[node] = " ".join(plan_in_words(folder, experiment, folder.carried("asked").asked))
    assert "it tells node-1 the count, the sum and the sum of squares" in said[2]
    assert "These are its own count, mean and deviation" in said[2]
    assert "added to those of node-2" in said[1]
    assert "hears the sums of all others" in said[0]
    assert all("differentially private for one training sample: an epsilon of" in each for each in said.values())


def test_fewer_than_all_cannot_agree_and_that_is_said_when_it_is_planned(tmp_path):
    with pytest.raises(InputError, match=r"quorum: 3 of 4 nodes cannot begin: all of them agree"):
        plan(deployable(agreeing(tmp_path), quorum=3))


def test_what_only_the_nodes_can_draw_is_not_run_on_this_machine_alone(tmp_path):
    experiment = agreeing(tmp_path / "all", noise=NOISE)
    with pytest.raises(InputError, match="nodes draw the noise of statistics from secrets of their own"):
        run(deployable(experiment), tmp_path / "out")


def test_a_site_checks_what_it_will_tell_and_a_schema_leaves_it_open(tmp_path, hosts):
    deployment = hosts(agreeing(tmp_path / "all", "data.dataset.group=null"), tmp_path / "all")
    rows = [{**row, "dose": ""} for row in rows_of("oslo")]
    write_table(tmp_path / "host-2" / "oslo.csv", rows)
    found = examined(deployment.node_folder(2).folder)
    assert not found.problems
    assert found.counts["told of before round 1"] == "column 'age': 13, column 'dose': 0"
    assert any("told before round 1, without noise" in note for note in found.notes)
    assert any("no number to train on in column 'dose'" in note for note in found.notes)
    text = schema_file([str(tmp_path / "host-0" / "berlin.csv"), "target=outcome", "missing=impute"], agreed=True)
    assert "mean" not in yaml.safe_dump(yaml.safe_load(text))
    assert len(SCHEMAS["table"].model_validate(yaml.safe_load(text)).without_statistics) == 2


@pytest.mark.slow
def test_a_collected_run_needs_all_nodes_to_say_the_same(tmp_path, hosts):
    deployment = hosts(agreeing(tmp_path / "all", "rounds=1"), tmp_path / "all")
    deployment.agree()
    deployment.p2p(1)
    page = RunDirectory.open(deployment.collected(tmp_path / "out"))
    assert page.statistics()["names"] == ["column 'age'", "column 'dose'"]
    file = deployment.node_folder(3).laid_out(deployment.manifest.run) / STATISTICS
    other = Statistics.read(file)
    file.write_text(other.model_copy(update={"mean": (9.0, 9.0)}).to_json())
    with pytest.raises(InputError, match=r"says other statistics than .*node-0"):
        deployment.collected(tmp_path / "again")
    assert np.isfinite(other.mean).all()


@pytest.mark.slow
@pytest.mark.flower
def test_supernodes_agree_before_round_1(tmp_path):
    experiment = agreeing(tmp_path / "all", "rounds=2")
    deployed = run(experiment.model_copy(update={"backend": deployable(experiment).backend}), tmp_path / "out").path
    simulated = run(experiment, tmp_path / "local").path
    assert results(deployed) == results(simulated)
    assert (deployed / STATISTICS).read_bytes() == (simulated / STATISTICS).read_bytes()
