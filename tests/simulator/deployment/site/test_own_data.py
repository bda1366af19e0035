"""Deployed sites give the bytes of their simulation, and no host opens another's data."""

import numpy as np
import pytest
from reference import pages
from reference.experiments import METHODS, results
from reference.sites import SIZES, rows_of, sites, write_sites, write_table
from sklearn.datasets import load_digits

from simulator import Run, run
from simulator.core.errors import InputError
from simulator.results.report import chapters
from simulator.results.run_directory import RunDirectory
from simulator.runs.report import write_run_report

CONSENSUS = ("consensus/test/", "test/majority")  # what only who has all sites' test samples can know


def known_to_all(files):
    metrics = files.pop("metrics.jsonl").splitlines()
    return files, [line for line in metrics if not any(name.encode() in line for name in CONSENSUS)]


@pytest.mark.parametrize("case", ["own", pytest.param("both", marks=pytest.mark.slow)])
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
        theirs = [file for file in hosts.opened[node] if file.endswith(".csv") and "common" not in file]
        assert theirs
        assert all(file.endswith(f"host-{node}/{name}.csv") for file in theirs)


@pytest.mark.slow
def test_relay_gives_them_too_with_methods(tmp_path, hosts):
    experiment = sites(write_sites(tmp_path / "all"), f"methods=[{{name: {METHODS[0]['name']}}}]", "rounds=3")
    simulated = run(experiment, tmp_path / "local").path
    deployment = hosts(experiment, tmp_path / "all", plane="relay")
    assert deployment.relay(3) == dict.fromkeys(range(4), 3)
    assert known_to_all(results(deployment.collected(tmp_path / "out"))) == known_to_all(results(simulated))


@pytest.mark.slow
def test_sites_of_images_label_public_ones_and_some_bring_tests_of_their_own(tmp_path, hosts):
    """IDKD over npz files of one site each; berlin and oslo have test images in theirs."""
    digits, rng = load_digits(), np.random.default_rng(0)
    pixels, parts = (16 * digits.images.clip(0, 15)).astype(np.uint8), np.split(rng.permutation(400), [200, 260, 300])
    (tmp_path / "all").mkdir()
    for name, rows in zip(SIZES, parts, strict=True):
        arrays = {"x_train": pixels[rows], "y_train": digits.target[rows]}
        tests = {"x_test": pixels[rows[:9]], "y_test": digits.target[rows[:9]]} if name in ("berlin", "oslo") else {}
        np.savez(tmp_path / "all" / f"{name}.npz", **arrays, **tests)
    classes = {"classes": [str(digit) for digit in range(10)]}
    schema = {"kind": "images", "height": 8, "width": 8, "channels": 1, "mean": [0.3], "std": [0.4], "target": classes}
    experiment = sites(
        tmp_path / "all",
        f"methods={METHODS}",
        dataset={"name": "npz", "path": str(tmp_path / "all")},
        sites={"names": list(SIZES), "data_schema": schema},
        public=[{"dataset": {"name": "photo_patches", "size": 8, "count": 40}, "samples": 40}],
    )
    simulated = run(experiment, tmp_path / "local").path
    index, node = (RunDirectory.open(simulated).partition()[f"own_test_{name}"] for name in ("index", "node"))
    assert [int((node == site).sum()) for site in range(4)] == [9, 12, 9, 20]
    assert sorted(index[(node == 0) | (node == 2)].tolist()) == list(range(400, 418))  # after all training samples
    deployment = hosts(experiment, tmp_path / "all", ending="npz")
    assert deployment.p2p(6) == dict.fromkeys(range(4), 6)
    assert known_to_all(results(deployment.collected(tmp_path / "out"))) == known_to_all(results(simulated))


@pytest.mark.slow
def test_a_collected_run_says_nothing_of_who_holds_what(tmp_path, hosts):
    experiment = sites(write_sites(tmp_path / "all"), "rounds=2", "methods=[trajectories]")
    deployment = hosts(experiment, tmp_path / "all")
    deployment.p2p(2)
    collected = deployment.collected(tmp_path / "out")
    partition = RunDirectory.open(collected).partition()
    assert all(not len(partition[name]) for name in partition if name.endswith(("_index", "_node", "_label")))
    assert "known to that node alone" in chapters.data(RunDirectory.open(collected)).paragraphs[0]
    assert "unknown" in pages.page(write_run_report(RunDirectory.open(collected)).read_text())
    with pytest.raises(InputError, match=r"collected from sites(.|\n)*Take a simulation"):
        Run.open(collected).nodes  # noqa: B018
