"""Ways around a policy that is obeyed to the letter: what is approved changes later, what was spent is forgotten."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.backend import Reply
from simulator.core.errors import InputError
from simulator.core.node_program import NodeProgram
from simulator.deployment.site import ledger as ledger_module
from simulator.deployment.site.approval import experiment_hash
from simulator.deployment.site.declined import Declined
from simulator.deployment.site.gate import Gate
from simulator.deployment.site.history import History, Sender
from simulator.deployment.site.ledger import Ledger, verified
from simulator.deployment.site.policy_file import read_policy
from simulator.deployment.site.untold import Untold, at_the_gate

ALONE = {"nodes": [0], "away": [1, 2, 3], "join_timeout": 0.2}
DP = {"name": "dp_sgd", "noise_multiplier": 2.0}
MINE = "from simulator.core.method import Method\n\n\nclass Mine(Method):\n    pass\n"


@pytest.fixture
def private(tmp_path):
    """A deployment whose sites want differential privacy."""
    deployment = Deployment(small(methods=[DP], rounds=4, evaluate={"every": 4}), tmp_path)
    for node in range(4):
        path = deployment.policy(node)
        path.write_text(path.read_text().replace("mechanism: none", "mechanism: dp_sgd"))
    return deployment


def messages(path):
    return [line for line in verified(path) if line["what"] == "message"]


def rewritten(folder, change):
    """The experiment in ``folder``, as plain data, changed."""
    file = folder / "experiment.yaml"
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("mine.py:Mine", ["."]),
        ("mine.py:Mine", [".", "code"]),  # read from the folder, whatever is in `code`
        ("elsewhere/mine.py:Mine", ["elsewhere"]),
        ("mine.py@0123456789abcdef:Mine", ["."]),
    ],
)
def test_code_that_is_not_where_it_is_hashed_cannot_be_approved(name, places, private):
    """Else it could be changed after that, and the hash would stay."""
    folder = private.place(0)
    for place in places:
        (folder / place).mkdir(exist_ok=True)
        (folder / place / "mine.py").write_text(MINE)
    for block in ({"name": name}, name):
        rewritten(folder, lambda content, block=block: content.update(methods=[block]))
        with pytest.raises(InputError, match=r"is code that is not in code/, and so no part of what is approved"):
            experiment_hash(folder)


def test_a_schema_in_a_file_cannot_be_approved(private):
    rewritten(private.place(0), lambda content: content["data"].update(sites={"data_schema": "schema.yaml"}))
    with pytest.raises(InputError, match="names a file, which is no part of what is approved"):
        experiment_hash(private.place(0))


@pytest.mark.slow
def test_another_experiment_under_the_name_of_a_run_is_declined(private, tmp_path):
    """Its noise would be drawn from the same secrets, and what the first one has spent would not count."""
    assert private.p2p(4, **ALONE) == {0: 4}
    spent = messages(private.policy(0).parent / "ledger.jsonl")[-1]["epsilon"]
    other = Deployment(small(methods=[DP], rounds=4, topology={"graph": "complete", "nodes": 4}), tmp_path / "other")
    hash = experiment_hash(other.place(0))
    path = private.policy(0)
    policy = yaml.safe_load(path.read_text())
    policy["experiments"].append({**policy["experiments"][0], "hash": hash})
    policy["privacy"]["max_epsilon"] = 1.5 * spent
    path.write_text(yaml.safe_dump(policy))
    with pytest.raises(Declined, match="a run of this name was one of the experiment") as declined:
        Gate(path, other.node_folder(0), replace(other.manifest, run=private.manifest.run))
    assert declined.value.settings == ["experiments"]


@pytest.mark.slow
def test_rounds_that_the_ledger_has_forgotten_are_not_gone_on_from(private):
    """It was removed, or is one from before the run: what was spent is unknown."""
    assert private.p2p(3, **ALONE) == {0: 3}
    ledger = private.policy(0).parent / "ledger.jsonl"
    ledger.rename(ledger.with_suffix(".away"))
    found = private.p2p(4, **ALONE)[0]
    assert isinstance(found, Declined)
    assert found.settings == ["ledger"]
    assert not messages(ledger)
    ledger.with_suffix(".away").replace(ledger)
    assert private.p2p(4, **ALONE) == {0: 4}


def test_a_clock_that_was_set_back_makes_nothing_that_was_spent_older(tmp_path):
    ledger, now = Ledger(tmp_path / "ledger.jsonl"), datetime.now(UTC)

    def spent(run, when):
        line = {"what": "message", "run": run, "node": 0, "round": 1, "exchange": 1, "to": "node-1", "content": "x"}
        ledger.append([{**line, "epsilon": 1.0, "delta": 0.0, "time": when.isoformat()}])

    spent("first", now - timedelta(days=2))
    spent("second", now - timedelta(days=2000))
    assert History(ledger.lines).spent_by_others(Sender("third", 0), "year", now).epsilon == 2.0


def test_two_runs_at_once_spend_what_is_there_once(private):
    """Both are admitted, and what one has spent since then counts for the next message of the other."""
    path = private.policy(0)
    path.write_text(path.read_text().replace("max_epsilon: unlimited", "max_epsilon: 1000000.0"))
    first, second = (private.gate(0, run=name) for name in ("first", "second"))
    peers = [
        private.node_folder(0).peer(replace(private.manifest, run=gate._sender.run), gate) for gate in (first, second)
    ]
    limit = first._promise.cost(1) * 1.5
    for gate in (first, second):
        gate.policy = gate.policy.model_copy(
            update={"privacy": gate.policy.privacy.model_copy(update={"max_epsilon": limit})}
        )
    sent = [peer.begin() for peer in peers]
    assert first.messages(sent[0])
    with pytest.raises(Declined) as declined:
        second.messages(sent[1])
    assert declined.value.settings == ["privacy.max_epsilon"]


def test_nobody_appends_between_a_decision_and_what_it_lets_out(tmp_path):
    ledgers = [Ledger(tmp_path / "ledger.jsonl") for _ in range(2)]
    other = threading.Thread(target=lambda: ledgers[1].append([{"what": "other"}]))
    with ledgers[0].alone():
        other.start()
        other.join(0.2)
        ledgers[0].append([{"what": "own"}])
    other.join()
    assert [line["what"] for line in verified(tmp_path / "ledger.jsonl")] == ["own", "other"]


def test_a_full_disk_tells_nobody_more_than_any_error(private, monkeypatch, tmp_path):
    """Not even where the error itself cannot be written down: its text would be told instead."""

    def full(file, data):
        raise OSError(28, "No space left on device", str(tmp_path / "secret"))

    gate = private.gate(0)
    (private.place(0) / "errors.log").mkdir()

    def reply():
        with at_the_gate(private.node_folder(0)) as opened:
            opened.gate = gate
            monkeypatch.setattr(ledger_module.os, "write", full)
            gate.reply({"round": 1})

    with pytest.raises(Untold) as told:
        reply()
    assert str(told.value) == "node 0 cannot go on (OSError): errors.log in its folder says why"


def test_a_link_to_a_policy_must_not_be_others_to_replace(private, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    link = shared / "site.yaml"
    link.symlink_to(private.policy(0))
    assert read_policy(link).version == 1
    shared.chmod(0o777)
    with pytest.raises(InputError, match="a policy in a folder that others can write can be replaced"):
        read_policy(link)


def test_a_link_in_the_deployments_folder_is_the_word_of_who_made_that(private):
    link = private.place(0) / "site.yaml"
    link.symlink_to(private.policy(0))
    with pytest.raises(InputError, match="a policy in the deployment's own folder"):
        read_policy(link, private.place(0))


def test_a_policy_holds_as_it_is_by_now(private):
    """Not as it was when the phase began, which may last for hours."""
    path, gate = private.policy(0), private.gate(0)
    peer = private.node_folder(0).peer(private.manifest, gate)
    peer.close()
    before, messages = path.read_text(), peer.begin()
    path.write_text(before.replace("until: '9999", "until: '2020"))
    with pytest.raises(Declined, match="ended on 2020"):
        gate.messages(messages)
    path.write_text(before.replace("models: true", "models: false"))
    with pytest.raises(Declined, match="models are collected"):
        gate.report(1, "close", Reply())
    path.rename(path.with_suffix(".away"))
    with pytest.raises(InputError, match="there is no site's policy that can be read"):
        gate.messages(messages)
    path.with_suffix(".away").rename(path)
    path.write_text(before)
    assert gate.messages(messages)


def test_no_metric_leaves_under_a_name_that_tells_of_the_network(private, monkeypatch):
    path = private.policy(0)
    path.write_text(path.read_text().replace("leave: any", "leave: [test/accuracy, test/loss, privacy/epsilon]"))
    finish = NodeProgram.finish
    monkeypatch.setattr(NodeProgram, "finish", lambda own: finish(own) or own.node.log("lost/node-7", 0.1234))
    found = private.p2p(1, **ALONE)[0]
    assert "calls a metric 'lost/node-7'" in str(found)
    report = private.node_folder(0).laid_out(private.manifest.run)
    assert not any(b"lost/node-7" in file.read_bytes() for file in report.glob("*"))
