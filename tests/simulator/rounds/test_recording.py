"""What nodes keep of recorded rounds is what they sent and had, on every way there, and it changes nothing else."""

import pytest
import torch
from reference.experiments import METHODS, Posted, results, simulate, small

from simulator import run
from simulator.core.declaration import Declared
from simulator.core.errors import InputError
from simulator.core.method import Method
from simulator.core.observer import Observer
from simulator.results.recordings import Recordings
from simulator.sweep.plan import identity

CHAIN = {"graph": "chain", "nodes": 4}
PUSH = {"graph": "exponential", "nodes": 5, "weights": "push"}
CHOCO = {"name": "choco", "compression": {"name": "top_k", "keep": 0.2}}


class Models(Method):
    """Keeps each node's parameters where rounds begin and end."""

    def __init__(self):
        super().__init__(None)
        self.start, self.mixed = {}, {}

    def before_round(self, node):
        self.start[node.id, node.round] = node.parameters.clone()

    def after_mixing(self, node):
        self.mixed[node.id, node.round] = node.parameters.clone()


def recorded(tmp_path, rounds, **changes):
    """A run, watched: its views, messages, models, and nodes."""
    posted, models = Posted(), Models()

    def watch(node):
        node.methods.append(models)
        posted.watch(node)

    nodes = simulate(small(record={"rounds": rounds}, **changes), tmp_path, watch)
    return Recordings(tmp_path / "recordings"), posted.all, models, nodes


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"methods": METHODS}, id="methods"),
        pytest.param({"mixer": {"name": "gossip", "order": "combine_then_adapt"}}, id="combine then adapt"),
        *(
            pytest.param(changes, id=name, marks=pytest.mark.slow)
            for name, changes in {
                "push-sum": {"mixer": "push_sum", "topology": PUSH},
                "relay-sum": {"mixer": "relay_sum", "topology": CHAIN},
                "choco": {"mixer": CHOCO, "methods": [{"name": "gradient_tracking"}]},
            }.items()
        ),
    ],
)
def test_a_recording_holds_what_was_sent_and_the_models_before_and_after(tmp_path, changes):
    views, posted, models, nodes = recorded(tmp_path, [1, 4], **changes)
    assert views.rounds(len(nodes)) == (1, 4)
    for round in (1, 4):
        for node in nodes:
            names, sent = (
                views.names(round, node.id),
                [m for m in posted if (m.sender, m.round) == (node.id, round)],
            )
            for kind in ("start", "mixed"):
                assert torch.equal(views.load(round, node.id, kind), getattr(models, kind)[node.id, round])
            assert views.load(round, node.id, "receivers").tolist() == [message.receiver for message in sent]
            for message in sent:
                for part, tensor in message.parts.items():
                    (name,) = names & {f"sent/{part}", f"sent/{part}/{message.receiver}"}
                    assert torch.equal(views.load(round, node.id, name), tensor)


def test_one_copy_for_all_receivers_unless_they_get_different_messages(tmp_path):
    views, *_ = recorded(tmp_path / "gossip", [2])
    assert views.names(2, 1) == {"start", "mixed", "receivers", "heard", "weights", "sent/parameters"}
    views, *_ = recorded(tmp_path / "relay", [3], mixer="relay_sum", topology=CHAIN)
    parts = {f"{name}/{to}" for name in ("sent/parameters", "sent/relay_count", "shown") for to in (0, 2)}
    assert views.names(3, 1) == {"start", "mixed", "receivers"} | parts


def test_parts_that_are_larger_than_the_model_are_kept_too(tmp_path):
    class Ballast(Method):
        def outgoing(self, node, message):
            message.parts["ballast"] = torch.zeros(len(node.parameters) + 1, dtype=node.parameters.dtype)
            message.parts["note"] = torch.zeros(1)
            return message

        def parts(self, node, sender, round):
            ballast = Declared(node.parameters.dtype, (len(node.parameters) + 1,))
            return {"ballast": ballast, "note": Declared(torch.float32, (1,))}

    simulate(small(record={"rounds": [1]}), tmp_path, lambda node: node.methods.append(Ballast(None)))
    names = Recordings(tmp_path / "recordings").names(1, 0)
    assert {"sent/note", "sent/ballast"} <= names


def test_mixers_say_which_model_their_messages_show(tmp_path):
    views, posted, _, _ = recorded(tmp_path / "push", [3], mixer="push_sum", topology=PUSH)
    message = next(m for m in posted if (m.sender, m.round) == (2, 3))
    weight = message.parts["push_weight"].item()
    assert torch.equal(views.load(3, 2, "shown"), message.parts["parameters"] / weight)

    views, posted, _, _ = recorded(tmp_path / "relay", [3], mixer="relay_sum", topology=CHAIN)
    message = next(m for m in posted if (m.sender, m.receiver, m.round) == (1, 2, 3))
    assert message.parts["relay_count"].item() == 2
    assert torch.equal(views.load(3, 1, "shown/2"), message.parts["parameters"] / 2)

    views, _, _, nodes = recorded(tmp_path / "choco", [6], mixer=CHOCO)
    for node in nodes:  # the receivers' replica of the node, which is also its own
        assert torch.equal(views.load(6, node.id, "shown"), node.mixer.state_dict()["replica"])


@pytest.mark.parametrize("rate", [1.0, 0.6])
def test_recorded_weights_are_those_that_mixing_took(tmp_path, rate):
    views, _, _, nodes = recorded(tmp_path, [2], mixer={"name": "gossip", "rate": rate})
    for node in nodes:
        heard = views.load(2, node.id, "heard").tolist()
        shown = torch.stack([views.load(2, j, "sent/parameters") for j in heard])
        mixed = (views.load(2, node.id, "weights")[:, None] * shown).sum(0)
        torch.testing.assert_close(mixed, views.load(2, node.id, "mixed"), rtol=0, atol=1e-14)


@pytest.mark.parametrize("mixer", ["relay_sum", CHOCO, {"name": "gossip", "order": "combine_then_adapt"}], ids=str)
def test_where_mixing_is_no_average_of_what_was_trained_there_are_no_weights(tmp_path, mixer):
    views, *_ = recorded(tmp_path, [2], mixer=mixer, topology=CHAIN)
    assert not views.names(2, 0) & {"heard", "weights"}


def test_a_node_that_is_away_keeps_its_model_and_sends_nothing(tmp_path):
    views, _, models, _ = recorded(
        tmp_path, [2], topology={"graph": "ring", "nodes": 4, "failures": {"absences": [[3, 2, 2]]}}
    )
    assert views.names(2, 3) == {"start", "mixed", "receivers"}
    assert torch.equal(views.load(2, 3, "start"), views.load(2, 3, "mixed"))
    assert torch.equal(views.load(2, 3, "start"), models.mixed[3, 1])
    assert views.load(2, 3, "receivers").tolist() == []
    assert views.load(2, 0, "receivers").tolist() == [1]


def test_recording_changes_no_result_and_no_identity(tmp_path):
    plain, watched = (small(methods=METHODS, record=record) for record in ({}, {"every": 4}))
    assert plain.digest() == watched.digest()
    assert identity(plain) == identity(watched)
    found = results(run(watched, tmp_path / "watched").path)
    views = {name for name in found if name.startswith("recordings/")}
    assert views == {f"recordings/round-{round:06}/node-{node:04}.safetensors" for round in (4, 6) for node in range(4)}
    expected = results(run(plain, tmp_path / "plain").path)
    assert {name: content for name, content in found.items() if name not in views} == expected


def test_a_note_says_beforehand_how_much_room_it_takes(tmp_path):
    class Notes(Observer):
        def started(self, info):
            self.all = info.notes

    notes = Notes()
    done = run(small(record={"every": 2}), tmp_path, [notes])
    (note,) = [note for note in notes.all if "recording" in note]
    size = sum(file.stat().st_size for file in (done.path / "recordings").glob("*/*"))
    assert note.startswith(f"recording 3 rounds of 4 nodes takes {size / 1e6:.2f}"[:-1])
    run(small(), tmp_path / "plain", [notes])
    assert not [note for note in notes.all if "recording" in note]


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"record": {"rounds": [2, 7]}}, "record.rounds[1]", "no round 7"),
        ({"record": {"rounds": [0]}}, "record.rounds[0]", "greater than 0"),
        ({"record": {"every": 2, "rounds": [1]}}, "record", "either every or rounds"),
        ({"record": {"evry": 2}}, "record.evry", "no setting 'evry'"),
        (
            {"record": {"every": 2}, "mode": "asynchronous", "clock": {"step_seconds": 1}},
            "record",
            "needs rounds in step",
        ),
    ],
)
def test_what_cannot_be_recorded_is_refused(changes, where, what):
    with pytest.raises(InputError) as refused:
        small(**changes)
    (problem,) = refused.value.problems
    assert problem.where == where
    assert what in problem.what
    assert problem.advice


def test_a_damaged_view_is_an_input_error(tmp_path):
    views, *_ = recorded(tmp_path, [1])
    (tmp_path / "recordings" / "round-000001" / "node-0002.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot be read"):
        views.load(1, 2, "mixed")
    (tmp_path / "recordings" / "round-000001" / "node-0002.safetensors").unlink()
    assert views.rounds(4) == ()
