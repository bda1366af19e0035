"""Comparisons outside the page: on narrow terminals, in LaTeX, as files of figures; and of runs with attackers."""

import io
import json
import re

import pytest
import yaml
from reference.marks import MANY
from rich.console import Console

from simulator.core.errors import InputError
from simulator.results.comparison import as_latex, compare, show
from simulator.results.comparison.figure_files import write_figures
from simulator.results.comparison.labels import labels
from simulator.results.metric_names import OF_ATTACKS

SIGN_FLIP = {"name": "sign_flip", "strength": 1.0}


def attackers(attack, nodes=(3,), **others):
    return {"nodes": list(nodes), "count": None, "attack": attack, **others}


@pytest.fixture
def runs(write_run):
    """Runs by what is changed in them: ``runs({"model": ...}, ...)``; the last number of each is ``metrics``."""

    def make(*changes, metrics=(), **settings):
        made = [write_run(**settings) for _ in changes]
        for run, changed in zip(made, changes, strict=True):
            experiment = yaml.safe_load((run.path / "experiment.yaml").read_text())
            (run.path / "experiment.yaml").write_text(yaml.safe_dump({**experiment, **changed}))
            lines = [{"round": 20, "node": None, "name": name, "value": value} for name, value in dict(metrics).items()]
            with (run.path / "metrics.jsonl").open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
        return made

    return make


@pytest.fixture
def comparison(runs):
    return compare(runs(*({"model": {"name": "mlp", "hidden": [size]}} for size in range(1, 8))))


def shown(comparison, width):
    text = io.StringIO()
    show(comparison, Console(file=text, width=width))
    return text.getvalue()


def test_on_a_narrow_terminal_every_setting_is_a_column(comparison):
    lines = shown(comparison, 72).splitlines()
    assert lines[:2] == ["1  hidden [1]; seeds 7", "2  hidden [2]; seeds 7"]
    heads = [line.split() for line in lines if re.fullmatch(r"[ \d]+", line)]
    assert [number for head in heads for number in head] == list("1234567")
    assert len(heads) > 1
    assert max(map(len, lines)) <= 72
    for name, *cells in zip(comparison.header[2:], *(row[2:] for row in comparison.rows), strict=True):
        found = [cell for line in lines if line.startswith(name) for cell in line.removeprefix(name).split()]
        assert found == cells


def test_where_there_is_room_every_setting_is_a_row(comparison):
    lines = shown(comparison, 160).splitlines()
    assert len([line for line in lines if line.startswith("hidden [")]) == 7


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([[], [attackers(SIGN_FLIP)]], ["adversaries none", "adversaries sign_flip"]),
        (
            [[attackers(SIGN_FLIP)], [attackers(SIGN_FLIP, [4])], [attackers({"name": "mimic"})]],
            ["adversaries sign_flip, nodes [3]", "adversaries sign_flip, nodes [4]", "adversaries mimic"],
        ),
        (
            [[attackers(SIGN_FLIP)], [attackers(SIGN_FLIP), attackers({"name": "mimic"}, [5])]],
            ["adversaries sign_flip", "adversaries sign_flip + mimic"],
        ),
        (
            [[attackers(SIGN_FLIP)], [attackers({**SIGN_FLIP, "strength": 4.0})]],
            ["strength 1.0", "strength 4.0"],
        ),
    ],
)
def test_labels_name_attacks(blocks, expected):
    settings = [{"adversaries": block} for block in blocks]
    assert labels(settings, [{}] * len(blocks), ["name"] * len(blocks)) == expected


def test_labels_name_public_samples():
    settings = [{"data": {"public": [{"dataset": {"name": name}, "samples": 40}]}} for name in ("digits", "noise")]
    assert labels(settings, [{}] * 2, ["name"] * 2) == ["public digits", "public noise"]


def test_of_attackers_the_weight_is_shown_where_there_are_some(runs):
    honest, attacked = {"adversaries": []}, {"adversaries": [attackers(SIGN_FLIP)]}
    plain = runs(honest)
    assert not set(OF_ATTACKS.values()) & set(compare(plain).header)
    both = compare(plain + runs(attacked, metrics={"attack/weight": 0.125}))
    column = both.header.index("attackers' weight")
    assert [row[column] for row in both.rows] == ["–", "0.125"]  # noqa: RUF001
    assert "backdoor success" not in both.header


def test_a_mistyped_metric_is_told_the_nearest(runs):
    with pytest.raises(
        InputError, match=r"no finished run has 'test/acuracy/mean'.\n +Did you mean 'test/accuracy/mean'"
    ):
        compare(runs({}), ["test/acuracy/mean"])


def test_latex_escapes_text_and_sets_numbers_as_mathematics(runs):
    odd = {"model": {"name": "a_b & c%", "hidden": [1]}}
    made = runs(odd, {"model": {"name": "x~^\\", "hidden": [2]}}, metrics={"cost": 12345.0})
    made += runs({**odd, "seed": 8}, metrics={"cost": 12347.0})
    table = as_latex(compare(made, ["cost"])).splitlines()
    assert table[:3] == [r"% \usepackage{booktabs}", r"\begin{tabular}{llrrrrrrr}", r"\toprule"]
    assert table[3].startswith(r"setting & seeds & accuracy, \% & ")
    first, second = table[5:7]
    assert first.startswith(r"model a\_b \& c\% & 7, 8 & ")
    assert first.endswith(r"$12{,}346 \pm 1$ \\")
    assert second.startswith(r"model x\textasciitilde{}\textasciicircum{}\textbackslash{}")
    assert table[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_what_is_no_number_stays_text_in_latex(runs):
    made = runs({"model": {"name": "a"}}, metrics={"cost": 1e-6}) + runs({"model": {"name": "b"}})
    rows = as_latex(compare(made, ["cost"])).splitlines()[5:7]
    assert rows[0].endswith(r"$1.00 \times 10^{-6}$ \\")
    assert rows[1].endswith(r"& -- \\")


KINDS = [
    ("svg", b"<?xml"),
    pytest.param("pdf", b"%PDF-", marks=pytest.mark.slow),
    pytest.param("png", b"\x89PNG", marks=MANY),
]


@pytest.mark.parametrize(("kind", "begins"), KINDS)
def test_figures_are_files_that_are_the_same_each_time(comparison, tmp_path, kind, begins):
    once, again = (write_figures(comparison, tmp_path / name, kind) for name in ("made/once", "again"))
    assert [file.name for file in once] == [f"comparison-rounds.{kind}", f"comparison-traffic.{kind}"]
    assert all(file.read_bytes().startswith(begins) for file in once)
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in again]


def test_figures_that_cannot_be_made_are_refused(runs, comparison, tmp_path):
    with pytest.raises(InputError, match="there is nothing to draw"):
        write_figures(compare(runs({}, status="failed")), tmp_path, "pdf")
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match="cannot be written into"):
        write_figures(comparison, tmp_path / "taken", "pdf")
