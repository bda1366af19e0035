"""A site with a process of its own: the experiment's code runs as another user, and the bytes are those of local."""

import os
import socket
import threading
import time

import pytest
from reference.confined import ALONE, Serving
from reference.experiments import METHODS, results, small

from simulator import run
from simulator.core.errors import InputError, RunError
from simulator.core.user_code import names
from simulator.deployment import phase
from simulator.deployment.confined import started
from simulator.deployment.confined.started import Account
from simulator.deployment.frames import HungUp, receive, send
from simulator.deployment.messenger import BROKEN_OFF
from simulator.deployment.site.ledger import verified
from simulator.deployment.site.serve_command import serve_command
from simulator.deployment.site.serving.listener import listening
from simulator.deployment.site.serving.server import SiteProcess
from simulator.deployment.site.untold import Untold
from simulator.deployment.transport.saved_rounds import SavedRounds

SPY = """
import ctypes, os, pathlib, socket, sys, tempfile, threading
import torch
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.node_program import NodeProgram

NUMBERS = {{"add_key": {{"x86_64": 248, "aarch64": 217}}, "prctl": {{"x86_64": 157, "aarch64": 167}}}}


def call(name, *given):
    if ctypes.CDLL(None).syscall(NUMBERS[name][os.uname().machine], *given) < 0:
        raise OSError


WAYS = {{
    **{{f"read {{path}}": lambda path=path: open(path, "rb") for path in {paths!r}}},
    "connect": lambda: socket.create_connection(("127.0.0.1", {port}), 5),
    "make a local socket": lambda: socket.socket(socket.AF_UNIX),
    "make a pair of sockets": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    "leave a key": lambda: call("add_key", b"user", b"told", b"x", 1, -4),
    "outlive the administrator's process": lambda: call("prctl", 1, 0, 0, 0, 0),
    "change its own file": lambda: os.utime(tempfile.NamedTemporaryFile(delete=False).name),
    "start a process": lambda: os.fork() or os._exit(0),
    "read the terminal": lambda: os.read(2, 0),
    "write": lambda: open("{out}/told", "w"),
    "make a name": lambda: os.mkdir("{out}/told"),
    "change a mode": lambda: os.chmod("experiment.yaml", 0o644),
    "read the experiment": lambda: open("experiment.yaml"),
    "write for itself": lambda: tempfile.TemporaryFile(),
    "start a thread": lambda: threading.Thread(target=print).start(),
}}
honest = NodeProgram._message


def more(program, to, exchange):
    message = honest(program, to, exchange)
    parts = {{**message.parts, "samples": torch.arange(64.0)}}
    return Message(message.sender, to, message.round, parts, exchange)


class Spy(Method):
    def before_round(self, node):
        NodeProgram._message, could = more, []
        for name, way in WAYS.items():
            try:
                way()
                could.append(name)
            except OSError:
                pass
        print(f"user {{os.geteuid()}} could: {{', '.join(could)}}.")
"""


def expected(experiment, path):
    return results(run(experiment.model_copy(update={"backend": small().backend}), path / "local").path)


@pytest.fixture
def serving(tmp_path, nobody):
    def made(experiment, **settings):
        deployment = Serving(experiment, tmp_path, **settings)
        deployment.account = nobody
        return deployment

    return made


@pytest.mark.slow
def test_it_gives_the_bytes_of_local_and_a_killed_program_changes_nothing(serving, tmp_path, monkeypatch, capsys):
    """It is killed while a round is under way, and another one goes on."""
    experiment = small(methods=METHODS, rounds=4, checkpoint={"every": 3}, record={"every": 3})
    deployment, programs, save = serving(experiment, round_timeout=60), [], SavedRounds.save
    start = started.subprocess.Popen

    def keep(command, **settings):
        programs.append(start(command, **settings))
        return programs[-1]

    def kill(memory, round, *given, **more):
        save(memory, round, *given, **more)
        if "node-0" in str(memory.departures) and round == 2 and len(programs) == 1:
            programs[0].kill()

    monkeypatch.setattr(started.subprocess, "Popen", keep)
    monkeypatch.setattr(SavedRounds, "save", kill)
    assert deployment.order("hello")["node"] == 0
    assert deployment.phase(4) == {0: {"round": 4, "away": 0, "heard": 1}, 1: 4, 2: 4, 3: 4}
    assert len(programs) == 2
    assert "node 0 is trained has died. Another one goes on" in capsys.readouterr().out
    assert results(deployment.collected(tmp_path / "deployed")) == expected(experiment, tmp_path)


@pytest.mark.slow
def test_code_of_the_experiment_reads_no_secret_reaches_nobody_leaves_nothing_and_sends_what_was_declared(
    serving, tmp_path, monkeypatch, everybodys, capfd
):
    """Though it has got round all that holds it back where it runs; the site's own process executes none of it."""
    place, policy = tmp_path / "deployment" / "nodes" / "node-0", tmp_path / "sites" / "node-0" / "site.yaml"
    secrets = [place / "node.key", place / "seal.key", place / "supernode", policy, policy.parent / "ledger.jsonl"]
    paths, spy = [str(each) for each in secrets], tmp_path / "spy.py"
    with socket.create_server(("127.0.0.1", 0)) as server:
        spy.write_text(SPY.format(paths=paths, port=server.getsockname()[1], out=everybodys))
        deployment = serving(small(folder=tmp_path, methods=["spy.py:Spy"]), **ALONE)

        def executed(name):
            raise AssertionError(f"{name} is executed by the administrator's process")

        monkeypatch.setattr(names, "load", executed)
        with pytest.raises(Untold, match=r"^node 0 declines: its site's policy does not allow it \(messages.parts\)$"):
            deployment.order("gossip", until=2, seconds=60.0, away="1 2 3", over=0)
    could = f"user {deployment.account.user} could: read the experiment, write for itself, start a thread."
    assert could in capfd.readouterr().err
    assert not list(everybodys.iterdir())
    lines = verified(secrets[-1])
    assert [line["settings"] for line in lines if line["what"] == "declined"] == [["messages.parts"]]
    assert not [line for line in lines if line["what"] in ("message", "report") and "samples" in line["names"]]
    assert not [line for line in lines if line["what"] == "message"]


def test_what_its_user_can_read_is_said_before_anything_is_executed(serving, everybodys):
    deployment, policy = serving(small(), **ALONE), everybodys / "site.yaml"
    everybodys.chmod(0o755)
    policy.write_text(deployment.policy(0).read_text())
    policy.chmod(0o644)
    site = SiteProcess(deployment.node_folder(0), policy, deployment.account, os.geteuid())
    with pytest.raises(Untold):
        deployment.order("gossip", site, until=2, seconds=60.0, away="1 2 3", over=0)
    said = (deployment.place(0) / "errors.log").read_text()
    assert f"it cannot be confined: its user can read {policy}" in said


@pytest.fixture
def site(tmp_path):
    deployment = Serving(small(), tmp_path)
    deployment.account = Account.same()
    return deployment


def test_another_users_orders_are_not_taken(site, capsys):
    stranger = SiteProcess(site.node_folder(0), site.policy(0), site.account, client=os.geteuid() + 1)
    with pytest.raises(HungUp):
        site.order("hello", stranger)
    assert f"a process of user {os.geteuid()} has connected, whose orders are not taken" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["policy", "__class__", None, ["gossip"]], ids=str)
def test_what_is_no_order_is_not_carried_out(word, site, capsys):
    with pytest.raises(HungUp):
        site.order(word)
    assert "what came is no order of a ClientApp" in capsys.readouterr().out


def test_a_phase_that_nobody_waits_for_any_more_is_broken_off(site, monkeypatch):
    here, there = socket.socketpair()
    monkeypatch.setattr(phase, "take_part", lambda *given: here.close() or time.sleep(60))
    given = {"until": 2, "seconds": 60.0, "away": "", "over": 0}
    send(here, {"word": "gossip", "config": site.manifest.to_config(), "given": given})
    process, begun = site.site(), time.monotonic()
    with there:
        process.talk(there)
    assert time.monotonic() - begun < 30
    assert not process._ending
    assert BROKEN_OFF in verified(site.policy(0).parent / "ledger.jsonl")[-1]["text"]


def test_only_the_owner_can_connect_and_nobody_can_replace_the_socket(tmp_path):
    with listening(tmp_path / "own" / "a.sock", os.geteuid()):
        assert (tmp_path / "own" / "a.sock").stat().st_mode & 0o777 == 0o600
    (tmp_path / "own").chmod(0o777)
    with pytest.raises(InputError, match="others could put a socket of their own"):
        listening(tmp_path / "own" / "a.sock", os.geteuid()).__enter__()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "it has to be said whom the experiment's code runs as"),
        ({"as_user": "nobody", "same_user": True}, "it has to be said whom the experiment's code runs as"),
        ({"as_user": "no-such-account"}, "this host has no account 'no-such-account'"),
        ({"as_user": "root"}, "'root' is root, who can read everything|only root can start"),
        ({"as_user": "nobody", "for_user": "nobody"}, "would have the data where it trains|only root can start"),
    ],
)
def test_who_runs_what_is_said_and_never_guessed(settings, problem, site):
    with pytest.raises(InputError, match=problem):
        serve_command(site.place(0), policy=site.policy(0), **settings)


def test_frames_are_taken_only_as_they_are_declared():
    bad = {
        b"GET / HTTP/1.1\r\n": "does not begin as a frame does",
        b"RMF1\xff\xff\xff\xff": "has a head of 4,294,967,295 bytes",
        b"RMF1\x00\x00\x00\x02[]": "a head that is not as it should be",
        b'RMF1\x00\x00\x00\x1d{"head": {}, "pieces": [[[1]]': "a head that is not as it should be",
        b'RMF1\x00\x00\x00\x20{"head": {}, "pieces":{"a": 11}}': "has 11 bytes, and 10 are allowed",
        b'RMF1\x00\x00\x00\x20{"head": {}, "pieces":{"a": -1}}': "a head that is not as it should be",
        b'RMF1\x00\x00\x00\x27{"head": {"a": NaN}, "pieces":{"a": 1}}': "a head that is not as it should be",
    }
    for data, problem in bad.items():
        here, there = socket.socketpair()
        with here, there:
            threading.Thread(target=here.sendall, args=(data,)).start()
            with pytest.raises(RunError, match=problem):
                receive(there, 10)
