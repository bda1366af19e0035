"""A neighbour that sends what it should not, on both planes: refused by name, counted, and gone on without."""

from dataclasses import replace

import pytest
import torch
from reference.deployment import Deployment
from reference.experiments import METHODS, small
from reference.marks import first

from methods.neighbourhood_gradient_clustering import PART
from simulator.core.message import Message
from simulator.deployment.site.gate import Gate
from simulator.results.report.page import write_report
from simulator.results.run_directory import RunDirectory

PARAMETERS = "parameters"
LIES = {  # a round each, and why it is refused
    "values in part 'parameters' that are not finite": lambda p: {
        PARAMETERS: torch.full_like(p[PARAMETERS], torch.nan)
    },
    "declared as float64 [": lambda p: {PARAMETERS: p[PARAMETERS][:1].clone()},
    "holds float32": lambda p: {PARAMETERS: p[PARAMETERS].float()},
    "holds a part 'probe', which neither": lambda p: {**p, "probe": torch.ones(1)},
    "holds a part 'other'": lambda p: {"other": torch.ones(1)},
    "holds float64 [3]": lambda p: {PARAMETERS: torch.zeros(3, dtype=torch.float64)},
}
ROUNDS = len(LIES)


@pytest.fixture
def lying(monkeypatch):
    """``lying(lie)``: from then on node 1 sends what ``lie(message)`` makes of each, and its gate lets it."""
    honest = Gate.messages

    def use(lie):
        def messages(gate, messages, seal=None):
            if gate._folder.node != 1:
                return honest(gate, messages, seal)
            return {message.receiver: (seal or Message.encode)(lie(message)) for message in messages}

        monkeypatch.setattr(Gate, "messages", messages)

    return use


def disks(deployment, rounds=ROUNDS):
    """Of the honest nodes: all parameters that are on their disks, and what they have refused."""
    models, refused = [], []
    for node in (0, 2, 3):
        memory = deployment.node_folder(node).memory(deployment.manifest.run)
        models += [memory.load(round)[0]["parameters"] for round in memory.rounds()]
        replies = [memory.reply(round, "absorb") for round in range(rounds)]
        refused += [(m.node, m.name, m.round) for reply in replies for m in reply.metrics if "refused" in m.name]
    return models, refused


@pytest.mark.parametrize("plane", first(["p2p", "relay"]))
def test_lies_are_refused_by_name_counted_and_gone_on_without(plane, lying, tmp_path, capsys):
    deployment = Deployment(small(rounds=ROUNDS), tmp_path, plane=plane)
    lying(lambda message: replace(message, parts=[*LIES.values()][message.round - 1](message.parts)))
    assert deployment.on(plane, ROUNDS, seconds=60.0) == dict.fromkeys(range(4), ROUNDS)
    models, refused = disks(deployment)
    assert all(model.isfinite().all() for model in models)
    assert refused == [(node, "refused/node-1", round + 1) for node in (0, 2) for round in range(ROUNDS)]
    said = capsys.readouterr().out
    for round, why in enumerate(LIES):
        assert any(
            why in line for line in said.splitlines() if f"message of node 1 in round {round + 1} is refused" in line
        )
    run = RunDirectory.open(deployment.collected(tmp_path / "runs"))
    page = write_report(run, []).read_text()
    assert f"{2 * ROUNDS} messages were refused by the nodes that received them" in page


EXCHANGES = {  # a round each: what a message of one exchange becomes, and why it is refused
    "round 1 is refused: it holds a part 'ngc.gradient'": (1, lambda m: {"parts": {PART: m.parts[PARAMETERS]}}),
    "exchange 2 is refused: it holds a part 'parameters'": (2, lambda m: {"parts": {PARAMETERS: m.parts[PART]}}),
    "exchange 2 is refused: it is a message of node 1 to node 0 in round 3.": (2, lambda m: {"exchange": 1}),
}
RELAYED = {2: "in round 3, exchange 2: it was replayed: it is of round 3."}


@pytest.mark.parametrize("plane", ["p2p", pytest.param("relay", marks=pytest.mark.slow)])
def test_what_belongs_into_another_exchange_is_refused(plane, lying, tmp_path, capsys):
    methods, mixer = [{"name": "neighbourhood_gradient_clustering"}], {"name": "gossip", "order": "combine_then_adapt"}
    rounds = len(EXCHANGES)
    deployment = Deployment(small(rounds=rounds, methods=methods, mixer=mixer), tmp_path, plane=plane)

    def lie(message):
        exchange, change = [*EXCHANGES.values()][message.round - 1]
        return replace(message, **change(message)) if message.exchange == exchange else message

    lying(lie)
    assert deployment.on(plane, rounds, seconds=60.0) == dict.fromkeys(range(4), rounds)
    said, (_, refused) = capsys.readouterr().out, disks(deployment, rounds)
    assert refused == [(node, "refused/node-1", round + 1) for node in (0, 2) for round in range(rounds)]
    for round, why in enumerate(EXCHANGES):
        assert (RELAYED.get(round, why) if plane == "relay" else why) in said


@pytest.mark.slow
def test_labels_of_a_neighbour_are_held_against_the_public_set(lying, tmp_path, capsys):
    """Places that there are not would have been written to; labels that sum to 0, divided by it."""
    deployment = Deployment(small(methods=METHODS, rounds=4), tmp_path)
    calls = []

    def lie(message):
        parts = message.parts
        if "idkd.positions" not in parts:
            return message
        calls.append(parts)
        return replace(message, parts={**parts, "idkd.positions": parts["idkd.positions"] + 10_000})

    lying(lie)
    assert deployment.p2p(4, seconds=60.0) == dict.fromkeys(range(4), 4)
    assert calls
    assert "values in part 'idkd.positions' that are not finite or out of bounds" in capsys.readouterr().out
