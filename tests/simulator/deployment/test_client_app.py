"""Which node a SuperNode of Flower's is: real ones are told their folder, simulated ones a number."""

import os
import signal
import time
from types import SimpleNamespace

import pytest
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.errors import InputError, Problem
from simulator.deployment import breaking_off, client_app, phase
from simulator.deployment.client_app import _node_folder
from simulator.deployment.messenger import BROKEN_OFF
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


@pytest.fixture
def order(deployment, monkeypatch):
    """``order(take_part, **orders)``: the reply of node 0 to orders of a phase, in which ``take_part`` is called."""
    monkeypatch.setattr(client_app, "Message", lambda content, reply_to: content)  # Flower's needs a run
    monkeypatch.setenv("RUMORMILL_SITE", str(deployment.policy(0)))
    config = {"folder": str(deployment.node_folder(0).folder)}
    context = SimpleNamespace(node_config=config, run_config=deployment.manifest.to_config(), run_id=1, node_id=2)

    def reply(take_part, **orders):
        monkeypatch.setattr(phase, "take_part", take_part)
        orders = {"until": 6, "seconds": 3000.0, "away": "", "over": 0, **orders}
        return dict(client_app.gossip(SimpleNamespace(content=packed(orders)), context)["content"])

    return reply


def test_an_order_to_agree_where_all_is_declared_is_not_followed(order, deployment):
    order(lambda *given: phase.Outcome(0, 0, True))  # so that everything around it is there
    context = SimpleNamespace(
        node_config={"folder": str(deployment.node_folder(0).folder)},
        run_config=deployment.manifest.to_config(),
        run_id=1,
        node_id=2,
    )
    with pytest.raises(Untold):
        client_app.statistics(SimpleNamespace(content=packed({"seconds": 1.0})), context)
    assert "its experiment declares them all" in (deployment.node_folder(0).folder / "errors.log").read_text()


@pytest.fixture
def told(order):
    """``told(work)``: what the ServerApp is told of a phase at node 0 in which ``work`` is done."""

    def ask(work, **orders):
        with pytest.raises(Untold) as error:
            order(work, **orders)
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__
        return str(error.value)

    return ask


def test_a_phase_lasts_for_a_time_that_the_host_measures_itself(order):
    """Whatever its clock says, and the ServerApp's."""
    asked = []

    def take_part(folder, manifest, gate, until, deadline, away, over):
        asked.append((until, deadline, away, over))
        return phase.Outcome(5, 1, heard=True)

    assert order(take_part, away="1 3", over=2) == {"round": 5, "away": 1, "heard": 1}
    assert asked == [(6, pytest.approx(time.monotonic() + 3000.0, abs=200.0), [1, 3], 2)]


@pytest.mark.parametrize("bad", ["x", "-1", "1,2", "01", 3, None], ids=str)
def test_orders_that_cannot_be_are_not_followed(bad, told, deployment):
    told(None, **({} if bad is None else {"away": bad}), **({"seconds": "1"} if bad is None else {}))
    said = (deployment.node_folder(0).folder / "errors.log").read_text().splitlines()[-1]
    assert "node 0 does not follow an instruction of the ServerApp: it has" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_signal_ends_a_phase_with_an_error_that_flower_replies_and_the_serverapp_knows(number, told):
    """With what it would raise otherwise, Flower ends the process without a reply, and the SuperNode waits for ever."""
    before = signal.getsignal(number)

    def interrupted(*arguments):
        os.kill(os.getpid(), number)
        time.sleep(10)

    assert BROKEN_OFF in told(interrupted)
    assert signal.getsignal(number) is before


def test_a_phase_is_broken_off_when_the_run_is_over(told, monkeypatch):
    monkeypatch.setattr(breaking_off, "ASK", 0.05)
    answers = iter([False, False, True])
    monkeypatch.setattr(breaking_off, "is_over", lambda folder, run, supernode: next(answers))
    assert BROKEN_OFF in told(lambda *arguments: time.sleep(20))


def test_who_does_not_reach_the_superlink_goes_on(deployment):
    assert not breaking_off.is_over(deployment.node_folder(0), 1, 2)


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
