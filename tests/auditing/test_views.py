"""Recordings of a network that was written by hand, and of small runs: who holds what, and what they make of it."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from reference.experiments import small

from auditing.views.observe import observe
from auditing.views.position import SignalSum
from auditing.views.record import FinalModel, RunRecord, Stored
from auditing.views.view import ORDER, Unseen, view_names
from simulator import run
from simulator.core.errors import InputError
from simulator.core.recording import Recording
from simulator.core.soft_labels import SoftLabels
from simulator.results.recordings import Recordings
from topologies import Topology

RECORDED = {"message", "mixed", "update", "guessed_update", "marginalized", "all_rounds", "coalition", "global"}
RECORDED |= {"trajectory", "first_to_last"}
OF_LABELS = {"labels", "all_labels"}


@dataclass
class Gossip:
    """Random models that are mixed by a topology's W; the ``away`` (round, node) send and hear nothing."""

    topology: Topology
    rounds: tuple[int, ...] = (1, 2)
    lasted: int = 2
    without: tuple[str, ...] = ()
    away: frozenset = frozenset()
    models: dict[Stored, torch.Tensor] = field(default_factory=dict)
    has_state: bool = False
    shows_trained: bool = True
    rounds_of_labels: tuple[int, ...] = ()
    labelled: frozenset = frozenset()  # by (round, node)
    attackers: frozenset = frozenset()

    @property
    def nodes(self):
        return self.topology.num_nodes

    def receivers(self, round, node):
        there = [each for each in range(self.nodes) if (round, each) not in self.away]
        return tuple(each for each in self.topology.out_neighbours(node) if {node, each} <= set(there))

    def message(self, round, node, receiver):
        return Stored("message", node, round)

    def labels(self, round, node):
        return SoftLabels(torch.arange(1), torch.ones(1, 1)) if (round, node) in self.labelled else None

    def keeps(self, kind):
        return kind not in self.without

    def weights(self, round, node):
        return self.topology.row(node)

    def masked_to(self, round, node):
        return ()

    def load(self, stored):
        if stored.kind == "mixed":
            terms = ((j, weight) for j, weight in self.topology.row(stored.node).items())
            return sum(weight * self.load(Stored("message", j, stored.round)) for j, weight in terms)
        seed = hash((stored.kind == "message", stored.node, stored.round)) % 2**32
        return self.models.setdefault(stored, torch.from_numpy(np.random.default_rng(seed).normal(size=5)))


def pairs(found, name):
    """By victim and observer: what each sees, as models and weights."""
    (view,) = [position for position in found.positions if position.name == name]
    return {
        (victim, observer): [(found.models[row], weight) for row, weight in observation.terms]
        for victim, observer, observation in view.pairs
    }


def alone(*stored):
    return ((Stored(*stored), 1.0),)


def test_attackers_are_nobodys_victims_and_what_they_see_stands_apart():
    """A ring of five in which node 2 lies: 1 and 3 send to it and to an honest node each."""
    topology = Topology.build("ring", 5)
    found, unseen = observe(Gossip(topology, attackers=frozenset({2})), topology)
    everywhere = [*found.positions, *(each for rounds in found.by_round.values() for each in rounds.values())]
    assert 2 not in {pair.victim for position in everywhere for pair in position.pairs}
    for position in everywhere:
        assert ({pair.observer for pair in position.pairs} & {2} == {2}) is (
            "held by attackers" in position.name and "coalition" not in position.name
        )
    assert set(pairs(found, "message")) == {(0, 1), (1, 0), (0, 4), (4, 0), (3, 4), (4, 3)}
    assert set(pairs(found, "message, held by attackers")) == {(1, 2), (3, 2)}
    assert set(pairs(found, "distance 2, held by attackers")) == {(0, 2), (4, 2)}
    assert list(found.by_round) == ["message", "message, held by attackers", "mixed"]
    assert len(pairs(found, "coalition")[1, None]) == len(pairs(found, "coalition, held by attackers")[1, None])
    assert set(pairs(found, "coalition, held by attackers")) == {(1, None), (3, None)}
    (mean, _), *_ = pairs(found, "consensus")[0, None]
    assert [stored.node for stored, _ in mean] == [0, 1, 3, 4]
    read = {stored for model in found.models for stored, _ in model}
    assert not {stored for stored in read if stored.node == 2 and stored.kind in ("message", "mixed")}
    assert [each.view for each in unseen if "another model" in str(each)] == ["marginalized"]


def test_final_models_are_seen_by_distance_along_the_links_that_messages_take():
    found, unseen = observe(Gossip(Topology.build("chain", 3), rounds=()), Topology.build("chain", 3))
    assert pairs(found, "final model") == {(v, v): [(alone("final", v), 1.0)] for v in range(3)}
    assert set(pairs(found, "distance 1")) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert pairs(found, "distance 2")[0, 2] == [(alone("final", 2), 1.0)]
    assert set(pairs(found, "consensus")) == {(0, None), (1, None), (2, None)}
    assert [position.distance for position in found.positions] == [0, 1, 2, None]
    assert {reason.view for reason in unseen} == RECORDED | OF_LABELS
    assert len(found.models) == 4
    mean = torch.stack([found.record.load(Stored("final", v)) for v in range(3)]).mean(0)
    assert torch.equal(found.model(3), mean)


def test_what_each_watcher_of_recorded_rounds_judges_by():
    topology = Topology.build("chain", 3)
    found, unseen = observe(Gossip(topology), topology)
    assert {reason.view for reason in unseen} == OF_LABELS | {"trajectory"}
    message, start = alone("message", 1, 2), [alone("start", node, 2) for node in range(3)]
    assert pairs(found, "message")[1, 0] == [(message, 1.0)]
    assert pairs(found, "mixed")[1, None] == [(alone("mixed", 1, 2), 1.0)]
    assert pairs(found, "update")[1, 0] == [(message, 1.0), (start[1], -1.0)]
    assert pairs(found, "guessed update")[1, 2] == [(message, 1.0), (start[2], -1.0)]
    assert pairs(found, "all rounds")[1, 0] == [(alone("message", 1, 1), 0.5), (message, 0.5)]
    assert pairs(found, "first to last")[1, 0] == [(message, 1.0), (alone("message", 1, 1), -1.0)]
    together = dict(pairs(found, "coalition")[1, None])
    assert together[message] == 0.5
    assert together[start[0]] == together[start[2]] == -0.25
    assert dict(pairs(found, "global")[1, None])[start[1]] == -0.5
    assert {name: sorted(views) for name, views in found.by_round.items()} == {"message": [1, 2], "mixed": [1, 2]}


@pytest.mark.parametrize(("graph", "nodes"), [("ring", 3), ("complete", 5), ("chain", 2)])
def test_without_all_that_others_put_in_a_mixed_model_is_the_message(graph, nodes):
    topology = Topology.build(graph, nodes)
    found, _ = observe(Gossip(topology), topology, ["marginalized"])
    assert {(victim, observer) for victim, observer, _ in found.positions[0].pairs} == set(topology.edges())
    for victim, _, observation in found.positions[0].pairs:
        ((row, weight),) = observation.terms
        assert weight == 1
        sent = found.record.load(Stored("message", victim, 2))
        torch.testing.assert_close(found.model(row), sent, rtol=0, atol=1e-12)


def test_what_a_neighbour_does_not_know_stays_in():
    topology = Topology.build("ring", 5)
    record = Gossip(topology)
    found, _ = observe(record, topology, ["marginalized"])
    ((model, _),) = pairs(found, "marginalized")[0, 1]
    assert dict(model) == {Stored("mixed", 0, 2): 1.0, Stored("message", 1, 2): -topology.weights[0, 1]}
    left = sum(record.load(Stored("message", j, 2)) for j in (0, 4)) / 2
    row = found.positions[0].pairs[0].observation.terms[0][0]
    torch.testing.assert_close(found.model(row), left, rtol=0, atol=1e-12)


def test_of_a_node_that_was_away_there_is_no_message_but_a_model():
    topology = Topology.build("ring", 4)
    found, _ = observe(Gossip(topology, away=frozenset({(2, 3)})), topology)
    assert set(pairs(found, "message")) == set(pairs(found, "marginalized")) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert set(pairs(found, "mixed")) == {(v, None) for v in range(4)}
    assert pairs(found, "all rounds")[3, 0] == [(alone("message", 3, 1), 1.0)]


def test_rounds_in_which_nobody_sent_anything_are_left_out_of_curves():
    topology = Topology.build("ring", 3)
    found, _ = observe(Gossip(topology, away=frozenset((1, node) for node in range(3))), topology)
    assert {name: sorted(views) for name, views in found.by_round.items()} == {"message": [2], "mixed": [1, 2]}


def test_nobody_sees_what_nobody_sent():
    topology = Topology.build("ring", 3)
    record = Gossip(topology, away=frozenset((2, node) for node in range(3)))
    for name in ("message", "update", "guessed_update", "marginalized"):
        with pytest.raises(Unseen, match=rf"--view {name}: no node sent anything in round 2.\n.*Record other rounds"):
            observe(record, topology, [name])
    with pytest.raises(Unseen, match="only one round"):
        observe(Gossip(topology, rounds=(1,)), topology, ["all_rounds"])


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_what_was_not_recorded_is_refused_with_the_setting_to_add(name):
    topology = Topology.build("ring", 3)
    with pytest.raises(Unseen, match=rf"--view {name}: [\s\S]*record.every"):
        observe(Gossip(topology, rounds=()), topology, [name])


def test_who_judges_round_by_round_needs_three_of_them_and_takes_those_in_which_it_heard_the_node():
    topology = Topology.build("chain", 3)
    with pytest.raises(Unseen, match=r"--view trajectory: only 2 rounds were recorded[\s\S]*at least 3"):
        observe(Gossip(topology), topology, ["trajectory"])
    record = Gossip(topology, rounds=(1, 2, 4), lasted=4, away=frozenset({(2, 0)}))
    found, _ = observe(record, topology, ["trajectory", "first_to_last"])
    whole = {(pair.victim, pair.observer): pair.observation.parts for pair in found.positions[0].pairs}
    models = {key: [found.models[part.terms[0][0]] for part in parts] for key, parts in whole.items()}
    assert models[1, 2] == [alone("message", 1, round) for round in (1, 2, 4)]
    assert models[0, 1] == [alone("message", 0, round) for round in (1, 4)]
    assert pairs(found, "first to last")[0, 1] == [(alone("message", 0, 4), 1.0), (alone("message", 0, 1), -1.0)]


def test_a_signal_is_summed_as_the_terms_say():
    values = np.random.default_rng(0).normal(size=(3, 2, 4))
    observation = SignalSum.mean([((0, 1.0), (2, -1.0)), ((1, 1.0), (2, -1.0))])
    np.testing.assert_allclose(observation.signal(values), (values[0] + values[1]) / 2 - values[2])
    assert np.array_equal(SignalSum(((1, 1.0),)).signal(values), values[1])


def test_candidates_of_recorded_models_are_those_of_their_victims():
    topology = Topology.build("ring", 4)
    found, _ = observe(Gossip(topology), topology)
    victims = dict(zip(found.models, found.victims(), strict=True))
    assert victims[alone("final", 2)] is None
    assert victims[alone("message", 2, 2)] == {2}
    assert victims[alone("start", 2, 2)] == {1, 2, 3}


@pytest.mark.parametrize(
    ("mixer", "refused"),
    [
        ("gossip", set()),
        ({"name": "choco", "compression": "sign"}, {"update", "guessed_update", "marginalized", "coalition", "global"}),
        ("relay_sum", {"update", "guessed_update", "marginalized", "coalition", "global"}),
        (
            {"name": "gossip", "order": "combine_then_adapt"},
            {"update", "guessed_update", "marginalized", "coalition", "global"},
        ),
    ],
    ids=["gossip", "choco", "relay-sum", "early"],
)
def test_views_of_updates_are_refused_where_messages_hold_none(tmp_path, mixer, refused):
    done = run(small("rounds=2", mixer=mixer, topology={"graph": "chain", "nodes": 3}, record={"every": 1}), tmp_path)
    found, unseen = observe(RunRecord.of(done), done.directory.topology)
    assert {reason.view for reason in unseen} == refused | OF_LABELS | {"trajectory"}
    assert all(
        "does not send what the nodes have just trained" in str(reason) for reason in unseen if reason.view in refused
    )
    assert all(found.model(row).shape == done.nodes[0].parameters.shape for row in range(len(found.models)))


@pytest.mark.parametrize("mixer", ["median", {"name": "clipped_gossip", "tau": 1.0}], ids=["median", "clipped"])
def test_robust_mixing_shows_updates_and_lets_nobody_take_messages_out(tmp_path, mixer):
    """A round's update is what the model that was sent has more than the one that the round began with."""
    topology = {"graph": "complete", "nodes": 4}
    done = run(small("rounds=2", mixer=mixer, topology=topology, record={"every": 1}), tmp_path)
    found, unseen = observe(RunRecord.of(done), done.directory.topology)
    assert {reason.view for reason in unseen} == {"marginalized"} | OF_LABELS | {"trajectory"}
    (why,) = (str(reason) for reason in unseen if reason.view == "marginalized")
    assert "no weighted sums, or by weights that nobody else knows" in why
    assert pairs(found, "update")[2, 0] == [(alone("message", 2, 2), 1.0), (alone("start", 2, 2), -1.0)]


def test_a_run_is_read_as_it_was_recorded(tmp_path):
    done = run(small("rounds=3", record={"rounds": [2, 3]}), tmp_path)
    record, views = RunRecord.of(done), Recordings(done.path / "recordings")
    assert (record.nodes, record.rounds) == (4, (2, 3))
    assert record.receivers(2, 0) == (1, 3)
    assert record.weights(2, 0) == done.directory.topology.row(0)
    assert record.message(3, 2, 1) == Stored("message", 2, 3)
    for kind, name in (("start", "start"), ("message", "sent/parameters"), ("mixed", "mixed")):
        assert torch.equal(record.load(Stored(kind, 2, 3)), views.load(3, 2, name))
    # Round 2 ends where round 3 begins, and round 3 is the last.
    assert torch.equal(record.load(Stored("mixed", 1, 2)), record.load(Stored("start", 1, 3)))
    assert torch.equal(record.load(Stored("mixed", 1, 3)), record.load(Stored("final", 1)))
    found, _ = observe(record, done.directory.topology, ["marginalized"])
    assert len(found.positions[0].pairs) == 8


def test_part_of_a_network_is_seen_as_a_network_of_its_own(tmp_path):
    """Two copies of a chain of three in one recording, with a message of its own for each receiver."""
    views, rng = Recordings(tmp_path), np.random.default_rng(0)
    for node in range(6):
        others = [other for other in (node - 1, node + 1) if other // 3 == node // 3]
        models = {
            name: torch.from_numpy(rng.normal(size=4)) for name in ("start", "mixed", *map("shown/{}".format, others))
        }
        heard = torch.tensor(sorted([node, *others]))
        row = {"receivers": torch.tensor(others), "heard": heard, "weights": torch.ones(len(heard)) / len(heard)}
        views.save(Recording(1, node, models | row))
    final = [FinalModel(torch.from_numpy(rng.normal(size=4))) for _ in range(6)]
    whole = RunRecord(views, final, views.rounds(6), 3, shows_trained=True)
    second = RunRecord(views, final[3:], views.rounds(6), 3, 3)
    assert second.receivers(1, 1) == (0, 2)
    assert second.weights(1, 1) == pytest.approx(dict.fromkeys([0, 1, 2], 1 / 3))
    chain = Topology.build("chain", 3)
    first, found = (
        observe(RunRecord(views, final[start : start + 3], (1,), 3, start, shows_trained=True), chain)[0]
        for start in (0, 3)
    )
    assert first.models == found.models
    assert first.positions == found.positions
    kinds = [Stored("final", 2), Stored("start", 1, 1), Stored("message", 1, 1, 2), Stored("mixed", 0, 1)]
    for stored in kinds:
        shifted = stored._replace(node=stored.node + 3, receiver=stored.receiver and stored.receiver + 3)
        assert torch.equal(second.load(stored), whole.load(shifted))


def test_a_view_of_another_model_is_refused(tmp_path):
    done = run(small("rounds=1", record={"every": 1}), tmp_path)
    Recordings(done.path / "recordings").save(
        Recording(1, 2, {"mixed": torch.zeros(3), "receivers": torch.tensor([1])})
    )
    with pytest.raises(InputError, match="of node 2 in round 1: 3 parameters"):
        RunRecord.of(done).load(Stored("mixed", 2, 1))


def test_views_have_names_for_the_command_line():
    assert view_names() == [*ORDER]
    assert set(ORDER) == RECORDED | OF_LABELS | {"final_model", "distance", "consensus"}


@pytest.mark.parametrize(
    ("left_out", "views"),
    [("start", ("update", "guessed_update", "coalition", "global")), ("mixed", ("mixed", "marginalized"))],
)
def test_views_of_models_that_were_left_out_are_refused(left_out, views):
    record = Gossip(Topology.build("ring", 5), without=(left_out,))
    for view in views:
        with pytest.raises(Unseen, match=f"left {left_out} models out"):
            observe(record, record.topology, [view])


def test_whoever_remembers_recorded_rounds_is_told_how_many_there_were():
    record = Gossip(Topology.build("ring", 5), lasted=60)
    positions = observe(record, record.topology, ["all_rounds", "coalition", "global"])[0].positions
    assert all(position.holder.endswith("over the 2 recorded of 60 rounds") for position in positions)


def test_readers_of_labels_judge_by_students_of_those_who_labelled_anything():
    topology = Topology.build("chain", 3)
    record = Gossip(topology, rounds_of_labels=(1, 2), labelled=frozenset({(1, 0), (2, 0), (2, 1)}))
    found, _ = observe(record, topology, ["labels", "all_labels"])
    student = {key: alone("student", key[1], key[0]) for key in record.labelled}
    assert pairs(found, "labels") == {(0, None): [(student[2, 0], 1.0)], (1, None): [(student[2, 1], 1.0)]}
    assert pairs(found, "all labels")[0, None] == [(student[1, 0], 0.5), (student[2, 0], 0.5)]
    assert pairs(found, "all labels")[1, None] == [(student[2, 1], 1.0)]
    assert {name: sorted(views) for name, views in found.by_round.items()} == {"labels": [1, 2]}
    assert found.lessons == [model[0][0] for model in found.models]


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        ((), "nodes of this run send no labels of public samples"),
        ((1, 2), "no node labelled a public sample in rounds 1, 2"),
        ((2, 5), "sent in rounds 2, 5, and no recorded message holds any.\n.*Run it again with these in record.rounds"),
    ],
)
def test_where_there_are_no_labels_to_read_it_is_said_why(sent, what):
    topology = Topology.build("ring", 3)
    with pytest.raises(Unseen, match=f"--view labels: [\\s\\S]*{what}"):
        observe(Gossip(topology, rounds_of_labels=sent), topology, ["labels"])
