"""Deployed nodes, as threads: both planes give the bytes of local, also when broken off, lost or misled."""

import copy
import subprocess
import threading
import time

import numpy as np
import pytest
import yaml
from reference.deployment import Deployment
from reference.experiments import METHODS, results, small
from reference.marks import MANY, first

from simulator import run
from simulator.core.errors import InputError
from simulator.deployment import commands
from simulator.deployment.transport.gossip import Neighbours
from simulator.deployment.transport.mailbox import Mailbox
from simulator.deployment.transport.run_keys import FILE
from simulator.deployment.transport.saved_rounds import SavedRounds
from simulator.runs.report import write_run_report
from simulator.runs.run import Run

QGM, IDKD = METHODS
PUSH = {"graph": "exponential", "nodes": 4, "weights": "push", "schedule": "one_peer_exponential"}
FAILING = {"graph": "ring", "nodes": 4, "failures": {"links": 0.3, "absences": [[1, 3, 4]]}}
CCL = {"name": "cross_feature_contrastive_loss"}
NGC, EARLY = {"name": "neighbourhood_gradient_clustering"}, {"name": "gossip", "order": "combine_then_adapt"}
STATEFUL = {"name": "reference.stateful:BatchNet", "dropout": 0.5}
CASES = {
    "d-psgd": {},
    "qgm": {"methods": [QGM]},
    "idkd": {"methods": [QGM, IDKD]},
    "failures": {"topology": FAILING},
    "push-sum": {"topology": PUSH, "mixer": "push_sum"},
    "ngc": {"methods": [NGC], "mixer": EARLY, "topology": FAILING, "record": {"every": 3}},
    "ccl": {"methods": [CCL], "mixer": EARLY, "topology": FAILING, "record": {"every": 3}},
    "choco": {"mixer": {"name": "choco", "compression": {"name": "top_k", "keep": 0.2}}, "record": {"every": 3}},
    "running statistics": {"model": STATEFUL, "buffers": "mixed", "topology": FAILING, "record": {"every": 3}},
}


def experiment(case, **changes):
    return small(**{"checkpoint": {"every": 3}, **copy.deepcopy(CASES[case]), **changes})


def expected(experiment, path):
    return results(run(experiment.model_copy(update={"backend": small().backend}), path / "local").path)


BY_DEFAULT = ("idkd",)
BY_HAND = ("d-psgd", "qgm", "failures")  # idkd brings momentum and more, ngc the failures


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case in BY_DEFAULT else MANY if case in BY_HAND else pytest.mark.slow)
        for case in CASES
    ],
)
def test_p2p_gives_the_bytes_of_local(case, tmp_path):
    """In phases of different lengths, so that nodes go on from their disks."""
    deployment = Deployment(experiment(case), tmp_path)
    for until in (4, 6):
        assert deployment.p2p(until) == dict.fromkeys(range(4), until)
    assert results(deployment.collected(tmp_path / "deployed")) == expected(experiment(case), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", first(["idkd", "d-psgd", "qgm", "choco"]))
def test_relay_gives_the_bytes_of_local_and_the_mailbox_sees_none_of_them(case, tmp_path, monkeypatch):
    """In phases of different lengths, so that nodes go on from their disks, and from an empty mailbox."""
    deployment, seen, put = Deployment(experiment(case, record={"every": 1}), tmp_path, plane="relay"), [], Mailbox._put

    def look(mailbox, node, question, more, seconds):
        seen.append(question)
        return put(mailbox, node, question, (seen.append(letter) or letter for letter in more), seconds)

    monkeypatch.setattr(Mailbox, "_put", look)
    for until in (4, 6):
        assert deployment.relay(until) == dict.fromkeys(range(4), until)
        assert len(list(deployment.folder.rglob(FILE))) == (4 if until < 6 else 0)  # keys of the run go with it
    assert results(deployment.collected(tmp_path / "deployed")) == expected(deployment.experiment, tmp_path)
    passed_on = b"".join(seen)
    sent = [r.tensors for r in recordings(deployment, rounds=6)]
    assert len(sent) == 6 * 4
    assert len(passed_on) > sum(t["sent/parameters"].nbytes for t in sent if "sent/parameters" in t)
    for tensors in sent:
        for tensor in tensors.values():
            assert not leaks(tensor.numpy().tobytes(), passed_on)


def recordings(deployment, rounds):
    memories = [deployment.node_folder(node).memory(deployment.manifest.run) for node in range(4)]
    return [
        found for memory in memories for round in range(rounds) for found in memory.reply(round, "absorb").recordings
    ]


def leaks(secret, text, window=16):
    """Whether a piece of ``secret`` that is not mostly zeros stands in ``text``."""
    pieces = (secret[start : start + window] for start in range(0, len(secret) - window, 1024))
    return any(piece in text for piece in pieces if piece.count(0) < 4)


def test_the_search_for_plaintext_finds_it_where_it_is():
    secret = bytes(range(1, 200)) * 20
    assert leaks(secret, b"xx" + secret[1024:2048])
    assert not leaks(secret, secret[::-1])


@pytest.mark.slow
def test_a_node_broken_off_at_any_point_goes_on_from_its_disk(tmp_path, monkeypatch):
    """Node 1 dies in the middle of every other write, and is started again."""
    deployment, write = Deployment(experiment("idkd"), tmp_path, round_timeout=60), SavedRounds._write
    deaths = []

    def dying(memory, file, data):
        if "node-1" in str(file) and len(deaths) < 6 and (file.name, 1) not in deaths and file.name[:6] > "000001":
            deaths.append((file.name, 1))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_name(f".{file.name}").write_bytes(data[: len(data) // 2])
            raise KeyboardInterrupt
        write(memory, file, data)

    monkeypatch.setattr(SavedRounds, "_write", dying)
    restart_until_done(deployment, monkeypatch)
    assert len(deaths) == 6
    assert results(deployment.collected(tmp_path / "deployed")) == expected(experiment("idkd"), tmp_path)


def restart_until_done(deployment, monkeypatch):
    from reference import deployment as module

    once = module.take_part

    def again(*arguments):
        while True:
            try:
                return once(*arguments)
            except KeyboardInterrupt:
                continue

    monkeypatch.setattr(module, "take_part", again)
    assert deployment.p2p(6) == dict.fromkeys(range(4), 6)


@pytest.mark.slow
def test_a_mailbox_that_is_killed_in_the_middle_changes_nothing(tmp_path):
    """As a process, with what it knows; another one takes its place."""
    deployment, rounds = Deployment(experiment("qgm", rounds=40), tmp_path, plane="relay", round_timeout=60.0), 40
    command, killed = commands.mailbox(deployment.folder / "superlink"), []
    memory = deployment.node_folder(0).memory(deployment.manifest.run)
    mailbox = [subprocess.Popen(command)]

    def kill():
        for round in (5, 20):
            while not memory.has(round, "absorb"):
                time.sleep(0.005)
            mailbox[0].kill()
            mailbox[0].wait()
            killed.append(not memory.has(rounds - 1, "absorb"))
            mailbox[0] = subprocess.Popen(command)

    killing = threading.Thread(target=kill)
    killing.start()
    found = deployment.p2p(rounds)
    killing.join()
    mailbox[0].kill()
    mailbox[0].wait()
    assert found == dict.fromkeys(range(4), rounds)
    assert killed == [True, True]
    assert results(deployment.collected(tmp_path / "out")) == expected(experiment("qgm", rounds=rounds), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["d-psgd", pytest.param("idkd", marks=MANY)])
def test_links_with_one_end_that_can_be_reached_give_the_bytes_of_local(case, tmp_path):
    """Nodes 1 and 3 of the ring have no port, and put what they send at those of nodes 0 and 2."""
    deployment = Deployment(experiment(case), tmp_path, unreachable=(1, 3))
    for until in (4, 6):
        assert deployment.p2p(until) == dict.fromkeys(range(4), until)
    assert results(deployment.collected(tmp_path / "deployed")) == expected(experiment(case), tmp_path)
    text = (deployment.folder / "README.md").read_text()
    assert "| nobody | to node 1, which connects to its neighbours |" in text


def test_links_with_no_such_end_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"--host: nodes 0 and 1 are neighbours, and neither can be reached"):
        Deployment(experiment("d-psgd"), tmp_path / "a", unreachable=(0, 1))
    assert not (tmp_path / "a").exists()
    deployment = Deployment(experiment("d-psgd"), tmp_path / "b", unreachable=(1,))
    file = deployment.node_folder(0).folder / "node.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"listen": "none"}))
    found = deployment.p2p(6, nodes=[0])[0]
    assert isinstance(found, InputError)
    assert "node.yaml: listen: nodes 0 and 1 are neighbours, and neither can be reached" in str(found)


@pytest.mark.slow
def test_without_a_node_the_others_go_on(tmp_path, capsys):
    """Node 3 is never there: it costs each neighbour one wait, and its weight is the neighbours' own."""
    deployment = Deployment(experiment("d-psgd", rounds=12), tmp_path)
    found = deployment.p2p(12, nodes=[0, 1, 2], join_timeout=2.0)
    assert found == dict.fromkeys((0, 1, 2), 12)
    assert capsys.readouterr().out.count("node 3 at") == 2
    with pytest.raises(InputError, match="holds 0 of 12 rounds"):
        deployment.collected(tmp_path / "deployed")


@pytest.mark.parametrize(
    ("case", "plane"),
    first([("idkd", "p2p"), ("d-psgd", "relay"), ("d-psgd", "p2p")]),
)
@pytest.mark.slow
def test_absences_give_the_models_of_a_simulation_of_the_same_absences(case, plane, tmp_path):
    """Node 3 joins late, and node 1 is away for a phase; what each has missed it sits out, and keeps its model."""
    absences = [[3, 1, 2], [1, 5, 6]]
    deployment = Deployment(experiment(case, rounds=8), tmp_path, plane=plane)
    for until, away in ((2, [3]), (4, []), (6, [1]), (8, [])):
        nodes = sorted(set(range(4)) - set(away))
        assert deployment.on(plane, until, nodes=nodes, away=away, over=until - 2) == dict.fromkeys(nodes, until)
    deployed = Run.open(deployment.collected(tmp_path / "deployed"))
    simulated = experiment(case, rounds=8, topology={"graph": "ring", "nodes": 4, "failures": {"absences": absences}})
    local = run(simulated.model_copy(update={"backend": small().backend}), tmp_path / "local")
    assert np.array_equal(deployed.models(8), local.models(8))
    assert list(deployed.directory.messages()) == list(local.directory.messages())
    away = {(metric.node, metric.round) for metric in deployed.metrics() if metric.name == "away"}
    assert away == {(3, 1), (3, 2), (1, 5), (1, 6)}
    report = write_run_report(deployed.directory).read_text()
    assert "Who took part" in report


@pytest.mark.slow
def test_a_node_that_comes_back_in_the_middle_of_a_phase_sits_out_what_it_has_missed(tmp_path):
    deployment = Deployment(experiment("d-psgd", rounds=8), tmp_path)
    deployment.p2p(4, nodes=[0, 1, 2], away=[3])
    assert deployment.p2p(8, join_timeout=60.0, late=[3]) == dict.fromkeys(range(4), 8)
    memory = deployment.node_folder(3).memory(deployment.manifest.run)
    steps = [memory.reply(round, "work").steps for round in range(8)]
    assert steps[:3] == [0, 0, 0]
    assert steps[4:] == [1, 1, 1, 1]
    assert deployment.collected(tmp_path / "deployed").is_dir()


@pytest.mark.slow
def test_a_node_that_has_only_looked_finds_its_messages_although_the_others_have_ended(tmp_path, monkeypatch, capsys):
    def slowly(step):
        def done(*arguments):
            time.sleep(1.0 if threading.current_thread().name == "node-3" else 0.0)
            return step(*arguments)

        return done

    monkeypatch.setattr(Neighbours, "gone_on", slowly(Neighbours.gone_on))  # the others have sent theirs by now
    ask = slowly(Neighbours.ask)  # and have had its own
    monkeypatch.setattr(Neighbours, "ask", lambda *arguments: lambda: ask(*arguments)())
    deployment = Deployment(experiment("d-psgd", rounds=1), tmp_path)
    assert deployment.p2p(1, round_timeout=20.0, join_timeout=20.0) == dict.fromkeys(range(4), 1)
    assert "silent" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_node_that_hears_nobody_does_not_train_on_alone(tmp_path):
    """Its neighbours have finished, or its network is down: it waits for other orders."""
    deployment = Deployment(experiment("d-psgd"), tmp_path)
    deployment.p2p(2)
    assert deployment.p2p(6, nodes=[1], join_timeout=0.5, round_timeout=0.5) == {1: 2}
    assert deployment.p2p(6, nodes=[0, 2, 3], away=[1]) == dict.fromkeys((0, 2, 3), 6)
    assert deployment.p2p(6, nodes=[1], over=6) == {1: 6}  # the run is over for all others
    memory = deployment.node_folder(1).memory(deployment.manifest.run)
    assert [memory.reply(round, "work").steps for round in range(6)] == [1, 1, 0, 0, 0, 0]


@pytest.mark.slow
def test_where_parts_need_every_message_all_wait_for_a_missing_node(tmp_path):
    deployment = Deployment(experiment("choco"), tmp_path)
    waited = deployment.p2p(6, nodes=[0, 1, 2], join_timeout=1.0, round_timeout=1.0)
    assert (waited[0], waited[2]) == (0, 0)
    assert waited[1] <= 1  # whose neighbours are there
    deployment.p2p(6)
    assert results(deployment.collected(tmp_path / "deployed")) == expected(experiment("choco"), tmp_path)


@pytest.mark.slow
def test_a_phase_that_is_over_is_gone_on_with(tmp_path):
    deployment = Deployment(experiment("qgm"), tmp_path)
    assert set(deployment.p2p(6, nodes=[0, 1], seconds=3.0).values()) == {0}  # their neighbours are not there yet
    deployment.p2p(6)
    assert results(deployment.collected(tmp_path / "deployed")) == expected(experiment("qgm"), tmp_path)


def test_a_node_of_another_experiment_or_version_takes_no_part(tmp_path):
    deployment, other = Deployment(experiment("d-psgd"), tmp_path / "a"), Deployment(experiment("qgm"), tmp_path / "b")
    deployment.node_folder(0).check(deployment.manifest)
    with pytest.raises(InputError, match=r"experiment.yaml: is not the experiment of this run, as node 0 sees it"):
        deployment.node_folder(0).check(other.manifest)
    with pytest.raises(InputError, match=r"node 0 has rumormill .*, and the run wants 9.9"):
        deployment.node_folder(0).check(other.manifest.__class__(**{**vars(deployment.manifest), "version": "9.9"}))
