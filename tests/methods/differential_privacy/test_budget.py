"""A run that ends when a node's privacy budget is spent, with everything kept."""

import copy
import signal

import pytest
from reference.experiments import At, results, small
from reference.marks import first

from simulator import resume, run
from simulator.runs.report import write_run_report

LIMIT = 3.2
BUDGET = {"name": "dp_sgd", "noise_multiplier": 1.0, "max_epsilon": LIMIT}
CHANGES = {"rounds": 30, "methods": [BUDGET], "evaluate": {"every": 10}, "checkpoint": {"every": 4}}


def limited(**changes):
    return small(**copy.deepcopy(CHANGES | changes))


@pytest.fixture(scope="module")
def spent(tmp_path_factory):
    return run(limited(), tmp_path_factory.mktemp("spent"))


def test_no_node_spends_more_and_one_could_not_afford_another_round(spent):
    budgets = [node.methods[0].budget for node in spent.nodes]

    assert all(budget.epsilon <= LIMIT for budget in budgets)
    assert any(budget.mechanism.epsilon(budget.steps + 1) > LIMIT for budget in budgets)


@pytest.mark.slow
def test_everything_is_kept(spent):
    last = spent.nodes[0].round
    provenance = spent.directory.read_json("provenance.json")
    rounds, _ = spent.directory.network_series("privacy/epsilon/max")
    report = write_run_report(spent.directory).read_text()

    assert 1 < last < 30
    assert spent.status == provenance["status"] == "finished"
    assert "its privacy budget is spent: epsilon is" in provenance["ended_early"]
    assert rounds[-1] == last  # it was measured at its end
    assert [artifact.round for artifact in spent.directory.artifacts("dp_sgd")] == [last] * 4
    assert f"ended early, after {last} of 30 rounds: node" in report
    assert "epsilon rdp" in report
    for artifact in spent.directory.artifacts("dp_sgd"):
        assert artifact.arrays["epsilon"] < artifact.arrays["epsilon_rdp"]


def test_it_stays_over(spent, tmp_path):
    before = results(spent.path)
    again = resume(spent.path)

    assert again.status == "finished"
    assert again.directory.read_json("provenance.json")["ended_early"]
    assert results(spent.path) == before


@pytest.mark.slow
@pytest.mark.parametrize("last", first([2, 0]))
def test_stopped_and_resumed_it_spends_the_same(spent, tmp_path, last):
    interrupted = run(limited(), tmp_path, [At(last, lambda: signal.raise_signal(signal.SIGINT))])
    assert interrupted.status == "interrupted"
    resume(interrupted.path)

    assert results(interrupted.path) == results(spent.path)
