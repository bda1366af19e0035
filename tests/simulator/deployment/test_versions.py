"""Hosts may differ from each other: in what they may, which is told, and in what they must not, which is refused."""

from dataclasses import replace

import pytest
from reference.deployment import Deployment
from reference.experiments import small

from simulator.core.errors import InputError
from simulator.deployment import versions
from simulator.deployment.members import _introduced, _noted
from simulator.deployment.plan import deployable, plan
from simulator.deployment.records import Misshapen
from simulator.deployment.versions import own_versions, parsed
from simulator.runs.report import write_run_report
from simulator.runs.run import Run

PLANNED = "python=3.11.7 torch=2.13.0+cpu numpy=2.4.6 flwr=1.41.0"


@pytest.fixture(scope="module")
def manifest():
    ready = plan(deployable(small())).manifest
    assert ready.versions == own_versions()
    return replace(ready, versions=PLANNED)


def hello(manifest, certified_until="2999-01-01", **changes):
    theirs = " ".join(f"{name}={number}" for name, number in {**parsed(PLANNED), **changes}.items())
    own = {"fingerprint": manifest.fingerprint, "version": manifest.version, "versions": theirs}
    return {"node": 2, "rounds": 0, **own, "certified_until": certified_until}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"torch": "2.12.1"},
            "it has torch 2.12.1, and the run was planned with 2.13.0[+]cpu: releases have to be equal",
        ),
        ({"numpy": "2.3.9"}, "it has numpy 2.3.9, and the run was planned with 2.4.6"),
        ({"numpy": "2.40.6"}, "it has numpy 2.40.6"),
        ({"torch": "2.13.0 x"}, "it has torch none"),
    ],
    ids=str,
)
def test_releases_that_draw_other_numbers_are_refused_with_both_versions(changes, why, manifest):
    with pytest.raises(RuntimeError, match=f"^node 2 is refused: {why}"):
        _introduced(hello(manifest, **changes), manifest)


def test_what_only_rounds_otherwise_is_told(manifest):
    said = hello(manifest, python="3.13.0", torch="2.13.1", flwr="1.41.2")
    assert _introduced(said, manifest) == (2, 0)
    (sentence,) = _noted(said, manifest)
    assert sentence.startswith(
        "it has python 3.13.0, not 3.11.7, torch 2.13.1, not 2.13.0+cpu, flwr 1.41.2, not 1.41.0"
    )
    assert list(_noted(hello(manifest), manifest)) == []


def test_a_certificate_that_ends_soon_is_told_when_the_run_begins(manifest):
    assert list(_noted(hello(manifest, "2026-11-01"), manifest)) == [
        "the certificate of node-2 ended on 2026-11-01: have its host make a new key, and sign it"
    ]
    with pytest.raises(Misshapen, match="'soon' as 'certified_until', and not a day"):
        list(_noted(hello(manifest, "soon"), manifest))


@pytest.mark.slow
def test_the_report_has_the_versions_of_every_host_and_a_node_looks_for_itself(tmp_path, monkeypatch):
    """The organiser's host has another Python, and node 1's another release of torch."""
    deployment = Deployment(small(rounds=2), tmp_path)
    assert deployment.node_folder(0).introduction(deployment.manifest.run)["versions"] == own_versions()
    deployment.p2p(1)
    monkeypatch.setattr(versions.platform, "python_version", lambda: "3.13.0")
    assert deployment.p2p(2) == dict.fromkeys(range(4), 2)
    with pytest.raises(InputError, match=r"versions: node 1 has torch .*planned with 2.9.0(.|\n)*same release"):
        deployment.node_folder(1).check(replace(deployment.manifest, versions="torch=2.9.0 numpy=2.4.6"))
    directory = Run.open(deployment.collected(tmp_path / "deployed")).directory
    assert directory.provenance()["hosts"] == {f"node-{node}": own_versions() for node in range(4)}
    assert "python=3.13.0" in write_run_report(directory).read_text()
    laid_out = deployment.place(3) / "report" / deployment.manifest.run / "versions.txt"
    laid_out.write_text("<script>")
    with pytest.raises(InputError, match=r"versions.txt: cannot be used: it holds no versions"):
        deployment.collected(tmp_path / "again")
