"""Which node a SuperNode of Flower's is: real ones are told their folder, simulated ones a number."""

import time
from types import SimpleNamespace

import pytest
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.errors import InputError, Problem
from simulator.deployment import client_app, phase
from simulator.deployment.client_app import _node_folder
from simulator.deployment.records import packed
from simulator.deployment.site.ledger import verified
from simulator.deployment.site.untold import Untold


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    return Deployment(small(), tmp_path_factory.mktemp("client"))


@pytest.fixture
def folder(deployment):
    return deployment.folder


def node_folder(node_config, run_config):
    return _node_folder(SimpleNamespace(node_config=node_config, run_config=run_config))


def test_a_supernode_is_the_node_of_its_folder_whatever_the_run_says(folder):
    own = {"folder": str(folder / "nodes" / "node-2"), "partition-id": 1}
    assert node_folder(own, {"folder": "/elsewhere"}).node == 2
    assert node_folder({"partition-id": 1}, {"folder": str(folder)}).node == 1


def test_a_supernode_without_a_folder_is_told_how_to_start():
    with pytest.raises(InputError, match=r"node-config: names no folder(.|\n)*start.sh"):
        node_folder({}, {"folder": ""})


def test_a_phase_ends_at_the_time_of_day_that_all_were_given(deployment, monkeypatch):
    asked = []
    monkeypatch.setattr(
        phase, "take_part", lambda folder, manifest, gate, until, deadline: asked.append((until, deadline)) or 5
    )
    monkeypatch.setenv("RUMORMILL_SITE", str(deployment.policy(0)))
    monkeypatch.setattr(client_app, "Message", lambda content, reply_to: content)  # Flower's needs a run
    context = SimpleNamespace(
        node_config={"folder": str(deployment.node_folder(0).folder)}, run_config=deployment.manifest.to_config()
    )
    message = SimpleNamespace(content=packed({"until": 6, "ends": time.time() + 3000.0}))
    assert client_app.gossip(message, context)["content"]["round"] == 5
    assert asked == [(6, pytest.approx(time.monotonic() + 3000.0, abs=200.0))]


@pytest.fixture
def told(deployment, monkeypatch):
    """``told(work)``: what the ServerApp is told of a phase at node 0 in which ``work`` is done."""
    monkeypatch.setattr(client_app, "Message", lambda content, reply_to: content)
    monkeypatch.setenv("RUMORMILL_SITE", str(deployment.policy(0)))
    folder = str(deployment.node_folder(0).folder)
    context = SimpleNamespace(node_config={"folder": folder}, run_config=deployment.manifest.to_config())
    message = SimpleNamespace(content=packed({"until": 6, "ends": time.time() + 3000.0}))

    def ask(work):
        monkeypatch.setattr(phase, "take_part", work)
        with pytest.raises(Untold) as error:
            client_app.gossip(message, context)
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__
        return str(error.value)

    return ask


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("patient 4711"), "ValueError"),
        (InputError(Problem("cohort.csv", "'patient 4711' is no number")), "InputError"),
        (type("Patient4711", (Exception,), {})("patient 4711"), "an error of its own kind"),
    ],
)
def test_no_error_quotes_anything_to_others(error, kind, told, deployment):
    """Its text stays at the site; what is told stands in the ledger."""

    def work(*arguments):
        raise error

    text = told(work)
    assert text == f"node 0 cannot go on ({kind}): errors.log in its folder says why"
    assert "4711" in (deployment.node_folder(0).folder / "errors.log").read_text()
    last = verified(deployment.policy(0).parent / "ledger.jsonl")[-1]
    assert (last["what"], last["text"]) == ("error", text)


def test_without_a_policy_a_node_says_nothing(told, tmp_path, monkeypatch):
    monkeypatch.setenv("RUMORMILL_SITE", str(tmp_path / "none.yaml"))
    assert told(None) == "node 0 cannot go on (InputError): errors.log in its folder says why"
