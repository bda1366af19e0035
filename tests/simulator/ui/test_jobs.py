"""Audits from the page: a queue of processes, one at a time, followed and cancelled."""

import asyncio
import json
import re
import sys
import time

import pytest
from reference.experiments import SMALL
from reference.run_folders import write_run

from simulator.ui import jobs

PYTHON = sys.executable
TALKS = "import sys; print('one'); print('two', file=sys.stderr); print(sys.argv[1:])"
PATIENCE = 600  # seconds, of a machine that does much else
WAITS = f"import time; print('began', flush=True); time.sleep({PATIENCE})"
DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " + WAITS


@pytest.fixture
def instead(monkeypatch, tmp_path):
    """``instead(code)``: what the next audits do."""

    def instead(code):
        script = tmp_path / "interpreter"
        script.write_text(f"#!{PYTHON}\n{code}\n")
        script.chmod(0o755)
        monkeypatch.setattr(jobs.sys, "executable", str(script))

    return instead


def state(client, number):
    text = client.get(f"/audits/{number}").text
    return re.search(r'<span class="state \w+">(\w+)', text)[1], text


def until(client, number, wanted, said=""):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found, text = state(client, number)
        if found == wanted and said in text.split("<pre", 1)[1].split("</pre>")[0]:
            return text
        if found not in ("waiting", "running", wanted):
            break
        time.sleep(0.05)
    raise AssertionError(f"still {found}: {text}")


def test_an_audit_is_what_the_command_line_does(client, send, folder, instead):
    instead(TALKS)
    answer = send("/audits", run="a", audit="membership", replicas="2", settings="samples=200 'signals=[loss]'")
    assert answer.url.path == "/audits/1"
    text = until(client, 1, "done")
    said = ["-m", "simulator", "audit", "--audit", "membership", "--replicas", "2", "--", str(folder / "a")]
    assert str([*said, "samples=200", "signals=[loss]"]).replace("'", "&#39;") in text
    assert "one\ntwo" in text or "two\none" in text
    assert "data-refresh" not in text
    assert "membership replicas=2 samples=200 signals=[loss]" in client.get("/audits").text


def test_one_at_a_time_and_any_can_be_cancelled(client, send, instead):
    instead(WAITS)
    send("/audits", run="a", audit="membership")
    until(client, 1, "running", "began")
    send("/audits", run="a", audit="privacy")
    assert state(client, 2)[0] == "waiting"
    assert '<span class="count"' in client.get("/").text
    send("/audits/2/cancel")
    assert state(client, 2)[0] == "cancelled"
    instead(TALKS)
    send("/audits", run="a", audit="robustness")
    send("/audits/1/cancel")
    assert state(client, 1)[0] == "cancelled"
    until(client, 3, "done")
    assert state(client, 2)[0] == "cancelled"


def test_what_does_not_listen_is_killed(client, send, instead, monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 0.2)
    instead(DEAF)
    send("/audits", run="a", audit="membership")
    until(client, 1, "running", "began")
    began = time.monotonic()
    send("/audits/1/cancel")
    assert time.monotonic() - began < PATIENCE / 4
    assert state(client, 1)[0] == "cancelled"


def test_what_fails_says_why(client, send, instead):
    instead("import sys; print('it is <b>wrong</b>'); sys.exit(2)")
    send("/audits", run="a", audit="membership")
    assert "it is &lt;b&gt;wrong&lt;/b&gt;" in until(client, 1, "failed")


def test_what_cannot_be_started_is_no_end_of_the_queue(client, send, instead, monkeypatch):
    monkeypatch.setattr(jobs.sys, "executable", "/nowhere/python")
    send("/audits", run="a", audit="membership")
    until(client, 1, "failed", "It cannot be started")
    instead(TALKS)
    send("/audits", run="a", audit="membership")
    until(client, 2, "done")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"audit": "nothing"}, "There is no audit"),
        ({"run": "b"}, "no such run"),
        ({"run": "../runs/a"}, "no such run"),
        ({"replicas": "-1"}, "no number of replicas"),
        ({"settings": "--out /tmp"}, "is no setting"),
        ({"settings": "samples=1 --models=x"}, "is no setting"),
        ({"settings": "samples='1"}, "cannot be read"),
    ],
)
def test_mistakes_are_told_and_nothing_is_started(client, send, fields, told):
    answer = send("/audits", **{"run": "a", "audit": "membership", **fields})
    assert answer.status_code in (404, 422)
    assert told in answer.text
    assert client.get("/audits/1").status_code == 404


def test_only_runs_that_have_ended_are_offered(client, folder):
    write_run(folder / "failed", status="failed")
    write_run(folder / "stopped", status="interrupted")
    page = client.get("/audits?run=a").text
    assert re.findall(r"<option( selected)?>(\w+)</option>", page) == [("", "stopped"), (" selected", "a")]


@pytest.mark.slow
def test_a_real_audit_ends_in_the_run(client, send, folder, rumormill):
    experiment = {**SMALL, "data": {**SMALL["data"], "held_out": 0.4}, "name": "real"}
    (folder.parent / "real.yaml").write_text(json.dumps(experiment))
    assert rumormill("run", folder.parent / "real.yaml", "--out", folder)[0] == 0
    (run,) = folder.glob("*-real-s0")
    send("/audits", run=run.name, audit="membership", settings="samples=20")
    until(client, 1, "done")
    assert "audit/membership/" in client.get("/").text
    assert "AUC" in (run / "report.html").read_text()


def test_what_is_cancelled_while_it_is_started_is_ended(monkeypatch):
    async def cancelled_meanwhile():
        queue, started = jobs.Jobs(), []
        make = asyncio.create_subprocess_exec

        async def slow(*arguments, **options):
            await queue.cancel(job)
            started.append(await make(PYTHON, "-c", WAITS, **options))
            return started[0]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", slow)
        job = queue.add("a", "an audit", [])
        async with asyncio.timeout(30), queue.working():
            while not started or started[0].returncode is None:
                await asyncio.sleep(0.02)
        return job.state

    assert asyncio.run(cancelled_meanwhile()) == "cancelled"
