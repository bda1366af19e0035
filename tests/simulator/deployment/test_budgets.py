"""A node whose privacy budget is spent leaves in order: its neighbours know, and the others go on."""

import pytest
from reference.deployment import Deployment
from reference.experiments import results, small
from reference.marks import first

from simulator import run
from simulator.deployment.leaving import tell, with_departure
from simulator.deployment.site.ledger import verified

ROUNDS, LAST = 8, 3
BUDGET = {"name": "dp_sgd", "noise_multiplier": 2.0, "delta": 1e-4, "max_epsilon": 4.0}
UNEQUAL = {"batch_size": 16, "precision": "fp64", "nodes": {2: {"batch_size": 64}}}
LEAVER = f"""
from simulator.core.method import Method
from simulator.core.traits import Traits


class Leaver(Method):
    @classmethod
    def traits(cls, config):
        return Traits(may_stop=True, beside_gradients=None)

    def after_local_training(self, node):
        if node.id == 2 and node.round == {LAST}:
            node.stop("it has had enough")
"""


def experiment(folder=None, **changes):
    return small(folder=folder, **{"rounds": ROUNDS, "evaluate": {"every": 4}, **changes})


def sent(deployment, node):
    lines = verified(deployment.policy(node).parent / "ledger.jsonl")
    return [(line["to"], line["round"]) for line in lines if line["what"] == "message"]


def states(path):
    """The last ones of a run, by file."""
    return {name: content for name, content in results(path).items() if name.endswith(".safetensors")}


@pytest.fixture
def leaving(tmp_path):
    """``leaving(plane)``: a deployment that node 2 leaves after `LAST` rounds."""
    (tmp_path / "leaver.py").write_text(LEAVER)

    def make(plane):
        return Deployment(experiment(folder=tmp_path, methods=["leaver.py:Leaver"]), tmp_path, plane=plane)

    return make


@pytest.mark.parametrize("plane", first(["p2p", "relay"]))
@pytest.mark.slow
def test_who_leaves_is_from_then_on_away_as_in_a_simulation_of_that(plane, leaving, tmp_path, capsys):
    deployment = leaving(plane)
    assert deployment.on(plane, 4) == dict.fromkeys(range(4), 4)  # a phase that ends when it has just left
    assert deployment.on(plane, ROUNDS) == dict.fromkeys(range(4), ROUNDS)
    assert "silent" not in capsys.readouterr().out
    assert sent(deployment, 2) == [(f"node-{to}", round) for round in range(1, LAST + 1) for to in (1, 3)]
    assert ("node-2", LAST) in sent(deployment, 1)
    assert ("node-2", LAST + 1) not in sent(deployment, 1)
    absences = {"graph": "ring", "nodes": 4, "failures": {"absences": [[2, LAST + 1, ROUNDS]]}}
    twin = run(experiment(topology=absences), tmp_path / "twin").path
    assert states(deployment.collected(tmp_path / "deployed")) == states(twin)


def test_those_who_have_left_are_told_once_and_by_themselves(leaving, capsys):
    deployment = leaving("p2p")
    deployment.p2p(4)
    folders = {node: deployment.node_folder(node) for node in range(4)}
    replies = {node: with_departure(folder, deployment.manifest, {"round": 4}) for node, folder in folders.items()}
    assert replies == {node: {"round": 4, **({"left": LAST} if node == 2 else {})} for node in range(4)}
    capsys.readouterr()
    told = set()
    for _ in range(2):
        tell(replies, deployment.manifest, told)
    assert capsys.readouterr().out == f"node 2: finished: budget, after {LAST} of {ROUNDS} rounds; the others go on\n"


@pytest.mark.slow
def test_budgets_of_unequal_nodes_are_spent_one_by_one(tmp_path):
    """Node 2 takes four times as many samples a step, so that its steps cost more."""
    deployment = Deployment(experiment(methods=[BUDGET], training=UNEQUAL), tmp_path)
    for node in range(4):
        path = deployment.policy(node)
        path.write_text(path.read_text().replace("max_epsilon: unlimited", f"max_epsilon: {BUDGET['max_epsilon']}"))
    assert deployment.p2p(ROUNDS) == dict.fromkeys(range(4), ROUNDS)
    rounds = {node: max(round for _, round in sent(deployment, node)) for node in range(4)}
    assert 0 < rounds[2] < ROUNDS
    assert {rounds[node] for node in (0, 1, 3)} == {ROUNDS}
    lines = verified(deployment.policy(2).parent / "ledger.jsonl")
    spent = [line["epsilon"] for line in lines if line["what"] in ("message", "report")]
    assert max(spent) == lines[0]["planned"] <= BUDGET["max_epsilon"]
    assert deployment.collected(tmp_path / "runs").is_dir()
