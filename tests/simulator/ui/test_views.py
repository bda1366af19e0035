"""The views: what they show, also of runs that are hostile, damaged, gone or still running."""

import json
import os
import re
import shutil

import pytest
from reference.run_folders import add_folder, audit_by_hand, evaluate, write_run

from simulator.results.lock import locked
from simulator.results.runs_folder.cleanup import Wish, plan
from simulator.results.runs_folder.folder import RunsFolder

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' onmouseover=alert(3) {{ 7654321*7 }} &amp;"


def names(page):
    return re.findall(r'<td class="name"><a href="[^"]*">([^<]*)</a>', page.text)


def test_the_list_is_searched_and_sorted_by_any_metric(client, folder):
    write_run(folder / "b", 0.9, status="interrupted")
    write_run(folder / "c", 0.7)
    audit_by_hand(folder / "c", auc=0.625)
    assert names(client.get("/")) == ["c", "b", "a"]
    assert names(client.get("/", params={"sort": "score"})) == ["b", "c", "a"]
    assert names(client.get("/", params={"sort": "consensus/distance", "order": "asc"})) == ["b", "c", "a"]
    assert names(client.get("/", params={"q": "stopped"})) == ["b"]
    page = client.get("/", params={"sort": "audit/membership/auc"})
    assert names(page)[0] == "c"
    assert "0.6250" in page.text
    assert "accuracy 90.0%" in page.text
    assert "no run has a metric &#39;scroe&#39;" in client.get("/", params={"sort": "scroe"}).text
    assert "No run has all of these words" in client.get("/", params={"q": "nothing"}).text


def test_an_empty_folder_says_how_to_fill_it(client, folder):
    shutil.rmtree(folder / "a")
    assert "rumormill run quickstart --out" in client.get("/").text


@pytest.mark.parametrize("path", ["/", "/runs/{}", "/compare?run={}", "/audits?run={}", "/cleanup?keep=0&failed=on"])
def test_what_users_and_files_are_called_stays_text(client, folder, elements, path):
    run = write_run(
        folder / HOSTILE.replace("/", "\N{DIVISION SLASH}"),
        name=HOSTILE,
        status="failed" if "cleanup" in path else "finished",
        sweep={"arm": HOSTILE, "grid": {HOSTILE: HOSTILE}, "failure": HOSTILE} if "cleanup" not in path else None,
        description=HOSTILE,
        sites=[HOSTILE],
    )
    audit_by_hand(run, HOSTILE.replace("/", "_"), **{HOSTILE: 0.5})
    add_folder(run / HOSTILE.replace("/", "_"), 3)
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"round": 20, "node": None, "name": HOSTILE, "value": 1.0}) + "\n")
    if "cleanup" in path:
        shutil.rmtree(run / "audit")
    from urllib.parse import quote

    answer = client.get(path.format(quote(run.name, safe="")))
    seen = elements(answer.text)
    assert answer.status_code == 200
    assert "onerror" in answer.text
    assert "img" not in seen.tags
    assert {name for name, _ in seen.attributes if name.startswith("on")} == set()
    assert "53580247" not in seen.text
    scripts = [value for name, value in seen.attributes if name == "src" and value and value.endswith(".js")]
    assert seen.tags.count("script") == len(scripts)
    assert all(value.startswith(("/static/", "/assets/")) for value in scripts)


def test_what_is_asked_for_stays_text(client, elements):
    for path in ("/", "/compare", "/audits", "/cleanup", "/runs/a", f"/runs/{HOSTILE.replace('/', '')}"):
        parameters = dict.fromkeys(("q", "sort", "order", "run", "metric", "keep"), HOSTILE)
        seen = elements(client.get(path, params=parameters).text)
        assert "img" not in seen.tags
        assert {name for name, _ in seen.attributes if name.startswith("on")} == set()


def test_a_name_that_is_no_text_can_be_looked_at(client, folder):
    write_run(folder / os.fsdecode(b"bad-\xff-s0"))
    assert "bad-?-s0" in client.get("/").text
    assert client.get("/runs/bad-%3F-s0").status_code == 200


def test_a_run_that_has_been_deleted_gets_a_page_that_says_so(client, folder):
    assert client.get("/runs/a").status_code == 200
    shutil.rmtree(folder / "a")
    for path in ("/runs/a", "/runs/a/curve.json", "/runs/a/report.html", "/compare/page.html?run=a"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "It may have been deleted" in answer.text
        assert "All runs" in answer.text
    answer = client.get("/compare?run=a")
    assert (answer.status_code, "No longer there: a" in answer.text) == (200, True)


def test_a_run_that_is_deleted_while_it_is_read_is_no_error_of_ours(client, folder, monkeypatch):
    from simulator.ui.views import run

    def gone(summary):
        shutil.rmtree(folder / "a")
        return (summary.path / "experiment.yaml").read_text()

    monkeypatch.setattr(run, "_text", gone)
    answer = client.get("/runs/a")
    assert answer.status_code == 404
    assert "No such file or directory" in answer.text


def test_a_damaged_run_is_told_beside_the_others(client, folder):
    damaged = write_run(folder / "b")
    (damaged / "provenance.json").write_text('{"status"')
    page = client.get("/")
    assert names(page) == ["b", "a"]
    assert "provenance.json: cannot be read" in page.text
    answer = client.get("/runs/b")
    assert answer.status_code == 200
    assert "provenance.json: cannot be read" in answer.text


def test_a_folder_that_is_gone_is_told(client, folder):
    shutil.rmtree(folder)
    assert client.get("/").status_code == 200
    assert "There is no run here" in client.get("/").text


def test_a_running_run_is_asked_for_again(client, folder):
    path = write_run(folder / "b", status="running", rounds=100, done=30)
    assert 'data-refresh="15"' in client.get("/").text
    assert "data-refresh" not in client.get("/runs/b").text
    with locked(path):
        for page, seconds in ((client.get("/"), 3), (client.get("/runs/b"), 2)):
            assert "running, 0:00:35 left" in page.text
            assert '<progress max="1" value="0.3"' in page.text
            assert f'data-refresh="{seconds}"' in page.text


def test_curves_grow_with_the_file_and_only_what_is_new_is_read(client, folder, monkeypatch):
    def curve(**query):
        found = client.get("/runs/a/curve.json", params=query).json()
        return {each["name"]: (each["x"], each["y"]) for each in found["series"]}

    rounds, scores = curve()["mean node"]
    assert rounds == [0, 10, 20]
    assert scores[-1] == 50.0
    taken = []
    from simulator.ui.curves import Curves

    take = Curves._take
    monkeypatch.setattr(Curves, "_take", lambda self, line: taken.append(line) or take(self, line))
    evaluate(folder / "a", 30, 0.75)
    with (folder / "a" / "metrics.jsonl").open("a") as file:
        file.write('{"round": 40, "node": null, "name"')
    assert curve()["mean node"][1][-1] == 75.0
    assert len(taken) == 3
    assert curve(metric="bytes/sent") == {"bytes/sent": ([0, 10, 20, 30], [0, 20_000, 40_000, 60_000])}
    assert curve(metric="no/such") == {}
    write_run(folder / "again", 0.25)
    shutil.rmtree(folder / "a")
    (folder / "again").rename(folder / "a")  # another run of that name
    assert curve()["mean node"][0] == [0, 10, 20]


def test_long_curves_are_thinned_and_end_where_the_run_does(client, folder):
    write_run(folder / "long", rounds=50_000)
    (mean, *_) = client.get("/runs/long/curve.json").json()["series"]
    assert len(mean["x"]) <= 2_000
    assert mean["x"][-1] == 50_000


def test_damaged_metrics_are_told(client, folder):
    with (folder / "a" / "metrics.jsonl").open("r+") as file:
        file.write('{"round": 0, "node": null, "name": 3}')
    answer = client.get("/runs/a/curve.json")
    assert answer.status_code == 422
    assert "metrics.jsonl: cannot be read" in answer.text


def test_ticked_runs_are_compared(client, folder):
    write_run(folder / "b", 0.75, seed=1)
    write_run(folder / "c", 0.9, methods=[{"name": "quasi_global_momentum"}])
    page = client.get("/compare?run=a&run=b&run=c&run=a")
    assert "3 runs;" in page.text
    (address,) = re.findall(r'<iframe class="tall" src="([^"]*)"', page.text)
    answer = client.get(address.replace("&amp;", "&"))
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("sandbox ")
    assert "62.5 ± 17.7" in answer.text
    further = client.get("/compare/page.html?run=a&run=b&metric=consensus/distance")
    assert "consensus/distance" in further.text
    assert "no finished run has" in client.get("/compare/page.html?run=a&metric=no/such").text


def test_clean_up_shows_then_asks_then_deletes_what_is_ticked(client, send, folder):
    for name in ("b", "c"):
        write_run(folder / name, status="failed")
    audit_by_hand(folder / "a", auc=0.5)
    assert "What would go" not in client.get("/cleanup").text
    page = client.get("/cleanup?failed=on&keep=0").text
    assert re.findall(r'name="path" value="(\w+)"', page) == ["b", "c"]
    assert "it has been audited (membership)" in page
    assert send("/cleanup", failed="on", path="b").status_code == 422
    assert (folder / "b").exists()
    assert "Deleted: 1" in send("/cleanup", failed="on", path=["b", "a", "../outside"], sure="yes").text
    assert sorted(os.listdir(folder)) == ["a", "c"]


def test_what_cannot_be_deleted_is_told(send, folder, monkeypatch):
    path = write_run(folder / "b", status="failed")
    from simulator.ui.views import cleanup

    planned = plan(RunsFolder(folder), Wish(failed=True))
    with locked(path):  # somebody has taken it since
        monkeypatch.setattr(cleanup, "plan", lambda *given: planned)
        answer = send("/cleanup", failed="on", path="b", sure="yes")
    assert "is being written by" in answer.text
    assert path.exists()


def test_mistyped_numbers_are_told(client):
    assert "is no number of runs" in client.get("/cleanup?keep=all").text


def test_errors_of_ours_are_told_on_a_page(client, monkeypatch):
    from simulator.ui.views import listing

    monkeypatch.setattr(listing, "matching", None)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "TypeError" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
