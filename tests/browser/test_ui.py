"""What a person does with the page over a folder of runs: with the pointer, with the keyboard, while runs go on."""

import re
import shutil
import signal
import subprocess
import sys
from threading import Thread

import pytest
import uvicorn
from reference.run_folders import add_folder, audit_by_hand, evaluate, write_run

from simulator.results.lock import locked
from simulator.results.runs_folder.folder import RunsFolder
from simulator.ui import server
from simulator.ui.application import application

pytestmark = pytest.mark.browser
VIEWS = ("/", "/runs/fast", "/compare?run=fast&run=slow", "/audits?run=fast", "/cleanup?failed=on&keep=1", "/runs/gone")
SOON = 20_000  # milliseconds, on a machine that has other things to do


@pytest.fixture
def folder(tmp_path):
    runs = tmp_path / "runs"
    write_run(runs / "fast", 0.9, started="2026-01-03T00:00:00+00:00")
    write_run(runs / "slow", 0.6, methods=[{"name": "quasi_global_momentum"}])
    write_run(runs / "broken", status="failed")
    (write_run(runs / "damaged") / "metrics.jsonl").write_text("nonsense\n")
    audit_by_hand(runs / "fast", auc=0.625)
    add_folder(runs / "slow" / "checkpoints", 1000)
    return runs


@pytest.fixture
def address(folder):
    """Where the page over that folder is, with the token."""
    with server._listening(0) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(application(RunsFolder(folder), "token", port), log_level="critical", ws="none")
        serving = uvicorn.Server(config)
        thread = Thread(target=serving.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{port}/?token=token"
        serving.should_exit = True
        thread.join()


@pytest.fixture
def visit(browser, address):
    """``visit("/audits", width=390)``: that page; by the end there is no error, and nothing was asked of others."""
    base, contexts, errors, requests = address.partition("/?")[0], [], [], []

    def visit(path="/", width=1280, scheme="light", wrong=()):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.set_default_timeout(SOON)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        heard = lambda text: not any(word in text for word in wrong)  # noqa: E731
        page.on("console", lambda line: line.type == "error" and heard(line.text) and errors.append(line.text))
        page.goto(address)
        page.goto(f"{base}{path}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith((base, "data:", "blob:"))] == []


def names(page):
    return page.locator(".runs .name a").all_inner_texts()


def test_runs_are_sorted_searched_and_compared(visit):
    page = visit()
    assert "token" not in page.url
    page.get_by_role("link", name="Score").click()
    assert names(page)[:2] == ["fast", "slow"]
    page.get_by_role("link", name="Score").click()
    assert names(page)[0] == "broken"
    page.get_by_label("Sort by").select_option("audit/membership/auc")
    page.get_by_label("Search").fill("finished")
    page.get_by_role("button", name="Show").click()
    assert names(page) == ["fast", "slow"]
    assert "0.6250" in page.locator(".runs").inner_text()
    for name in ("fast", "slow"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare ticked runs").click()
    frame = page.frame_locator("iframe")
    assert "90.0" in frame.locator("table").first.inner_text()
    frame.locator(".plot svg").first.wait_for()
    assert page.evaluate("document.querySelector('iframe').contentDocument") is None  # it is nobody's


def test_a_running_run_is_followed_without_loading_the_page_again(visit, folder):
    path = write_run(folder / "running", 0.2, status="running", rounds=100, done=30)
    with locked(path):
        page = visit("/runs/running")
        page.evaluate("window.same = true")
        page.locator("#state").get_by_text("running, 0:00:35 left").wait_for()
        page.locator(".curve .plot svg").wait_for()
        before = page.locator(".curve svg").last.inner_html()
        evaluate(path, 40, 0.8)
        page.locator("#tiles").get_by_text("80.0%").wait_for()
        page.locator("#tiles").get_by_text("40/100").wait_for()
        page.wait_for_function(
            "before => [...document.querySelectorAll('.curve svg')].at(-1).innerHTML !== before", arg=before
        )
    (path / "provenance.json").write_text('{"status": "finished"}')
    page.locator("#state").get_by_text("finished").wait_for()
    page.wait_for_function("!document.body.dataset.refresh")
    assert page.evaluate("window.same")


def test_values_are_shown_beside_the_pointer(visit):
    page = visit("/runs/fast")
    drawing = page.locator(".curve .plot svg")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.97, box["y"] + box["height"] * 0.12)
    assert re.search(r"20\W.*90\b", page.locator(".curve .plot [aria-label=tip]").text_content())


def test_ticks_and_the_focus_stay_while_the_list_is_renewed(visit, folder):
    path = write_run(folder / "running", 0.2, status="running", rounds=100, done=30)
    with locked(path):
        page = visit()
        page.get_by_label("Compare fast").check()
        evaluate(path, 40, 0.8)
        write_run(folder / "new", 0.4)
        page.get_by_role("link", name="new", exact=True).wait_for()
        assert "40/100" in page.locator(".runs").inner_text()
        assert page.get_by_label("Compare fast").is_checked()
        assert not page.get_by_label("Compare slow").is_checked()
        assert page.evaluate("document.activeElement.value") == "fast"


def test_a_run_that_is_deleted_while_it_is_shown_is_told(visit, folder):
    path = write_run(folder / "running", 0.2, status="running", rounds=100, done=30)
    with locked(path):
        page = visit("/runs/running", wrong=["404"])
        page.locator(".curve .plot svg").wait_for()
        shutil.rmtree(path)
        page.get_by_role("alert").get_by_text("It may have been deleted").wait_for()
        assert page.get_by_role("heading", level=1).inner_text() == "running"  # what was seen last stays


def test_a_server_that_has_ended_is_told(visit, folder, address, request):
    path = write_run(folder / "running", 0.2, status="running", rounds=100, done=30)
    with locked(path):
        page = visit("/", wrong=["Failed to load"])
        page.route("**/*", lambda route: route.abort())
        page.get_by_role("alert").get_by_text("No answer").wait_for()


def test_the_command_prints_an_address_and_ends_well(browser, folder):
    command = [sys.executable, "-m", "simulator", "ui", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        page = browser.new_page()
        page.goto(process.stdout.readline().strip())
        assert set(names(page)) == {"fast", "slow", "broken", "damaged"}
        page.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_an_audit_is_started_and_followed_to_its_end(visit):
    page = visit("/runs/fast")
    page.get_by_role("link", name="Audit this run").click()
    assert page.get_by_role("combobox", name="Run").input_value() == "fast"
    page.get_by_label("Further settings").fill("samples=5")
    page.get_by_role("button", name="Start").click()
    page.evaluate("window.same = true")
    page.locator("#job .state.failed").wait_for(timeout=3 * SOON)  # it was written by hand, and cannot be audited
    assert "experiment.yaml" in page.locator("#job pre").inner_text()
    assert page.evaluate("window.same")


def test_clean_up_asks_before_it_deletes(visit, folder):
    page = visit("/cleanup")
    page.get_by_label("Runs that failed").check()
    page.get_by_role("button", name="Show what would go").click()
    assert page.get_by_label("Delete broken").is_checked()
    page.get_by_role("button", name="Delete what is ticked").click()
    assert (folder / "broken").exists()  # the box beside it was not ticked
    page.get_by_label("Yes, for good").check()
    page.get_by_role("button", name="Delete what is ticked").click()
    page.get_by_role("status").get_by_text("Deleted: 1").wait_for()
    assert not (folder / "broken").exists()


def test_a_hostile_report_reaches_nothing(visit, folder):
    (folder / "fast" / "report.html").write_text("""<p id="said">nothing</p><script>
      const tried = [];
      const note = (what) => { tried.push(what); document.getElementById("said").textContent = tried.join(" "); };
      try { parent.document.title; note("REACHED-PARENT") } catch { note("no-parent") }
      try { document.cookie; note("REACHED-COOKIE") } catch { note("no-cookie") }
      fetch("/cleanup").then(() => note("REACHED-US"), () => note("no-fetch"));
      fetch("https://example.org/").then(() => note("REACHED-NET"), () => note("no-net"));
      if (top !== self) try { top.location = "https://example.org/" } catch { note("no-navigation") }
    </script>""")
    expected = ["Content Security Policy", "sandbox", "Blocked", "Unsafe", "violates"]
    page = visit("/runs/fast", wrong=expected)
    page.locator("iframe").scroll_into_view_if_needed()
    said = page.frame_locator("iframe").locator("#said")
    said.get_by_text("no-net").wait_for()
    assert "REACHED" not in said.inner_text()
    assert page.get_by_role("heading", level=1).inner_text() == "fast"
    page.goto(page.url + "/report.html")
    page.get_by_text("no-net").wait_for()
    assert "REACHED-U" not in page.locator("#said").inner_text()


def test_everything_can_be_reached_by_keyboard(visit):
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))
    assert {"Runs", "Audits", "Clean up", "q", "Score", "fast", "run", "Compare ticked runs"} <= seen
    page.get_by_role("link", name="Score").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=score**")


@pytest.mark.parametrize("path", VIEWS)
def test_any_width_day_and_night_and_for_everybody(visit, path):
    from axe_playwright_python.sync_playwright import Axe

    for width, scheme in ((390, "dark"), (1280, "light"), (2560, "dark")):
        page = visit(path, width, scheme, wrong=["404"])
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        found = Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", dark))) < 60) == (scheme == "dark")


def test_pages_are_whole_without_scripts(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert names(page)
    page.get_by_role("link", name="fast").click()
    assert "audit" in page.locator("#audits").inner_text().lower()
    context.close()
