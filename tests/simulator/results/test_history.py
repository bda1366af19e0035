"""What the player of a report is given: what nodes measured and what links carried, round by round."""

import numpy as np
import pytest

from simulator.core.report import GraphChart, Section
from simulator.results.report import history
from simulator.results.report.history import History
from simulator.results.run_directory import RunDirectory
from topologies import Topology


@pytest.fixture
def run(write_run):
    return write_run()


def played(run, *charts):
    found = History.of(run, [Section("Audit", charts=charts)])
    found.count(run.messages())
    return found


def test_nodes_have_their_metrics_the_headline_first_and_what_they_hold(run):
    leak = GraphChart("Leakage", run.topology, [0.5, 0.6, 0.7, 0.8], "AUC")
    other = GraphChart("Another graph", Topology.build("ring", 5), [0.5] * 5, "AUC")
    nodes = {each.label: each for each in played(run, leak, other).at_nodes}
    assert [*nodes] == [
        *("test accuracy, %", "test loss", "train loss"),
        *("training samples", "commonest class, % of samples", "Leakage: AUC"),
    ]
    accuracy = nodes["test accuracy, %"]
    assert accuracy.rounds == [0, 10, 20]
    np.testing.assert_allclose(accuracy.values[-1], [60, 70, 80, 90])
    assert nodes["train loss"].rounds == [10, 20]
    np.testing.assert_allclose(nodes["training samples"].values, [[1, 2, 3, 4]])
    # Node 1 holds classes 1 and 2, node 3 classes 0, 1, 2 and 0 again.
    np.testing.assert_allclose(nodes["commonest class, % of samples"].values, [[100, 50, 100 / 3, 50]])
    assert nodes["commonest class, % of samples"].notes[3] == "most of class cat"


def test_links_have_what_they_carried_since_the_stop_before_and_their_silences(run):
    found = History.of(run, [])
    found.count(each for each in run.messages() if {each["sender"], each["receiver"]} != {1, 2})
    assert found.links == [(0, 1), (0, 3), (1, 2), (2, 3)]
    carried, silent = found.on_links
    assert carried.rounds == [0, 10, 20]
    # 10 rounds of 4,000 bytes each way, and 600 of node 0 in every tenth.
    np.testing.assert_allclose(carried.values[1:], [[0.0806, 0.0806, 0, 0.08]] * 2)
    np.testing.assert_allclose(silent.values[1:], [[0, 0, 10, 0]] * 2)


def test_of_many_rounds_some_are_left_out_evenly_and_traffic_adds_up(write_run, monkeypatch):
    run = write_run(every=1)
    whole = played(run)
    monkeypatch.setattr(history, "MOST_NUMBERS", 5 * (4 * 3 + 2 * 4))
    few = played(run)
    assert few.at_nodes[0].rounds == [0, 5, 10, 15, 20]
    assert few.at_nodes[1].values.shape == (5, 4)
    np.testing.assert_allclose(few.on_links[0].values.sum(axis=0), whole.on_links[0].values.sum(axis=0))


def test_a_run_without_messages_has_no_links_to_show(run):
    found = History.of(run, [])
    found.count([])
    assert found.on_links == []


def test_what_is_logged_between_evaluations_is_played_in_its_own_rounds(write_run):
    run = write_run()
    with (run.path / "metrics.jsonl").open("a") as file:
        file.writelines(
            f'{{"round": {round}, "node": {node}, "name": "idkd/labelled", "value": {round + node}}}\n'
            for round in (7, 14)
            for node in range(4)
        )
    logged = {each.label: each for each in History.of(RunDirectory.open(run.path), []).at_nodes}["idkd labelled"]
    assert logged.rounds == [7, 14]
    np.testing.assert_allclose(logged.values, [[7, 8, 9, 10], [14, 15, 16, 17]])
