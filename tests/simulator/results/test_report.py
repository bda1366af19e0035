import base64
import json
import math
import re
from collections.abc import Callable
from html import unescape
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from markupsafe import escape
from numpy.typing import NDArray
from PIL import Image
from reference import experiments
from reference.pages import page, split

import simulator
from simulator.core.report import BarChart, HeatMap, ImageGrid, LineChart, Section, Table
from simulator.results.formatting import MISSING
from simulator.results.headline import Headline
from simulator.results.report import chapters, curves, write_report
from simulator.results.report.charts import chart_picture
from simulator.results.run_directory import RunDirectory

WriteRun = Callable[..., RunDirectory]
HOSTILE = "<script>alert(1)</script> & $x$ \"q\" 'r'"


def html_of(run: RunDirectory, *sections: Section) -> str:
    """The report, without its scripts."""
    path = write_report(run, sections)
    assert path == run.path / "report.html"
    return page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(write_run: WriteRun) -> RunDirectory:
    """The run that `Sketch` describes by default, with its report."""
    run = write_run()
    write_report(run, [section_with_charts(), section_with_charts("So did this.")])
    return run


@pytest.fixture(scope="module")
def html(run: RunDirectory) -> str:
    return page((run.path / "report.html").read_text(encoding="utf-8"))


def verdict(html: str) -> str:
    found = re.search(r'<p class="verdict">(.*?)</p>', html, re.DOTALL)
    assert found
    return unescape(found[1])


def chapter(html: str, title: str) -> str:
    return next(part for part in re.split("<section[^>]*>", html)[1:] if f"<h2>{title}</h2>" in part)


def rows(part: str) -> list[list[str]]:
    """The cells of all tables in a piece of the page."""
    found = re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL)
    return [[unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in found]


def section_with_charts(verdict: str = "It worked.") -> Section:
    line = np.array([0.0, 1.0]), np.array([1.0, math.nan])
    charts = (
        BarChart("Bars", ["a", "b"], {"one": [1, 2], "two": [3, math.nan]}, "samples"),
        LineChart("Lines", "round", "AUC", {"x": line, "y": line}),
    )
    table = Table(("node", "share"), [(0, 0.25), (1, math.nan)])
    return Section("Distillation", ("A paragraph.",), verdict, (table,), charts)


def test_verdict_comes_first_with_numbers_worked_out_by_hand(html: str) -> None:
    # Accuracies end at 0.6, 0.7, 0.8, 0.9; a ring of 4 has 8 directed links; 20 rounds x 8 messages x 4000 bytes, and
    # 2 rounds x 2 messages x 600 bytes of labels, make 642,400 bytes, which is 8030 for each of 4 nodes in 20 rounds.
    assert verdict(html) == (
        "After 20 rounds the 4 nodes have a test accuracy of 75.0% on average [worst 60.0%, best 90.0%]. "
        "Always answering the most common class would have an accuracy of 25.0%. "
        "The consensus model, the average of all nodes, has 88.0%: 13.0 percentage points above the nodes' mean. "
        "The nodes sent 0.642 MB in total, 0.00803 MB per node and round."
    )
    said = re.findall(r'<li><a href="#(.*?)">(.*?)</a> (.*?)</li>', html)
    assert said == [("distillation", "Distillation", "It worked."), ("distillation-2", "Distillation", "So did this.")]
    assert html.index('class="verdict"') < html.index('class="verdicts"') < html.index("<section")


@pytest.mark.usefixtures("blank_pictures")
def test_what_scores_are_on_is_said_where_each_node_has_test_samples_of_its_own(write_run: WriteRun) -> None:
    said = verdict(html_of(write_run(test="own")))
    assert "[worst 60.0%, best 90.0%], each on test samples of its own." in said
    assert "The consensus model, the average of all nodes, has 88.0% on the test samples of all together: 13.0" in said


@pytest.mark.usefixtures("blank_pictures")
def test_an_unfinished_run_says_so(write_run: WriteRun) -> None:
    html = html_of(write_run(status="interrupted", measured=10))
    start = "This run is not complete (interrupted): last measured after 10 of 20 rounds. After 10 rounds the 4 nodes"
    assert verdict(html).startswith(start)
    assert '<span class="status interrupted">interrupted</span>' in html


def test_key_figures(html: str) -> None:
    tiles = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html))
    assert tiles == {
        "mean accuracy": "75.0%",
        "worst node": "60.0%",
        "best node": "90.0%",
        "consensus model": "88.0%",
        "majority class": "25.0%",
        "consensus distance": "0.200",
        "sent in total": "0.642 MB",
        "node-steps / s": "450",  # 600 + 1200 steps in 4 seconds
    }


def test_tables_of_messages_nodes_and_network(html: str) -> None:
    messages = rows(chapter(html, "Messages"))
    assert messages[1:6] == [
        ["parameters", "160", "640,000", "99.6"],
        ["idkd.labels", "4", "2,400", "0.4"],
        ["all parts", "160", "642,400", "100.0"],
        ["encoding", "160", "23,040", "3.6"],
        ["on the wire", "160", "665,440", "103.6"],
    ]
    assert messages[6] == ["sender", "receiver", "messages", "parameters", "idkd.labels", "bytes"]
    assert messages[7:9] == [
        ["0", "1", "20", "80,000", "1,200", "81,200"],
        ["0", "3", "20", "80,000", "1,200", "81,200"],
    ]
    assert len(messages) == 7 + 8
    assert rows(chapter(html, "Nodes"))[1:] == [
        ["0", "1", "60.00", "1.400", "162,400"],
        ["1", "2", "70.00", "1.300", "160,000"],
        ["2", "3", "80.00", "1.200", "160,000"],
        ["3", "4", "90.00", "1.100", "160,000"],
    ]
    network = dict(rows(chapter(html, "Network")))
    assert network["diameter"] == "2"
    assert network["directed links"] == "8"
    assert network["degree"] == "2"
    assert network["spectral gap"] == "0.6667"  # ring of 4: eigenvalues 1, 1/3, 1/3, -1/3


@pytest.mark.parametrize("of_an_error", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_of_many_nodes_the_worst_are_told_and_how_uneven_they_are(
    write_run: WriteRun, monkeypatch: pytest.MonkeyPatch, of_an_error: bool
) -> None:
    drawn: list[LineChart] = []
    original = chapters.chart_picture
    monkeypatch.setattr(chapters, "chart_picture", lambda name, chart: (drawn.append(chart), original(name, chart))[1])
    for name, number in {"NODES": 3, "SHOWN": 2, "LINKS": 7, "QUANTILES": 4}.items():
        monkeypatch.setattr(chapters, name, number)
    many = write_run()
    if of_an_error:  # whose worst node has the largest
        metrics = many.path / "metrics.jsonl"
        ends = {"test/accuracy/worst": "test/accuracy/best", "test/accuracy/best": "test/accuracy/worst"}
        metrics.write_text(re.sub("|".join(ends), lambda found: ends[found[0]], metrics.read_text()))
    html = html_of(many)
    worst = ["3", "2"] if of_an_error else ["0", "1"]
    assert [row[0] for row in rows(chapter(html, "Nodes"))[1:]] == worst
    assert "The 2 worst of 4 nodes" in chapter(html, "Nodes")
    assert len(rows(chapter(html, "Messages"))) == 6
    assert "What each of 8 links carried is in messages.arrow." in chapter(html, "Messages")
    (x, shares) = next(chart for chart in drawn if chart.title == "The commonest class of each node").series[""]
    np.testing.assert_allclose(x, [0, 100 / 3, 200 / 3, 100])
    np.testing.assert_allclose(shares, [100 / 3, 50, 50, 100])  # nodes hold 1, 1 + 1, 1 + 1 + 1 and 2 + 1 + 1 samples


def test_setting_and_provenance(html: str) -> None:
    setting = chapter(html, "Setting")
    assert ["data · partition", "dirichlet (alpha 0.1)"] in rows(setting)
    assert not any(row[0] == "methods" for row in rows(setting))  # there are none
    assert "hidden:" in setting[setting.index("<pre") :]
    assert dict(rows(chapter(html, "Provenance")))["command"] == "rumormill run 'a b'"


@pytest.mark.usefixtures("blank_pictures")
def test_heat_map_gets_the_counts_of_every_class_and_node(write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    original = chapters.chart_picture
    monkeypatch.setattr(chapters, "chart_picture", lambda *given: (seen.append(given), original(*given))[1])
    html = html_of(write_run(nodes=3))
    (chart,) = (chart for _, chart in seen if isinstance(chart, HeatMap))
    # Node 0 holds class 0; node 1 classes 1, 2; node 2 classes 0, 1, 2.
    assert chart.values.tolist() == [[1, 0, 1], [0, 1, 1], [0, 1, 1]]
    assert (chart.columns, chart.rows) == (["0", "1", "2"], ["cat", "dog", "<owl>"])
    assert "6 training samples; a node has 2 on average, 1 to 3." in html


@pytest.mark.slow
def test_sections_may_bring_heat_maps_and_logarithmic_axes(write_run: WriteRun) -> None:
    values = np.array([[0.5, math.nan], [0.75, 1.0]])
    heat = HeatMap("Heat", "observer", "victim", values, ["v0", "v1"], ["u0", "u1"], "depth", lowest=0.5)
    rates = np.array([0.001, 1.0])
    lines = LineChart("Log", "rate", "share", {"one": (rates, rates)}, "xy")
    shown = chapter(html_of(write_run(), Section("Both", charts=(heat, lines))), "Both")
    assert all(f">{text}<" in shown for text in ("observer", "v1", "u1", "depth", "0.001", "0.01", "0.1"))


def pictures_in(part: str) -> list[NDArray[np.uint8]]:
    """The images of a piece of the page, decoded: uint8 [height, width, 3] each."""
    files = re.findall(r'<image xlink:href="data:image/png;base64,\s*(.*?)"', part, re.DOTALL)
    return [np.array(Image.open(BytesIO(base64.b64decode(file))).convert("RGB")) for file in files]


@pytest.mark.parametrize(("number", "channels"), [(1, 3), (6, 1), (7, 3)])
def test_an_image_grid_shows_every_image_pixel_for_pixel(number: int, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (number, 5, 4, channels), dtype=np.uint8)
    svg = chart_picture("grid", ImageGrid("Grid", images, [f"image {place}" for place in range(number)])).inline
    shown = pictures_in(svg)
    assert len(shown) == number
    for image, found in zip(images, shown, strict=True):
        np.testing.assert_array_equal(found, np.broadcast_to(image, (5, 4, 3)))
    assert re.findall(r"image \d(?=<)", svg) == [f"image {place}" for place in range(number)]
    assert len(svg) < 3000 + 1000 * number


def test_an_image_grid_stands_in_the_page_with_its_captions_escaped(write_run: WriteRun) -> None:
    grid = ImageGrid("Grid", np.zeros((2, 4, 4, 3), dtype=np.uint8), [f"{HOSTILE}\nbelow", "plain"])
    html = html_of(write_run(), Section("Images", charts=(grid,)))
    assert len(pictures_in(chapter(html, "Images"))) == 2
    shown = [unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", chapter(html, "Images"))]
    assert shown == [HOSTILE, "below", "plain"]


def test_an_image_grid_needs_a_caption_for_every_image() -> None:
    with pytest.raises(ValueError, match="zip"):
        chart_picture("grid", ImageGrid("Grid", np.zeros((2, 4, 4, 3), dtype=np.uint8), ["one"]))


def test_sections_of_methods_are_shown_and_escaped(write_run: WriteRun) -> None:
    bars = BarChart(HOSTILE, [HOSTILE], {HOSTILE: [1.0], "other": [2.0]}, HOSTILE)
    hostile = Section(HOSTILE, (HOSTILE,), HOSTILE, (Table((HOSTILE, "x"), [(HOSTILE, math.nan)]),), (bars,))
    run = write_run(name="<script>", classes=(HOSTILE, "dog", "owl"))
    html, charts = split(write_report(run, [hostile, section_with_charts()]).read_text(encoding="utf-8"))
    assert HOSTILE not in html
    assert f"</a> {escape(HOSTILE)}</li>" in html
    (shown,) = (chart for chart in charts if chart["title"] == HOSTILE)
    assert shown["categories"] == [HOSTILE]
    assert [series["name"] for series in shown["series"]] == [HOSTILE, "other"]
    part = chapter(html, "Distillation")
    assert rows(part) == [["node", "share"], ["0", "0.2500"], ["1", MISSING]]
    assert "<p>A paragraph.</p>" in part
    assert re.findall("<figcaption>(.*?)</figcaption>", part) == ["Bars", "Lines"]


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    addresses = set(re.findall(r"https?://[^\s\"'<>]*", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    for reference in re.findall(r"""(?:src|href)=["'](.*?)["']""", html, re.DOTALL):
        assert reference.startswith(("#", "data:image/png;base64,"))
    assert "@import" not in html


def test_ids_are_unique_and_references_find_them(html: str) -> None:
    ids = re.findall(r'\bid="(.*?)"', html)
    assert len(ids) == len(set(ids)) > 100
    references = re.findall(r'url\(#(.*?)\)|href="#(.*?)"', html)
    assert references
    assert {one or other for one, other in references} <= set(ids)


def test_figures_follow_the_theme_on_the_page_and_stand_alone_as_files(run: RunDirectory, html: str) -> None:
    files = {file.stem: file.read_text(encoding="utf-8") for file in (run.path / "figures").iterdir()}
    curves = {"accuracy", "consensus", "loss", "bytes"}
    charts = {"section-1-1", "section-1-2", "section-2-1", "section-2-2"}
    assert set(files) == curves | charts | {"topology", "classes"}
    assert not any("var(--" in svg for svg in files.values())
    assert "#20262e" in files["accuracy"]
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "var(--ink, #20262e)" in drawn
    assert '"fill: #ffffff"' not in drawn  # a white ground would glare on a dark page
    assert "prefers-color-scheme: dark" in html
    used = set(re.findall(r"var\((--[\w-]+)", html))
    assert used <= set(re.findall(r"(--[\w-]+):", html))


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(write_run: WriteRun, run: RunDirectory) -> None:
    def content(run: RunDirectory) -> dict[str, bytes]:
        files = [run.path / "report.html", *(run.path / "figures").iterdir()]
        return {file.name: file.read_bytes() for file in files}

    again = write_run()
    html_of(again, section_with_charts(), section_with_charts("So did this."))
    assert content(again) == content(run)


@pytest.mark.parametrize(
    "settings",
    [
        {"measured": 0},
        {"rounds": 1, "every": 1, "measured": 1},
        {"accuracies": {20: [math.nan, 0.5, 0.6, 0.7]}},
        {"nodes": 40, "classes": tuple(f"a rather long name {number}" for number in range(60))},
    ],
)
@pytest.mark.slow
def test_unusual_runs_have_a_report_too(write_run: WriteRun, settings: dict[str, object]) -> None:
    html = html_of(write_run(**settings))
    assert html.count("<section ") == 8
    assert not re.search(r"\bnan\b", html)


@pytest.mark.usefixtures("blank_pictures")
def test_what_others_carried_is_told_beside_the_messages(write_run: WriteRun) -> None:
    run = write_run()
    run.write_json("provenance.json", run.read_json("provenance.json") | {"carried": {"a router": 1234567}})
    assert "1,234,567 bytes in all went through a router." in chapter(html_of(run), "Messages")


@pytest.mark.usefixtures("blank_pictures")
def test_one_node_sends_nothing_and_has_no_neighbours_to_agree_with(write_run: WriteRun) -> None:
    html = html_of(write_run(nodes=1, classes=("only",)))
    assert verdict(html) == (
        "After 20 rounds the only node has a test accuracy of 60.0%. "
        "Always answering the most common class would have an accuracy of 25.0%. No messages were sent."
    )
    assert not rows(chapter(html, "Messages"))


@pytest.mark.usefixtures("blank_pictures")
def test_a_run_that_was_never_measured_shows_dashes(write_run: WriteRun) -> None:
    run = write_run(status="failed", measured=0)
    for name in ("metrics.jsonl", "timing.jsonl", "messages.arrow"):
        (run.path / name).write_text("")
    html = html_of(run)
    assert verdict(html) == (
        "This run is not complete (failed): last measured after 0 of 20 rounds. No messages were sent."
    )
    assert rows(chapter(html, "Nodes"))[1] == ["0", "1", MISSING, MISSING, "0"]
    assert "<figure" not in chapter(html, "Training")


@pytest.mark.usefixtures("blank_pictures")
def test_nodes_go_by_their_names_where_they_have_any(write_run: WriteRun) -> None:
    run = write_run(nodes=2)
    content = json.loads((run.path / "topology.json").read_text())
    (run.path / "topology.json").write_text(json.dumps(content | {"labels": ["Acciaiuoli", "1"]}))
    assert [row[0] for row in rows(chapter(html_of(run), "Nodes"))[1:]] == ["0 Acciaiuoli", "1"]


@pytest.mark.usefixtures("blank_pictures")
def test_failures_are_told_where_there_were_any(tmp_path):
    failing = experiments.small(topology={"graph": "ring", "nodes": 4, "failures": {"absences": [[1, 3, 5]]}})
    done = simulator.run(failing, tmp_path / "failing")
    sound = simulator.run(experiments.small(), tmp_path / "sound")
    page = write_report(done.directory, []).read_text()

    assert "Of 48 messages that the schedule had, 12 were lost (25.0%)" in page
    assert "nodes were away in 12.5% of their rounds" in page
    assert "<h2>Failures</h2>" in page
    assert "<h2>Failures</h2>" not in write_report(sound.directory, []).read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"topology": {"graph": "ring", "schedule": {"name": "random_regular"}}},
        {"topology": {"graph": "ring", "failures": {"links": 0.1}}},
        {"mode": "asynchronous"},
    ],
)
def test_no_spectral_gap_is_told_where_rounds_differ(
    write_run: Callable[..., RunDirectory], changes: dict[str, Any]
) -> None:
    """That of the mean matrix would not be that of any round: 1, agreement at once, for random regular graphs."""
    run = write_run()
    settings = yaml.safe_load((run.path / "experiment.yaml").read_text())
    (run.path / "experiment.yaml").write_text(yaml.safe_dump(settings | changes))
    facts = dict(chapters.network(RunDirectory(run.path), [0.5] * 4, None).tables[0].rows)

    assert facts["spectral gap"] == "none: the mixing matrix is not the same in every round"
    assert "rounds to halve disagreement" not in facts


def test_all_accuracies_are_drawn_in_percent(monkeypatch):
    """Those of the nodes, of the consensus model, and of always answering the most common class."""
    monkeypatch.setattr(curves, "chart_picture", lambda name, chart: chart)
    run = SimpleNamespace(headline=Headline(), network_series=lambda name: (np.array([0, 2]), np.array([0.25, 0.5])))
    chart = next(curves.curves(run))
    (band,) = chart.bands
    assert set(chart.series) == {"nodes' mean", "consensus model", "majority class"}
    assert all(values.tolist() == [25, 50] for _, values in chart.series.values())
    assert band.low.tolist() == band.high.tolist() == [25, 50]
