"""Comparisons: numbers worked out by hand, labels that say what differs, pages that stand alone."""

import io
import json
import math
import re
import statistics
from html import unescape

import numpy as np
import pytest
import yaml
from reference import experiments
from reference.pages import page
from rich.console import Console

import simulator
from simulator.core.errors import InputError
from simulator.results.comparison import as_markdown, compare, find_runs, show, write_html
from simulator.results.comparison.estimate import MeanAndSpread
from simulator.results.comparison.figures import pictures
from simulator.results.comparison.labels import differences, labels
from simulator.results.formatting import MISSING
from simulator.results.report.figures import COLOURS, Picture
from topologies import Topology

GOSSIP, QGM = {"name": "gossip"}, {"name": "quasi_global_momentum", "beta": 0.9}
MB = 1_000_000


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "runs"
    path.mkdir()
    return path


@pytest.fixture
def write(folder):
    """``write(where, seed, accuracies, ...)``: a run with these mean accuracies at rounds 0, every, 2 x every, ..."""

    def write(where, seed, accuracies, every=10, nodes=4, status="finished", sweep=None, seconds=None, **settings):
        path = folder / where
        path.mkdir()
        base = {"name": "by-hand", "seed": seed, "rounds": every * (len(accuracies) - 1), "mixer": GOSSIP}
        topology = {"graph": "complete", "nodes": nodes}
        experiment = {**base, "methods": [], "topology": topology, "backend": {"name": "local"}, **settings}
        (path / "experiment.yaml").write_text(yaml.safe_dump(experiment))
        (path / "topology.json").write_text(json.dumps(Topology.build("complete", nodes).to_json()))
        (path / "provenance.json").write_text(json.dumps({"status": status}))
        if sweep:
            (path / "sweep.json").write_text(json.dumps(sweep))
        lines = [line for step, value in enumerate(accuracies) for line in metrics(step * every, value, nodes, seconds)]
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


def metrics(round, accuracy, nodes, seconds):
    """A node sends 0.1 MB a round; the worst node lies 0.1 below the mean, the consensus model 0.05 above it."""
    network = {
        "test/accuracy/mean": accuracy,
        "test/accuracy/worst": accuracy - 0.1,
        "consensus/test/accuracy": accuracy + 0.05,
        "consensus/distance": accuracy / 10,
        "bytes/sent": round * nodes * MB / 10,
    }
    network |= {} if seconds is None else {"clock/seconds": round * seconds}
    return [{"round": round, "node": None, "name": name, "value": value} for name, value in network.items()]


def rows(folder):
    comparison = compare(find_runs([folder]))
    return [dict(zip(comparison.header, row, strict=True)) for row in comparison.rows]


def text_of(comparison, width=200):
    text = io.StringIO()
    show(comparison, Console(file=text, width=width))
    return text.getvalue()


def html_of(folder, path):
    """The page, without its scripts."""
    return page(write_html(compare(find_runs([folder])), path).read_text(encoding="utf-8"))


@pytest.fixture
def two_groups(write, folder):
    """Accuracies 0.6, 0.7, 0.8 under three seeds, and 0.5 under one; a second seed failed."""
    for seed, final in enumerate([0.6, 0.7, 0.8]):
        write(f"a{seed}", seed, [0.1, 0.3, final], name=f"named-{seed}")
    write("b0", 0, [0.1, 0.2, 0.3, 0.4, 0.5], every=3, nodes=9, methods=[QGM])
    failed = {"arm": None, "grid": {}, "seed": 1, "failure": "training diverged: in round 5.\n    Lower the rate."}
    settings = {"methods": [QGM], "rounds": 12, "sweep": failed}
    write("b1", 1, [0.1, math.nan], every=3, nodes=9, status="failed", **settings)
    return folder


def test_means_and_standard_deviations_over_seeds(two_groups):
    first, second = rows(two_groups)
    assert statistics.stdev([0.6, 0.7, 0.8]) == pytest.approx(0.1)
    assert first == {
        "setting": "methods none, rounds 20, nodes 4",
        "seeds": "0, 1, 2",
        "accuracy, %": "70.0 ± 10.0",
        "worst node, %": "60.0 ± 10.0",
        "consensus model, %": "75.0 ± 10.0",
        "consensus distance": "0.0700 ± 0.0100",
        "sent by a node, MB": "2.00",
    }
    assert second == {
        "setting": "methods quasi_global_momentum, rounds 12, nodes 9",
        "seeds": "0 (failed: 1)",
        "accuracy, %": "50.0",
        "worst node, %": "40.0",
        "consensus model, %": "55.0",
        "consensus distance": "0.0500",
        "sent by a node, MB": "1.20",
    }


@pytest.mark.parametrize(
    ("values", "decimals", "text"),
    [
        ([1.0, 2.0], 1, "1.5 ± 0.7"),
        ([1.0, 2.0], None, "1.50 ± 0.71"),
        ([2.0, 2.0, 2.0], 1, "2.0 ± 0.0"),
        ([3.0], 1, "3.0"),
        ([], 1, MISSING),
        ([1.0, math.nan], 1, MISSING),
        ([1e-6, 3e-6], None, "2.00e-06 ± 1.4e-06"),
        ([12345.0, 12347.0], None, "12,346 ± 1"),
    ],
)
def test_estimates_as_text(values, decimals, text):
    assert MeanAndSpread.of(values).text(decimals) == text


def test_runs_that_did_not_finish_are_told_with_the_reason(two_groups):
    comparison = compare(find_runs([two_groups]))
    note = "seed 1: failed, last measured after 3 of 12 rounds: training diverged: in round 5."
    assert comparison.notes == (f"methods quasi_global_momentum, rounds 12, nodes 9, {note}",)
    assert note in text_of(comparison)


def test_a_group_without_a_finished_run_shows_dashes(write, folder, tmp_path):
    write("a", 0, [0.1, 0.2], status="interrupted")
    write("b", 1, [0.1, 0.2], status="failed")
    (write("c", 2, [], rounds=10) / "provenance.json").unlink()
    (row,) = rows(folder)
    assert row["seeds"] == f"{MISSING} (interrupted: 0; failed: 1; running: 2)"
    assert set(row.values()) == {"by-hand", row["seeds"], MISSING}
    html = html_of(folder, tmp_path / "out.html")
    assert "<figure" not in html
    assert "runs: 0 finished, 3 not finished" in html


def test_where_a_run_is_computed_and_what_it_is_called_makes_no_difference(write, folder):
    write("a", 0, [0.1, 0.5])
    write("b", 1, [0.1, 0.7], name="x", description="d", backend={"name": "ray"}, checkpoint={"every": 1})
    (row,) = rows(folder)
    assert row["accuracy, %"] == "60.0 ± 14.1"


def test_attackers_that_the_seed_chose_make_no_difference_and_those_that_were_named_do(write, folder):
    block = {"count": 2, "place": "apart", "from_round": 1, "knowledge": "heard", "attack": {"name": "silent"}}
    write("a", 0, [0.1, 0.5], adversaries=[{**block, "nodes": [1, 2]}])
    write("b", 1, [0.1, 0.7], adversaries=[{**block, "nodes": [0, 3]}])
    (row,) = rows(folder)
    assert row["seeds"] == "0, 1"
    write("c", 0, [0.1, 0.5], adversaries=[{**block, "count": None, "nodes": [1, 2]}])
    assert len(rows(folder)) == 2


def test_of_a_seed_only_one_run_counts_and_that_is_a_finished_one(write, folder):
    write("a", 0, [0.1, 0.5])
    write("b", 0, [0.1, 0.9], status="interrupted")
    (row,) = rows(folder)
    assert (row["seeds"], row["accuracy, %"]) == ("0", "50.0")


def test_runs_of_a_group_that_were_about_other_data_are_told(write, folder):
    for number, content in enumerate([1, 1, 2, None]):
        path = write(f"run-{number}", number, [0.1, 0.5])
        if content:
            np.savez(path / "partition.npz", content=np.full(16, content, np.uint8))
    note = "the data of seeds 0, 1 and those of seed 2 are not the same, so their mean is of different things."
    assert compare(find_runs([folder])).notes == (f"by-hand: {note}",)
    np.savez(folder / "run-2" / "partition.npz", content=np.full(16, 1, np.uint8))
    assert not compare(find_runs([folder])).notes


def test_simulated_time_has_a_column_where_it_is_known(write, folder):
    write("a", 0, [0.1, 0.5], seconds=2.0)
    write("b", 0, [0.1, 0.5], methods=[QGM])
    first, second = rows(folder)
    assert (first["simulated time, s"], second["simulated time, s"]) == ("20.0", MISSING)


def test_sweeps_name_their_groups(write, folder):
    for name, arm, alpha in [("a", "plain", 0.1), ("b", "plain", 1.0), ("c", "qg", 1.0)]:
        grid = {"data.partition.alpha": alpha, "rounds": 10}
        sweep = {"arm": arm, "grid": grid, "seed": 0}
        write(name, 0, [0.1, 0.2], sweep=sweep, data={"partition": {"alpha": alpha}}, arm=arm)
    assert [row["setting"] for row in rows(folder)] == ["plain, alpha 0.1", "plain, alpha 1.0", "qg, alpha 1.0"]


def test_labels_of_sweeps_that_do_not_tell_the_groups_apart_are_not_used(write, folder):
    sweep = {"arm": "plain", "grid": {}, "seed": 0}
    write("a", 0, [0.1, 0.2], sweep=sweep)
    write("b", 0, [0.1, 0.2], sweep=sweep, methods=[QGM])
    assert [row["setting"] for row in rows(folder)] == ["methods none", "methods quasi_global_momentum"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([{"a": 1}], ["name"]),
        ([{"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}], ["c 2", "c 3"]),
        ([{"a": {"c": 1}, "b": {"c": 2}}, {"a": {"c": 2}, "b": {"c": 3}}], ["a.c 1, b.c 2", "a.c 2, b.c 3"]),
        ([{"lr": 0.1}, {}], ["lr 0.1", "lr none"]),
        ([{"hidden": [16]}, {"hidden": [16, 8]}], ["hidden [16]", "hidden [16, 8]"]),
        ([{"flip": True}, {"flip": False}], ["flip yes", "flip no"]),
        (
            [{"methods": []}, {"methods": [QGM]}, {"methods": [{**QGM, "beta": 0.5}]}],
            [
                "methods none",
                "methods quasi_global_momentum, beta 0.9",
                "methods quasi_global_momentum, beta 0.5",
            ],
        ),
        (
            [{"mixer": GOSSIP}, {"mixer": {"name": "choco", "step": 1}}, {"mixer": {"name": "choco", "step": 2}}],
            ["mixer gossip", "mixer choco, step 1", "mixer choco, step 2"],
        ),
        ([{"methods": [QGM, GOSSIP]}, {"methods": [GOSSIP, QGM]}], None),
    ],
)
def test_labels_say_what_differs(settings, expected):
    expected = expected or [
        "methods quasi_global_momentum + gossip",
        "methods gossip + quasi_global_momentum",
    ]
    assert labels(settings, [{}] * len(settings), ["name"] * len(settings)) == expected


def test_equal_values_differ_in_nothing():
    assert differences([{"a": [QGM]}, {"a": [QGM]}]) == [[], []]


def test_runs_are_found_in_folders_and_none_twice(two_groups):
    runs = find_runs([two_groups / "b0", two_groups])
    assert [run.path.name for run in runs] == ["b0", "a0", "a1", "a2", "b1"]


def test_no_runs_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not a run and holds none"):
        find_runs([tmp_path])
    with pytest.raises(InputError, match="no runs to compare"):
        compare([])


def test_markdown_can_be_read_back(two_groups, write):
    write("c", 0, [0.1, 0.2], sweep=None, methods=[{"name": "a|b"}])
    comparison = compare(find_runs([two_groups]))
    table, _, notes = as_markdown(comparison).partition("\n\n")
    lines = [re.split(r"(?<!\\)\|", line.strip("|")) for line in table.splitlines()]
    cells = [[cell.strip().replace("\\|", "|") for cell in line] for line in lines]
    assert tuple(cells[0]) == comparison.header
    assert cells[1] == ["---", "---", *["---:"] * 5]
    assert [tuple(row) for row in cells[2:]] == list(comparison.rows)
    assert notes == f"* {comparison.notes[0]}\n"


def test_the_terminal_shows_every_cell(two_groups):
    comparison = compare(find_runs([two_groups]))
    shown = text_of(comparison)
    assert all(cell in shown for row in comparison.rows for cell in row)


def test_a_narrow_terminal_breaks_words_but_no_numbers(two_groups):
    comparison = compare(find_runs([two_groups]))
    shown = text_of(comparison, width=80)
    assert all(cell in shown for row in comparison.rows for cell in row[2:])
    assert "…" not in shown


def test_the_page_shows_the_table_and_both_figures(two_groups, tmp_path):
    html = html_of(two_groups, tmp_path / "out.html")
    found = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    cells = [tuple(unescape(c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)) for row in found]
    comparison = compare(find_runs([two_groups]))
    assert cells == [comparison.header, *comparison.rows]
    assert html.count("<figure ") == 2
    assert comparison.notes[0] in html
    assert "settings: 2 · runs: 4 finished, 1 not finished" in html
    common = yaml.safe_load(unescape(re.findall(r"<pre[^>]*>(.*?)</pre>", html, re.DOTALL)[0]))
    assert common == {"mixer": GOSSIP, "topology": {"graph": "complete"}}


def test_the_page_needs_nothing_but_itself(two_groups, tmp_path):
    html = html_of(two_groups, tmp_path / "out.html")
    addresses = set(re.findall(r"https?://[^\s\"'<>]*", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert all(reference.startswith("#") for reference in re.findall(r"""(?:src|href)=["'](.*?)["']""", html))
    assert "@import" not in html
    ids = re.findall(r'\bid="(.*?)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"var\((--[\w-]+)", html)) <= set(re.findall(r"(--[\w-]+):", html))


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(two_groups, tmp_path):
    assert html_of(two_groups, tmp_path / "one.html") == html_of(two_groups, tmp_path / "two.html")


def test_hostile_names_are_escaped(write, folder, tmp_path):
    for name, arm in {"a": "<script>alert(1)</script>", "b": "[red]_x$ & 'q'"}.items():
        write(name, 0, [0.1, 0.2], sweep={"arm": arm, "grid": {}, "seed": 0}, arm=arm)
    assert "<script>alert" not in html_of(folder, tmp_path / "out.html")
    assert "[red]_x$ & 'q'" in text_of(compare(find_runs([folder])))


@pytest.fixture
def audited(write, folder):
    """Two seeds of one setting that an audit found .6 and .8 in, and a setting that was not audited."""
    for seed, value in enumerate((0.6, 0.8)):
        path = write(f"audited-{seed}", seed, [0.1, 0.4 + 0.2 * seed])
        (path / "audit" / "membership").mkdir(parents=True)
        (path / "audit" / "membership" / "metrics.json").write_text(json.dumps({"final_model/auc": value}))
    write("other", 0, [0.1, 0.9], mixer=QGM)
    return folder


def test_what_audits_found_is_compared_like_any_metric(audited):
    comparison = compare(find_runs([audited]), ["audit/membership/final_model/auc"])
    column = comparison.header.index("audit/membership/final_model/auc")
    assert [row[column] for row in comparison.rows] == ["0.700 ± 0.141", MISSING]


def test_accuracy_is_drawn_against_each_metric_asked_for(audited, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "simulator.results.comparison.figures.paint",
        lambda name, caption, draw, **size: (drawn.update({name: draw}), Picture(name, caption, ""))[1],
    )
    pictures(compare(find_runs([audited])).groups, ["audit/membership/final_model/auc"])
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    drawn["comparison-against-0"](axes)
    point, across = (list(zip(*line.get_data(), strict=True)) for line in axes.lines if line.get_linestyle() != "None")
    assert point == [(pytest.approx(0.7), pytest.approx(50))]
    assert [y for _, y in across] == pytest.approx([90, 90])


def test_curves_have_the_mean_and_a_band_over_rounds_and_over_traffic(two_groups, monkeypatch):
    drawn = []

    def keep(name, caption, draw, **size):
        drawn.append((name, draw))
        return Picture(name, caption, "")

    monkeypatch.setattr("simulator.results.comparison.figures.paint", keep)
    pictures(compare(find_runs([two_groups])).groups)
    for name, draw in drawn:
        first, second = lines_of(draw)
        x = [0, 10, 20] if name.endswith("rounds") else [0, 1, 2]
        assert first["x"] == pytest.approx(x)
        assert first["y"] == pytest.approx([10, 30, 70])
        assert second["y"] == pytest.approx([10, 20, 30, 40, 50])
        assert (first["colour"], second["colour"]) == COLOURS[:2]


def lines_of(draw):
    """The lines that ``draw`` makes; only the first group has more than one seed, and so a band."""
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    draw(axes)
    (band,) = axes.collections
    assert (band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()) == pytest.approx(
        (10, 80)
    )
    kept = []
    for line in axes.lines:
        kept.append({"x": list(line.get_xdata()), "y": list(line.get_ydata()), "colour": line.get_color()})
    return kept


@pytest.mark.slow
def test_where_colours_run_out_the_lines_are_dashed_and_every_group_is_in_the_legend(write, folder, tmp_path):
    for number in range(8):
        arm = f"_arm {number}"
        write(f"r{number}", 0, [0.1, 0.2], sweep={"arm": arm, "grid": {}, "seed": 0}, arm=arm)
    html = html_of(folder, tmp_path / "out.html")
    assert all(html.count(f"_arm {number}</text>") == 2 for number in range(8))
    curves = re.findall(r'<path d="[^"]*" clip-path[^>]*style="fill: none; ([^"]*)"', html)
    styles = [re.sub(r"; stroke-(width|linecap): [^;\"]*", "", style) for style in curves if "colour-" in style]
    assert len(styles) == 16
    assert len(set(styles)) == 8


@pytest.mark.slow
def test_a_page_that_cannot_be_written_is_refused(two_groups, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        html_of(two_groups, tmp_path / "missing" / "out.html")


@pytest.mark.slow
def test_runs_on_a_clock_are_also_drawn_over_simulated_time(tmp_path):
    for seed in (0, 1):
        for speed in (1.0, 2.0):
            timed = experiments.small(seed=seed, name=f"s{speed:.0f}", clock={"step_seconds": speed})
            simulator.run(timed, tmp_path)
    simulator.run(experiments.small(name="untimed"), tmp_path / "untimed")
    untimed, timed = (compare(find_runs([folder])) for folder in (tmp_path / "untimed", tmp_path))
    curves = pictures(timed.groups)

    assert [picture.name for picture in pictures(untimed.groups)] == ["comparison-rounds", "comparison-traffic"]
    assert [picture.name for picture in curves][-1] == "comparison-clock"
    assert "simulated seconds" in curves[-1].svg


@pytest.fixture
def arms(write):
    """Two arms at two points of the grid; seed 1 is 0.1 better than seed 0, and "new" gains .02 and .04 at alpha 1."""
    gains = {("old", 1.0): (0, 0), ("new", 1.0): (0.02, 0.04), ("old", 0.1): (-0.2, -0.2), ("new", 0.1): (-0.1, -0.3)}
    for (arm, alpha), by_seed in gains.items():
        for seed, gain in enumerate(by_seed):
            accuracy = 0.5 + 0.1 * seed + gain
            sweep = {"arm": arm, "grid": {"alpha": alpha}, "seed": seed}
            methods = [{"name": arm}]
            write(f"{arm}-{alpha}-{seed}", seed, [0.1, accuracy], sweep=sweep, methods=methods, alpha=alpha)


def test_what_an_arm_gains_is_counted_seed_by_seed_at_the_same_point_of_the_grid(arms, folder):
    comparison = compare(find_runs([folder]), against="old")
    column = comparison.header.index("more than old, points")

    found = {row[0]: row[column] for row in comparison.rows}
    assert {label: gain for label, gain in found.items() if "new" in label} == {
        "new, alpha 1.0": "3.0 ± 1.4",
        "new, alpha 0.1": "0.0 ± 14.1",
    }
    assert {gain for label, gain in found.items() if "old" in label} == {MISSING}


def test_an_unknown_arm_is_refused(arms, folder):
    with pytest.raises(InputError, match=r"no finished run is of an arm 'oldest'.*\n.*'old'"):
        compare(find_runs([folder]), against="oldest")


def test_further_metrics_are_shown_at_their_end_and_of_nodes_the_mean(write, folder):
    for seed in (0, 1):
        path = write(f"run-{seed}", seed, [0.1, 0.5])
        lines = [
            {"round": round, "node": node, "name": "idkd/labelled", "value": 100 * seed + 10 * round + node}
            for round in (5, 10)
            for node in range(4)
        ]
        with (path / "metrics.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    comparison = compare(find_runs([folder]), ["idkd/labelled", "test/accuracy/worst"])
    (row,) = [dict(zip(comparison.header, row, strict=True)) for row in comparison.rows]

    assert row["idkd/labelled"] == "152 ± 71"  # 100 + 1.5 and 200 + 1.5
    assert row["test/accuracy/worst"] == "0.400 ± 0.000"
    with pytest.raises(InputError, match="no finished run has 'idkd/labels'"):
        compare(find_runs([folder]), ["idkd/labels"])
