"""`rumormill site`: what a run would send, in words; approving it; and the ledger."""

import re

import pytest
import yaml
from reference.deployment import Deployment
from reference.experiments import small
from reference.markdown import page
from typer.testing import CliRunner

from simulator.cli import app
from simulator.core.errors import InputError
from simulator.deployment.site.approval import experiment_hash
from simulator.deployment.site.policy_file import read_policy

PRIVATE = {"rounds": 2, "methods": [{"name": "dp_sgd", "noise_multiplier": 2.0}], "record": {"rounds": [2]}}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    return Deployment(small(**PRIVATE), tmp_path_factory.mktemp("commands"))


@pytest.fixture
def policy(tmp_path, monkeypatch):
    """A policy of which nothing but the ledger is said, and a remark."""
    path = tmp_path / "site.yaml"
    path.write_text(f"# Ours.\nversion: 1\nsite: b\nledger: {tmp_path}/ledger.jsonl\n")
    monkeypatch.setenv("RUMORMILL_SITE", str(path))
    return path


def typed(*arguments):
    result = CliRunner().invoke(app, ["site", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return re.sub(r"\s+", " ", result.output)


def test_what_a_run_would_send_is_told_before_it_is_approved(deployment, policy):
    folder = deployment.node_folder(0)
    said = typed("approve", folder.folder)
    for other in (1, 3):
        assert f"node-{other} ({folder.neighbours[other]})" in said
    assert "parameters, 9,680 bytes. In all, 4 messages of at most 9,680 bytes" in said
    assert "differentially private (dp_sgd) for one training sample: an epsilon of" in said
    assert "Of 1 rounds it lays out recordings" in said
    assert "sharing.recordings: rounds are recorded" in said
    assert read_policy(policy).experiments == []


@pytest.mark.parametrize("before", ["", "experiments: []\n", "experiments:  # ours\n", "experiments:\n- {x}\n"])
def test_approving_adds_the_hash_and_changes_nothing_else(before, deployment, policy):
    other = f"{{hash: {'0' * 64}, approved_by: dpo, until: 2026-01-01, rounds: 9}}"
    text = policy.read_text() + before.replace("{x}", other) + "limits: {hours: always}  # day and night\n"
    if before.endswith("ours\n"):
        text = text.replace("# ours\n", f"# ours\n    - {other}\n")
    policy.write_text(text)
    kept = read_policy(policy).experiments
    policy.chmod(0o640)
    typed("approve", deployment.node_folder(0).folder, "--by", 'Dr. "A"', "--until", "2027-03-01")
    found = read_policy(policy)
    assert len(found.experiments) == len(kept) + 1
    approval = found.approval(experiment_hash(deployment.node_folder(0).folder))
    assert (approval.approved_by, str(approval.until), approval.rounds) == ('Dr. "A"', "2027-03-01", 2)
    assert found.limits.hours == "always"
    assert all(line in policy.read_text() for line in ("# Ours.", "# day and night"))
    assert policy.stat().st_mode & 0o777 == 0o640


def test_a_list_that_nothing_can_be_added_to_is_left_as_it_is(deployment, policy):
    policy.write_text(policy.read_text() + "experiments: [\n]\n")
    before = policy.read_text()
    with pytest.raises(InputError, match=r"experiments: is written in a way(.|\n)*Write it there yourself"):
        typed("approve", deployment.node_folder(0).folder, "--by", "A", "--until", "2027-03-01")
    assert policy.read_text() == before
    with pytest.raises(InputError, match="--until: 'tomorrow' is no day"):
        typed("approve", deployment.node_folder(0).folder, "--by", "A", "--until", "tomorrow")


def test_a_policy_is_shown_with_all_that_it_does_not_mention(policy):
    assert yaml.safe_load(CliRunner().invoke(app, ["site", "policy"]).output)["privacy"]["max_epsilon"] == 0


def test_the_ledger_is_shown_and_one_that_was_changed_is_not(deployment, policy, monkeypatch):
    monkeypatch.setenv("RUMORMILL_SITE", str(deployment.policy(0)))
    assert deployment.p2p(2, nodes=[0], away=[1, 2, 3], join_timeout=0.2) == {0: 2}
    said = typed("ledger")
    assert "message 1 node-1 parameters" in said
    assert "message 2 node-3 parameters" in said
    assert "recordings/mixed" in said
    last = re.search(r"(\d+) lines, and the chain is whole. The last one has the hash ([0-9a-f]{64})", said)
    assert last[0] in typed("ledger", "--verify")
    ledger = deployment.policy(0).parent / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("node-1", "node-2", 1))
    with pytest.raises(InputError, match="the ledger is broken: this line is not what was written there"):
        typed("ledger")
    assert isinstance(deployment.p2p(2, nodes=[0])[0], InputError)


def test_the_policy_of_the_documentation_is_one(tmp_path):
    text = page("docs/how-to/real-machines.md").text
    example = text.partition("## A site's policy")[2].partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "site.yaml").write_text(example)
    policy = read_policy(tmp_path / "site.yaml")
    assert (policy.limits.hours, policy.privacy.over, policy.peers.pinned) == ("18:00-06:00", "all_runs", "any")
