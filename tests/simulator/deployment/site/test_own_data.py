"""Deployed sites give the bytes of their simulation, and no host opens another's data."""

import sys
import threading

import pytest
import yaml
from reference.deployment import Deployment, OneAtATime
from reference.experiments import METHODS, results
from reference.sites import SIZES, rows_of, sites, write_sites, write_table

from simulator import run
from simulator.results.report import chapters
from simulator.results.run_directory import RunDirectory
from simulator.runs.report import write_run_report

CONSENSUS = ("consensus/test/", "test/majority")  # what only who has all sites' test samples can know


class Opened:
    """The files that each node opens while it is made; an audit hook cannot be taken away, so there is one."""

    node: int | None = None
    by_node: dict[int, set[str]] = {}  # noqa: RUF012  # shared on purpose

    @classmethod
    def see(cls, event, arguments):
        if event == "open" and cls.node is not None and threading.current_thread().name != "MainThread":
            cls.by_node.setdefault(cls.node, set()).add(str(arguments[0]))


sys.addaudithook(Opened.see)


class Watched(OneAtATime):
    def peer(self, manifest):
        with Watched.lock:
            Opened.node = self.node
            try:
                return super(OneAtATime, self).peer(manifest)
            finally:
                Opened.node = None


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """A deployment in which each host's data lie in a folder of its own, and the simulation's are gone."""

    def deployed(experiment, folder, **settings):
        deployment = Deployment(experiment, tmp_path, **settings)
        for node, name in enumerate(SIZES):
            file = deployment.node_folder(node).folder / "node.yaml"
            own = write_sites(tmp_path / f"host-{node}", [name]) / f"{name}.csv"
            file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"data": {"path": str(own)}}))
            (folder / f"{name}.csv").unlink()
        monkeypatch.setattr(
            deployment, "node_folder", lambda n: Watched.read(deployment.folder / "nodes" / f"node-{n}")
        )
        return deployment

    Opened.by_node.clear()
    return deployed


def known_to_all(files):
    metrics = files.pop("metrics.jsonl").splitlines()
    return files, [line for line in metrics if not any(name.encode() in line for name in CONSENSUS)]


@pytest.mark.parametrize("case", ["own", "both"])
def test_p2p_gives_the_bytes_of_the_simulation_of_the_sites(case, tmp_path, hosts):
    more = {"sites.test": "common.csv", "test": "both"} if case == "both" else {"canaries": 2, "dataset.group": "null"}
    overrides = [f"data.{key}={value}" for key, value in more.items()]
    write_table(tmp_path / "common.csv", rows_of("lyon")[:20])
    experiment = sites(write_sites(tmp_path / "all"), f"data.root={tmp_path}", *overrides)
    simulated = run(experiment, tmp_path / "local").path
    deployment = hosts(experiment, tmp_path / "all")
    assert deployment.p2p(6) == dict.fromkeys(range(4), 6)
    collected = deployment.collected(tmp_path / "deployed")
    assert known_to_all(results(collected)) == known_to_all(results(simulated))
    if case == "both":
        assert results(collected) == results(simulated)  # on a common test set, consensus can be judged anywhere
    for node, name in enumerate(SIZES):
        theirs = [file for file in Opened.by_node[node] if file.endswith(".csv") and "common" not in file]
        assert theirs
        assert all(file.endswith(f"host-{node}/{name}.csv") for file in theirs)


def test_relay_gives_them_too_with_methods(tmp_path, hosts):
    experiment = sites(write_sites(tmp_path / "all"), f"methods=[{{name: {METHODS[0]['name']}}}]", "rounds=3")
    simulated = run(experiment, tmp_path / "local").path
    deployment = hosts(experiment, tmp_path / "all", plane="relay")
    deployment.relay(3)
    assert known_to_all(results(deployment.collected(tmp_path / "out"))) == known_to_all(results(simulated))


def test_a_collected_run_says_nothing_of_who_holds_what(tmp_path, hosts):
    experiment = sites(write_sites(tmp_path / "all"), "rounds=2", "methods=[trajectories]")
    deployment = hosts(experiment, tmp_path / "all")
    deployment.p2p(2)
    collected = deployment.collected(tmp_path / "out")
    partition = RunDirectory.open(collected).partition()
    assert all(not len(partition[name]) for name in partition if name.endswith(("_index", "_node", "_label")))
    assert "known to that node alone" in chapters.data(RunDirectory.open(collected)).paragraphs[0]
    assert "unknown" in write_run_report(RunDirectory.open(collected)).read_text()
