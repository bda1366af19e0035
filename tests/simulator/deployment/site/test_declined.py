"""Ways in which an experiment asks for more than a site allows: each is declined by name before anything leaves."""

import copy
import hashlib
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
import torch
import yaml
from reference.deployment import Deployment, OneAtATime
from reference.experiments import METHODS, small

from simulator.core.errors import InputError
from simulator.core.node_program import NodeProgram
from simulator.core.promise import Promise
from simulator.core.user_code.files import KNOWN
from simulator.deployment.phase import take_part
from simulator.deployment.run_manifest import own_version
from simulator.deployment.site.admission import of_the_mechanism
from simulator.deployment.site.approval import experiment_hash
from simulator.deployment.site.declined import Declined
from simulator.deployment.site.gate import Gate
from simulator.deployment.site.ledger import Ledger, verified
from simulator.deployment.site.policy import Privacy, SitePolicy
from simulator.deployment.site.policy_file import read_policy
from simulator.deployment.transport.outbox import Outbox

NOON = datetime(2026, 11, 29, 12, 0).astimezone()
DP = {"name": "dp_sgd", "noise_multiplier": 2.0, "clip": 1.0, "delta": 1e-3}
CODE = "from simulator.core.method import Method\nfrom simulator.core.traits import Traits\n\n\nclass Mine(Method):\n"
CODE += "    @classmethod\n    def traits(cls, config):\n        return Traits(beside_gradients=None)\n"
MEASURED = ["test/accuracy", "test/loss", "train/loss", "privacy/epsilon"]
EXPERIMENTS = {
    "private": {"methods": [DP]},
    "plain": {},
    "recorded": {"methods": [DP], "record": {"every": 1}},
    "labels": {"methods": METHODS},
    "own code": {"methods": [DP, "mine.py:Mine"]},
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """``deployment(name)``: the folder of one of `EXPERIMENTS`, two rounds long."""
    made = {}

    def make(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("declined")
            (folder / "mine.py").write_text(CODE)
            rounds = 4 if name == "labels" else 2
            experiment = small(**{"rounds": rounds, **copy.deepcopy(EXPERIMENTS[name])}, folder=folder)
            made[name] = Deployment(experiment, folder)
        return made[name]

    return make


def enough(deployment, ledger):
    """A policy of node 0's site, as plain data, that is just enough for the private experiment."""
    keys = deployment.node_folder(0).keys
    return {
        "version": 1,
        "site": "b",
        "ledger": str(ledger),
        "experiments": [
            {
                "hash": experiment_hash(deployment.node_folder(0).folder),
                "approved_by": "dpo",
                "until": f"{NOON:%Y-%m-%d}",
                "rounds": deployment.manifest.rounds,
            }
        ],
        "versions": [own_version()],
        "messages": {"parts": ["parameters"], "max_bytes": 9680, "max_norm": 100.0},
        "privacy": {"mechanism": "dp_sgd", "unit": "sample", "max_epsilon": 3.0, "delta": 1e-3, "over": "all_runs"},
        "metrics": {"leave": MEASURED, "min_count": 60, "round_to": 3},
        "sharing": {"models": True},
        "peers": {
            "allow": ["node-1", "node-3"],
            "pinned": {f"node-{n}": [hashlib.sha256(bytes.fromhex(key)).hexdigest()] for n, key in keys.items()},
        },
        "limits": {"rounds_per_day": 2, "hours": "09:00-17:00"},
    }


@pytest.fixture
def published(monkeypatch):
    """What any outbox is given while a test lasts."""
    found, publish = [], Outbox.publish
    monkeypatch.setattr(Outbox, "publish", lambda box, *given: found.append(given) or publish(box, *given))
    return found


@pytest.fixture
def asked(deployment, tmp_path):
    """``asked(name, change)``: node 0 is asked to take part under a policy that ``change(policy)`` has changed.

    Its folder is ``tmp_path/node-0``, made anew for each run, so that nothing of one is left to the next.
    """

    def ask(name="private", change=lambda policy: None, ready=lambda: None, now=NOON, **manifest):
        found = deployment(name)
        shutil.rmtree(tmp_path / "node-0", ignore_errors=True)
        own = OneAtATime.read(shutil.copytree(found.place(0), tmp_path / "node-0"))
        policy, path = enough(found, tmp_path / "ledger.jsonl"), tmp_path / "site.yaml"
        change(policy)
        path.write_text(yaml.safe_dump(policy))
        path.chmod(0o644)
        ready()
        terms = found.manifest.__class__(**{**vars(found.manifest), "join_timeout": 0.2, **manifest})
        gate = Gate(path, own, terms, lambda: now)
        return take_part(own, terms, gate, terms.rounds, 1e9, away=[1, 2, 3]).round

    return ask


def setting(path, value):
    """A change of one setting, which may be the only one of its block; None takes it out."""

    def change(policy):
        *blocks, last = path.split(".")
        for block in blocks:
            policy = policy.setdefault(block, {})
        if value is None:
            policy.pop(last)
        else:
            policy[last] = value

    return change


def approved(**changes):
    def change(policy):
        policy["experiments"][0] |= changes

    return change


def changes_of(*changes):
    return lambda policy: [change(policy) for change in changes]


def spent_before(tmp_path, epsilon, days=0, delta=1e-4):
    """Another run in the ledger, whose last message has left some days ago."""

    def ready():
        line = {
            "what": "message",
            "run": "before",
            "node": 0,
            "round": 9,
            "exchange": 1,
            "to": "node-1",
            "content": "x",
        }
        line |= {"epsilon": epsilon, "delta": delta, "time": (NOON - timedelta(days=days)).isoformat()}
        Ledger(tmp_path / "ledger.jsonl").append([line])

    return ready


ROUNDS = ["begin", "report", *["message", "message", "report"] * 2, "report"]  # what stands in the ledger of two
NOT_PRIVATE = changes_of(
    setting("privacy", {"mechanism": "none", "max_epsilon": "unlimited"}),
    setting("messages", {"parts": "any", "max_bytes": "unlimited", "max_norm": "unlimited"}),
    setting("metrics", {"leave": "any", "min_count": 1}),
    setting("limits.rounds_per_day", 9),
)
CASES = {
    # Of the run.
    "an experiment that nobody has approved": ("experiments", {"change": approved(hash="0" * 64)}),
    "an approval that has ended": ("experiments", {"now": NOON + timedelta(days=1)}),
    "more rounds than approved": ("experiments", {"change": approved(rounds=1)}),
    "more rounds than the experiment has": ("experiments", {"rounds": 3, "change": approved(rounds=3)}),
    "another version": ("versions", {"change": setting("versions", ["0.0.1"])}),
    "a neighbour that may receive nothing": ("peers.allow", {"change": setting("peers.allow", ["node-1"])}),
    "a neighbour with another key": ("peers.pinned", {"change": setting("peers.pinned.node-1", ["0" * 64])}),
    "a neighbour whose key is not pinned": ("peers.pinned", {"change": setting("peers.pinned.node-1", None)}),
    "hours in which nothing leaves": ("limits.hours", {"now": NOON.replace(hour=18)}),
    "more rounds than a day allows": ("limits.rounds_per_day", {"change": setting("limits.rounds_per_day", 0)}),
    # Of the messages.
    "a part that is not on the list": ("messages.parts", {"change": setting("messages.parts", ["gossip.weight"])}),
    "a message of too many bytes": ("messages.max_bytes", {"change": setting("messages.max_bytes", 9679)}),
    # Of their protection.
    "no differential privacy": ("privacy.mechanism", {"name": "plain"}),
    "a weaker mechanism": ("privacy.mechanism", {"change": setting("privacy.mechanism", "node_dp")}),
    "the privacy of smaller units": ("privacy.unit", {"change": setting("privacy.unit", "group")}),
    "too much epsilon in this run": ("privacy.max_epsilon", {"change": setting("privacy.max_epsilon", 0.3)}),
    "a larger delta": ("privacy.delta", {"change": setting("privacy.delta", 1e-4)}),
    # Of what else leaves.
    "a metric that is not on the list": ("metrics.leave", {"change": setting("metrics.leave", ["test/accuracy"])}),
    "a metric of too few samples": ("metrics.min_count", {"change": setting("metrics.min_count", 61)}),
    "recordings": ("sharing.recordings", {"name": "recorded"}),
    "labels": ("sharing.labels", {"name": "labels", "change": NOT_PRIVATE}),
    "models": ("sharing.models", {"change": setting("sharing.models", False)}),
    # What a policy does not mention, it forbids.
    "no experiments": ("experiments", {"change": setting("experiments", None)}),
    "no versions": ("versions", {"change": setting("versions", None)}),
    "no parts": ("messages.parts", {"change": setting("messages.parts", None)}),
    "no bytes": ("messages.max_bytes", {"change": setting("messages.max_bytes", None)}),
    "no epsilon": ("privacy.max_epsilon", {"change": setting("privacy.max_epsilon", None)}),
    "no mechanism": ("privacy.mechanism", {"change": setting("privacy.mechanism", None)}),
    "no metrics": ("metrics.leave", {"change": setting("metrics.leave", None)}),
    "no counts": ("metrics.min_count", {"change": setting("metrics.min_count", None)}),
    "no sharing": ("sharing.models", {"change": setting("sharing", None)}),
    "no peers": ("peers.allow", {"change": setting("peers", None)}),
    "no hours": ("limits.hours", {"change": setting("limits.hours", None)}),
    "no rounds a day": ("limits.rounds_per_day", {"change": setting("limits.rounds_per_day", None)}),
}


def nothing_has_left(tmp_path, published):
    kinds = [line["what"] for line in verified(tmp_path / "ledger.jsonl")]
    assert not published
    assert not list((tmp_path / "node-0" / "report").glob("*/*"))
    return kinds


@pytest.mark.parametrize("case", CASES)
def test_what_a_site_does_not_allow_is_declined_before_anything_leaves(case, asked, tmp_path, published):
    where, how = CASES[case]
    with pytest.raises(Declined) as declined:
        asked(**how)
    assert where in declined.value.settings
    kinds = nothing_has_left(tmp_path, published)
    assert kinds in (["declined"], ["begin", "declined"])
    assert declined.value.told.startswith("node 0 declines: its site's policy does not allow it (")
    assert not any(text in declined.value.told for text in ("dpo", "9,680", str(tmp_path)))


def test_just_enough_is_enough(asked, deployment, tmp_path, published):
    """Else the cases above would prove nothing; its neighbours are silent."""
    assert asked() == 2
    assert [len(messages) for _, messages, _ in published] == [2, 2]
    lines = verified(tmp_path / "ledger.jsonl")
    assert [line["what"] for line in lines] == [*ROUNDS, "versions"]
    sent = [line for line in lines if line["what"] == "message"]
    assert {(line["to"], line["round"]) for line in sent} == {(f"node-{n}", r) for n in (1, 3) for r in (1, 2)}
    assert all(line["names"] == ["parameters"] and line["bytes"] > 9680 for line in sent)
    assert 0 < sent[0]["epsilon"] < sent[-1]["epsilon"] == lines[0]["planned"] < 3.0
    said = OneAtATime.read(tmp_path / "node-0").memory(deployment("private").manifest.run).reply(2, "close")
    assert all(value == round(value, 3) for value in said.evaluation.scores.values())
    assert said.artifacts == []  # none is on the list


@pytest.mark.parametrize(
    ("over", "days", "declines"),
    [("run", 0, False), ("all_runs", 0, True), ("all_runs", 999, True), ("year", 300, True), ("year", 400, False)],
)
def test_what_was_spent_in_other_runs_counts_as_the_policy_says(over, days, declines, asked, tmp_path):
    """Each of the two runs by itself is within the limit."""
    change = changes_of(
        setting("privacy.over", over), setting("privacy.delta", 1.0), setting("limits.rounds_per_day", 9)
    )
    ready = spent_before(tmp_path, 2.9, days)
    if declines:
        with pytest.raises(Declined, match=r"after 2\.9 before") as declined:
            asked(change=change, ready=ready)
        assert declined.value.settings == ["privacy.max_epsilon"]
    else:
        assert asked(change=change, ready=ready) == 2


SAMPLE, NODE = (Promise(unit, 1e-3, lambda rounds: 1.0) for unit in ("sample", "node"))


@pytest.mark.parametrize(
    ("wanted", "unit", "mechanism", "promise", "problem"),
    [
        ("dp_sgd", "sample", "dp_sgd", SAMPLE, None),
        ("dp_sgd", "sample", "node_dp", NODE, None),  # which protects more
        ("dp_sgd", "sample", "other", SAMPLE, "privacy.mechanism"),
        ("any", "sample", "other", SAMPLE, None),
        ("any", "node", "other", SAMPLE, "privacy.unit"),
        ("any", "sample", "none", None, "privacy.mechanism"),
        ("none", "sample", "none", None, None),
        (None, "sample", "node_dp", NODE, "privacy.mechanism"),
        ("dp_sgd", "sample", "mine.py:Mine@1234", NODE, "privacy.mechanism"),  # whose word is the experiment's own
        ("any", "sample", "mine.py:Mine@1234", NODE, None),
    ],
)
def test_how_strong_a_method_is_follows_from_what_it_promises(wanted, unit, mechanism, promise, problem):
    policy = SitePolicy(version=1, site="b", ledger="/l", privacy=Privacy(mechanism=wanted, unit=unit))
    found = [each.where for each in of_the_mechanism(policy, SimpleNamespace(mechanism=mechanism, promise=promise))]
    assert found == ([problem] if problem else [])


def test_deltas_of_runs_add_up(asked, tmp_path):
    with pytest.raises(Declined) as declined:
        asked(ready=spent_before(tmp_path, 0.1))
    assert declined.value.settings == ["privacy.delta"]


def test_after_a_run_without_a_promise_nothing_is_left_to_spend(asked, tmp_path):
    with pytest.raises(Declined, match="after inf before"):
        asked(ready=spent_before(tmp_path, None), change=setting("privacy.delta", 1.0))


def test_rounds_of_a_day_are_those_of_24_hours(asked, tmp_path):
    line = {"what": "message", "run": "before", "node": 0, "exchange": 1, "to": "node-1", "content": "x"}
    line |= {"epsilon": 0.0, "delta": 0.0}

    def before(hours):
        when = (NOON - timedelta(hours=hours)).isoformat()
        return lambda: Ledger(tmp_path / "ledger.jsonl").append(
            [{**line, "round": round, "time": when} for round in (1, 2)]
        )

    with pytest.raises(Declined) as declined:
        asked(ready=before(23))
    assert declined.value.settings == ["limits.rounds_per_day"]
    (tmp_path / "ledger.jsonl").unlink()
    assert asked(ready=before(25)) == 2


def test_code_that_was_changed_by_a_blank_is_another_experiment(asked, tmp_path, published, monkeypatch):
    """Its own hash in the experiment says so, too, but only once the file is read."""

    def ready():
        (tmp_path / "node-0" / "code" / "mine.py").write_text(CODE + " ")

    with pytest.raises(Declined, match="nobody has approved the experiment"):
        asked("own code", ready=ready)
    assert nothing_has_left(tmp_path, published) == ["declined"]
    for known in [hash for hash, file in KNOWN.items() if file.name == "mine.py"]:
        monkeypatch.delitem(KNOWN, known)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"parameters": torch.zeros(1211, dtype=torch.float64)}, r"is not what was planned: it holds float64 \[1211\]"),
        ({"probe": torch.zeros(1)}, "is not what was planned: it holds a part 'probe'"),
    ],
    ids=["a part that grows", "a part that nobody declares"],
)
def test_a_message_that_is_not_what_was_planned_stays(more, why, asked, tmp_path, monkeypatch):
    """A part that was not planned, and a planned one of another shape: the gate sees them, whatever made them."""
    send = NodeProgram.send

    def sends(program, exchange, place=None):
        return [replace(message, parts={**message.parts, **more}) for message in send(program, exchange, place)]

    monkeypatch.setattr(NodeProgram, "send", sends)
    with pytest.raises(Declined, match=why) as declined:
        asked(change=changes_of(setting("messages.max_bytes", 10**6), setting("messages.parts", "any")))
    assert declined.value.settings == ["messages.parts"]
    assert [line["what"] for line in verified(tmp_path / "ledger.jsonl")] == ["begin", "report", "declined"]


def test_a_round_that_changes_the_model_too_much_does_not_leave(asked, tmp_path):
    with pytest.raises(Declined, match="round 1 changes the model by") as declined:
        asked(change=setting("messages.max_norm", 1e-3))
    assert declined.value.settings == ["messages.max_norm"]
    assert "message" not in [line["what"] for line in verified(tmp_path / "ledger.jsonl")]


def test_a_policy_file_that_is_nobodys_word_is_none(deployment, tmp_path):
    """The first failing thing of section by section: each with a text of its own."""
    found, path = deployment("private"), tmp_path / "site.yaml"
    folder = found.node_folder(0).folder
    good = yaml.safe_dump(enough(found, tmp_path / "ledger.jsonl"))

    def refused(text, match, path=path, mode=0o644):
        if text is not None:
            path.write_text(text)
            path.chmod(mode)
        with pytest.raises(InputError, match=match):
            read_policy(path, folder)

    refused(None, "there is no site's policy that can be read: No such file")
    refused("", "holds no settings")
    refused("a: [", "is not YAML|expected|not YAML")
    refused(good + "surprise: 1\n", r"surprise: a policy has no such setting")
    refused(good.replace("round_to: 3", "rond_to: 3"), r"rond_to: a policy has no such setting.\n.*'round_to'")
    refused(good.replace("round_to: 3", "round_to: three"), r"metrics\.round_to: ")
    refused(good.replace("models: true", "models: 'yes'"), r"sharing\.models: ")
    refused(good.replace("ledger: /", "ledger: "), "ledger: should be an absolute path")
    refused(good, "can write is nobody's word", mode=0o646)
    refused(good, "can write is nobody's word", mode=0o664)
    refused(good, "a policy in the deployment's own folder", path=folder / "site.yaml")
    refused(good, "a policy in the deployment's own folder", path=found.folder / "site.yaml")
    inside = good.replace(str(tmp_path / "ledger.jsonl"), str(folder / "ledger.jsonl"))
    refused(inside, "a ledger in the deployment's own folder")
    path.write_text(good)
    path.chmod(0o644)
    assert read_policy(path, folder).site == "b"
    tmp_path.chmod(0o777)
    refused(None, "a policy in a folder that others can write can be replaced")
    tmp_path.chmod(0o700)
