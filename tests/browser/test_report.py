"""What readers can do with a report: with the pointer, with the keyboard, on a telephone, at night, without scripts."""

import csv
import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from reference.sketches import Sketch, write_sketch

from simulator.core.message import Envelope
from simulator.core.report import (
    Band,
    BarChart,
    Finding,
    GraphChart,
    HeatMap,
    ImageGrid,
    LineChart,
    Link,
    Section,
    Source,
    Table,
)
from simulator.results.message_log import as_batch
from simulator.results.places import MESSAGES
from simulator.results.report import write_report
from topologies import Topology

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("pictures")]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' &amp;"


def everything(name="Everything"):
    """A section with each kind of chart, all names of which are ``name``."""
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.75, np.nan])
    levels = np.array([[0.0, np.nan], [1.0, 2.0]])
    charts = (
        LineChart(name, name, name, {name: (x, y), "b": (x, x)}, bands=[Band(name, x, y - 0.1, y + 0.1, name)]),
        LineChart(name, name, name, {name: (x + 1, x + 1)}, "xy", points=True, names={name: [name] * 3}),
        BarChart(name, [name, "b"], {name: [1.0, np.nan], "other": [2.0, 3.0]}, name),
        HeatMap(name, name, name, np.array([[1, 2], [3, 4]]), [name, "b"], ["a", name], name),
        HeatMap(name, name, name, levels, [name, "b"], ["a", name], name, levels=[name, "one", "two"]),
        ImageGrid(name, np.zeros((2, 4, 4, 3), dtype=np.uint8), [name, "plain"]),
        GraphChart(name, Topology.build("ring", 4), [0.5, 0.6, 0.7, 0.8], name),
    )
    table = Table((name, "value"), [(name, 1.5), ("=cmd", -2.5)], name)
    source = Source(name, [Link(name, "https://arxiv.org/abs/1")])
    return Section(name, (name,), name, (table,), charts, Finding(name, name, name, name), (source,))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = write_sketch(tmp_path_factory.mktemp("report") / "run", Sketch())
    return write_report(run, [everything()])


def tooltip(page, figure, across, down):
    """What stands beside the pointer at a share of the width and height of a figure's drawing."""
    drawing = page.locator(f"figure[data-name={figure}] .plot svg")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    return page.locator(f"figure[data-name={figure}] .plot [aria-label=tip]").text_content().replace("\u200b", "\n")


def saved(page, button):
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return download.value.path().read_text(encoding="utf-8")


def test_the_pointer_shows_values_and_intervals(open_page, report):
    page = open_page(report)
    told = tooltip(page, "accuracy", 0.96, 0.15)
    assert "round: 20" in told
    assert "consensus model" in told or "nodes' mean" in told
    assert "accuracy, %: 75 (worst to best node 60 to 90)" in tooltip(page, "accuracy", 0.96, 0.32)
    assert "class cat" in tooltip(page, "classes", 0.3, 0.2)


def test_the_legend_hides_and_shows(open_page, report):
    page = open_page(report)
    entry = page.locator("figure[data-name=accuracy] .legend button", has_text="majority class")
    lines = page.locator("figure[data-name=accuracy] .plot [aria-label=line] path")
    assert lines.count() == 3
    entry.press("Enter")
    assert (lines.count(), entry.get_attribute("aria-pressed")) == (2, "false")
    entry.click()
    assert (lines.count(), entry.get_attribute("aria-pressed")) == (3, "true")


def test_the_network_is_played_round_by_round(open_page, report):
    page = open_page(report)
    network = page.locator("figure[data-name=topology]")
    slider, shown = network.get_by_role("slider"), network.locator(".rounds output")
    assert shown.text_content() == "round 20"
    assert network.locator(".ramp").text_content() == "6090test accuracy, %"
    slider.press("Home")
    assert shown.text_content() == "round 0"
    assert network.locator(".ramp").text_content() == "1040test accuracy, %"
    network.get_by_role("combobox", name="Colours over").select_option("all rounds")
    assert network.locator(".ramp").text_content() == "1090test accuracy, %"
    network.get_by_role("button", name="Play").click()
    network.get_by_role("button", name="Pause").wait_for()
    network.get_by_role("button", name="Play").wait_for(timeout=5000)  # it has come to the end
    assert shown.text_content() == "round 20"


def test_nodes_are_coloured_by_what_is_chosen_and_followed_over_rounds(open_page, report):
    page = open_page(report)
    network = page.locator("figure[data-name=topology]")
    network.get_by_role("combobox", name="Nodes by").select_option("commonest class, % of samples")
    assert "most of class cat" in tooltip(page, "topology", 0.5, 0.05)  # node 0, at the top
    network.get_by_role("combobox", name="Links by").select_option("MB since the stop before")
    told = tooltip(page, "topology", 0.26, 0.26)  # between nodes 0 and 3: 10 messages of 4,000 bytes each way, and 600
    assert told.startswith("\n0 \N{EN DASH} 3")
    assert "MB since the stop before: 0.0806" in told
    network.get_by_role("combobox", name="Nodes by").select_option("test accuracy, %")
    network.get_by_role("combobox", name="Node over rounds").select_option("3")
    assert network.locator(".node .legend button").all_text_contents() == ["3", "mean of all"]


def test_tables_sort_and_filter(open_page, report):
    page = open_page(report)
    table = page.locator("[data-name=nodes-1]")
    first = table.locator("tbody tr:visible").first
    head = table.get_by_role("button", name="bytes sent")
    head.click()
    assert [first.locator("th").text_content(), head.locator("..").get_attribute("aria-sort")] == ["1", "ascending"]
    head.press("Enter")
    assert [first.locator("th").text_content(), head.locator("..").get_attribute("aria-sort")] == ["0", "descending"]
    page.get_by_text("What each node handed to each neighbour").click()
    page.get_by_label("Filter rows of messages-details-1").fill("81,200")
    links = page.locator("[data-name=messages-details-1] tbody tr:visible")
    assert [row.locator("th").text_content() for row in links.all()] == ["0", "0"]


def test_tables_and_figures_are_saved(open_page, report):
    page = open_page(report)
    rows = list(csv.reader(io.StringIO(saved(page, "Save messages-1 as CSV"))))
    assert rows[:2] == [
        ["part", "messages", "bytes", "share, %"],
        ["parameters", "160", "640000", "99.626401"],
    ]
    rows = list(csv.reader(io.StringIO(saved(page, "Save the data of accuracy as CSV"))))
    assert ["nodes' mean", "", "20", "75", "60", "90"] in rows
    drawing = ElementTree.fromstring(saved(page, "Save accuracy as SVG"))
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert "consensus model" in "".join(drawing.itertext())
    page.get_by_text("Table: Everything").click()
    assert "'=cmd,-2.5" in saved(page, "Save everything-details-2 as CSV")


def test_nothing_can_be_fetched_and_no_other_script_runs(browser, report):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(report.as_uri())
        blocked = page.evaluate("""() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
            new Image().src = "http://127.0.0.1:9/x.png";
        })""")
        ran = page.evaluate("""() => {
            const script = document.createElement("script");
            script.textContent = "window.foreign = true";
            document.body.append(script);
            return window.foreign === true;
        }""")
    assert (blocked, ran) == ("img-src", False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_people_with_impairments_can_read_it(open_page, report, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs rumormill[browser]")
    page = open_page(report, color_scheme=scheme, viewport={"width": width, "height": 900})
    for details in page.locator("details").all():
        details.evaluate("element => element.open = true")
    found = axe.Axe().run(page).response["violations"]
    told = [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found
            if each["impact"] in ("serious", "critical")]  # fmt: skip
    assert told == []


def test_it_follows_the_theme(open_page, report):
    colours = {}
    for scheme in ("light", "dark"):
        page = open_page(report, color_scheme=scheme)
        colours[scheme] = page.evaluate(
            "() => [document.body, document.querySelector('figure[data-name=accuracy] .plot [aria-label=line]')]"
            ".map((element, n) => getComputedStyle(element)[n ? 'stroke' : 'backgroundColor'])"
        )
    assert colours == {
        "light": ["rgb(246, 247, 249)", "rgb(0, 114, 178)"],
        "dark": ["rgb(15, 19, 23)", "rgb(63, 159, 221)"],
    }


@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_it_fits_any_width(open_page, report, width):
    page = open_page(report, viewport={"width": width, "height": 900})
    page.wait_for_function("document.querySelectorAll('.plot svg').length > 8")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    widest = page.evaluate("Math.max(...[...document.querySelectorAll('.plot svg')].map((svg) => svg.clientWidth))")
    assert widest <= width - 60
    assert page.locator("nav a").count() == page.locator("main > section").count()


def test_it_is_readable_without_scripts(open_page, report):
    page = open_page(report, java_script_enabled=False)
    assert page.locator("figure[data-name=accuracy] .still svg").is_visible()
    assert page.locator("figure[data-name=topology] .still svg").is_visible()
    assert page.locator("[data-name=nodes-1] td").first.is_visible()
    assert page.get_by_role("button").count() == 0
    page.get_by_text("How this was measured").click()
    assert page.locator("details[open] p").is_visible()


def test_what_is_printed_is_what_is_seen_without_scripts(open_page, report):
    page = open_page(report)
    page.emulate_media(media="print")
    assert page.locator("figure[data-name=accuracy] .still svg").is_visible()
    assert not page.locator("figure[data-name=accuracy] .live").is_visible()
    assert not page.get_by_role("button", name="Save accuracy as SVG").is_visible()


def test_names_stay_text(open_page, tmp_path):
    run = write_sketch(tmp_path / "run", Sketch(name=HOSTILE, classes=(HOSTILE, "dog", "owl")))
    content = json.loads((run.path / "topology.json").read_text())
    (run.path / "topology.json").write_text(json.dumps(content | {"labels": [HOSTILE, "a", "b", "c"]}))
    provenance = json.loads((run.path / "provenance.json").read_text())
    (run.path / "provenance.json").write_text(json.dumps(provenance | {"command": [HOSTILE], "ended_early": HOSTILE}))
    experiment = (run.path / "experiment.yaml").read_text()
    (run.path / "experiment.yaml").write_text(experiment.replace("Written by hand.", json.dumps(HOSTILE)))
    hostile = as_batch([Envelope(0, 1, 1, {"parameters": 4000, HOSTILE: 600}, 4744)])
    (run.path / MESSAGES).write_bytes((run.path / MESSAGES).read_bytes() + hostile)
    page = open_page(write_report(run, [everything(HOSTILE)]))
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 5 + page.locator("script[type='application/json']").count()
    assert page.locator("h1").text_content() == HOSTILE
    assert HOSTILE[:13] in page.locator("figure[data-name=classes] .plot svg").text_content()
    assert HOSTILE in page.locator("figure[data-name=section-1-1] .legend").text_content()
    assert "<img src=x onerror=alert(2)>" in tooltip(page, "section-1-1", 0.5, 0.5)
    network = page.locator("figure[data-name=topology]")
    network.get_by_role("combobox", name="Node over rounds").select_option(f"0 {HOSTILE}")
    assert HOSTILE in network.locator(".node .legend").text_content()
    page.locator("[data-name=nodes-1] thead button").first.click()
