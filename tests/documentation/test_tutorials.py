"""The tutorials, followed to the letter."""

import pytest
from reference.follower import Follower
from reference.markdown import page

from simulator.results.run_directory import RunDirectory


@pytest.fixture
def follower(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return Follower(tmp_path, monkeypatch)


def tutorial(name):
    return page(f"docs/tutorials/{name}.md")


def runs(folder):
    return [RunDirectory.open(path.parent) for path in sorted(folder.glob("*/provenance.json"))]


@pytest.mark.slow
def test_a_first_run(follower, tmp_path):
    follower.follow(tutorial("first-run"))
    first, changed = runs(tmp_path / "runs")
    assert (first.path / "report.html").exists()
    assert first.network_series("test/accuracy/mean")[1][-1] > 0.9
    assert (changed.experiment["topology"]["nodes"], changed.experiment["methods"]) == (9, [])


@pytest.mark.slow
def test_two_methods_are_compared(follower, tmp_path):
    follower.follow(tutorial("compare-two-methods"))
    assert len(runs(tmp_path / "momentum")) == 6
    assert "quasi-global momentum" in (tmp_path / "momentum.html").read_text()


@pytest.mark.slow
def test_a_run_is_audited(follower, tmp_path):
    follower.follow(tutorial("audit-a-run"))
    (run,) = runs(tmp_path / "runs")
    report = (run.path / "report.html").read_text()
    assert "rmia" in report
    assert "final model" in report


@pytest.mark.slow
def test_one_brings_data(follower, tmp_path):
    pytest.importorskip("pandas")
    follower.follow(tutorial("bring-your-data"))
    (run,) = runs(tmp_path / "runs")
    assert run.experiment["data"]["sites"]["names"] == ["berlin", "lyon", "oslo"]
    assert run.network_series("test/auroc/mean")[1][-1] > 0.8
    assert (run.path / "audit" / "membership" / "result.json").exists()


@pytest.mark.slow
def test_one_brings_a_network(follower, tmp_path):
    follower.follow(tutorial("bring-your-network"))
    (run,) = runs(tmp_path / "runs")
    assert (run.path / "code").exists()
    assert run.network_series("test/accuracy/mean")[1][-1] > 0.3


@pytest.mark.slow
@pytest.mark.exhaustive
def test_one_writes_a_method(follower, tmp_path):
    follower.follow(tutorial("write-a-method"))
    assert len(runs(tmp_path / "proximal")) == 4
    assert "more" in follower.said[-1]  # than the arm that it is compared with


def test_three_hosts_are_made_ready(follower, tmp_path, monkeypatch):
    """All but what needs Flower to run, for which there is `test_three_hosts.py`; each host is a folder."""
    pytest.importorskip("pandas")
    data = tutorial("bring-your-data")
    own, patients = tmp_path / "srv" / "readmissions.csv", tmp_path / "made"
    patients.mkdir()
    monkeypatch.chdir(patients)
    exec(data.of("python")[0].text, {})
    own.parent.mkdir()
    own.write_text((patients / "hospitals" / "berlin.csv").read_text())
    follower.known |= {"s|path: null|path: /srv/readmissions.csv|": f"s|path: null|path: {own}|"}
    left_out = ("local", "collect", "status", "flwr", "export", "superlink/start.sh", "RUMORMILL_SITE=$PWD/site.yaml")
    left_out += ("node-0/report",)
    follower.follow(tutorial("deploy-on-three-hosts"), lambda words: bool({*words} & {*left_out}))

    assert not list((tmp_path / "organiser").rglob("node.key"))
    for number, host in enumerate(("berlin", "lyon", "oslo")):
        assert (tmp_path / host / f"node-{number}" / "node.key").exists(), "keys are made on the hosts"
    said = "\n".join(follower.said)
    assert "It can take part." in said
    assert "Approved by A. Schmidt" in said


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.exhaustive
def test_the_run_on_a_cluster_of_one_machine(follower, tmp_path):
    follower.follow(tutorial("on-a-cluster"), lambda words: "resume" in words or "address: auto" in str(words))
    (run,) = runs(tmp_path / "runs")
    assert run.experiment["backend"]["workers"] == 2


@pytest.mark.slow
@pytest.mark.exhaustive
def test_what_is_said_of_a_gpu_runs_without_one(follower, tmp_path):
    follower.follow(tutorial("on-a-gpu"), lambda words: words[0] == "python")
    assert [run.experiment["training"]["trainer"] for run in runs(tmp_path / "runs")] == ["sequential", "stacked"]
