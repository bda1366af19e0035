"""The backend flower without Flower: how it sees the end of a run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator.core.errors import RunError
from simulator.deployment import local
from simulator.deployment.commands import environment
from simulator.deployment.control import COMPLETED, Status
from simulator.deployment.local import Flower
from simulator.deployment.settings import FlowerSettings


@pytest.fixture
def ended(monkeypatch, tmp_path):
    """``ended(said)``: what the run gives whose status is what ``said`` says, one after the other."""
    monkeypatch.setattr(local.time, "sleep", lambda seconds: None)

    def last(said):
        backend, said = Flower(FlowerSettings()), iter(said)
        backend._run, backend.tended, backend.folder = "7", 0, tmp_path

        def status(run):
            if isinstance(found := next(said), Exception):
                raise found
            return Status(found, "", 0)

        def tend():
            backend.tended += 1

        backend._control = SimpleNamespace(status=status, log=lambda run: "out of memory")
        backend.processes = SimpleNamespace(tend=tend)
        return backend._last(lambda: {0: "reply"}), backend.tended

    return last


def test_what_dies_after_the_last_round_is_started_again_and_waited_for(ended):
    """The nodes are done, and a SuperNode or the SuperLink dies before Flower has seen it."""
    assert ended([RunError("no answer"), "running", COMPLETED]) == ({0: "reply"}, 2)


def test_a_run_that_fails_after_the_last_round_has_failed_and_the_nodes_own_words_say_why(ended, tmp_path):
    (tmp_path / "nodes" / "node-2").mkdir(parents=True)
    (tmp_path / "nodes" / "node-2" / "errors.log").write_text("no room for batches")
    with pytest.raises(RunError, match=r"ended as finished:failed(.|\n)*out of memory(.|\n)*own:\n *no room for"):
        ended(["running", "finished:failed"])


def test_flower_is_asked_for_the_run_only_where_no_node_has_got_on(monkeypatch):
    """Each question is a process of some seconds, on the cores that the nodes have."""
    now = [100.0]
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: None))
    backend = Flower(FlowerSettings())
    backend._run, backend._asked, backend._finished, backend._read = "7", 100.0, 0.0, 0
    backend.processes = SimpleNamespace(tend=lambda: None)
    backend._collection = SimpleNamespace(read=0)
    asked = []
    backend._control = SimpleNamespace(status=lambda run: asked.append(now[0]) or Status("running", "", 0))
    for now[0] in range(105, 200, 5):
        backend._collection.read += now[0] <= 150
        backend._wait()
    assert asked == [160, 170, 180, 190]


def test_a_folder_that_is_named_from_here_is_found_by_flower_from_the_folder(monkeypatch, tmp_path):
    """Its programs run within the deployment."""
    monkeypatch.chdir(tmp_path)
    assert environment(Path("made/superlink/home"))["FLWR_HOME"] == str(tmp_path / "made/superlink/home")
