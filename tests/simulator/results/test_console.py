from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console as Terminal

from simulator.core.errors import InputError, Problem, RunError
from simulator.core.observer import RunInfo, Speed
from simulator.core.report import Metric
from simulator.results.console import ROWS, Console
from simulator.results.terminal import show_error


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def info(rounds: int = 100, start: int = 0) -> RunInfo:
    return RunInfo(Path("run"), "demo", 3, rounds, 4, 1234, start, {}, ("something about the data",))


def metrics(round: int) -> list[Metric]:
    network = {
        "test/accuracy/mean": 0.5,
        "test/accuracy/worst": 0.25,
        "test/accuracy/best": 0.75,
        "test/majority": 0.375,
        "consensus/test/accuracy": 0.625,
        "consensus/distance": 0.0123,
        "bytes/sent": 1_500_000,
        "bytes/wire": 1_600_000,
    }
    of_network = [Metric(round, None, name, value) for name, value in network.items()]
    return [Metric(round, 0, "test/accuracy", 0.99), *of_network]


def plain() -> tuple[Console, StringIO, Clock]:
    out, clock = StringIO(), Clock()
    return Console(Terminal(file=out), clock), out, clock


def interactive(width: int = 120) -> tuple[Console, StringIO, Clock]:
    out, clock = StringIO(), Clock()
    terminal = Terminal(
        file=out, force_terminal=True, force_interactive=True, width=width, height=60, color_system=None
    )
    return Console(terminal, clock), out, clock


def test_one_plain_line_an_evaluation() -> None:
    console, out, clock = plain()
    console.started(info())
    clock.now = 30.0
    console.evaluated(0, metrics(0), Speed(0, 0.0, 0, 0, 2, 2))
    console.sent(1, [])
    clock.now = 35.0
    console.evaluated(10, metrics(10), Speed(10, 0.5, 10, 600, 1, 2))
    clock.now = 100.0
    console.finished("finished")
    measured = (
        "accuracy 50.0% [25.0%, 75.0%]  majority class 37.5%  consensus model 62.5%  consensus distance 0.0123  "
        "sent 1.50 MB"
    )
    assert out.getvalue().splitlines() == [
        "demo, seed 3: 4 nodes, 1,234 parameters each, 100 rounds",
        "note: something about the data",
        f"round 0/100  {measured}  – node-steps/s  – rounds/s  2/2 workers  time left unknown",  # noqa: RUF001
        # 5 seconds for 10 rounds, the 30 before them not counted: 45 for the 90 that are left
        f"round 10/100  {measured}  1,200 node-steps/s  20.0 rounds/s  1/2 workers  time left 0:00:45",
        "finished after 0:01:40",
    ]


MEASURED = Metric(10, None, "stranger/cost/max", 3.14159)


def test_what_methods_measured_is_shown_too() -> None:
    console, out, _ = plain()
    console.started(info())
    console.evaluated(10, [*metrics(10), MEASURED], Speed(10, 0.5, 10, 600, 1, 2))
    console.ended(12, "node 3: enough.")
    lines = out.getvalue().splitlines()

    assert "sent 1.50 MB  cost (max) 3.14  1,200 node-steps/s" in lines[-2]
    assert lines[-1] == "ends after round 12 of 100: node 3: enough."


def test_the_live_table_has_a_column_for_it() -> None:
    console, out, _ = interactive(width=160)
    console.started(info())
    console.evaluated(10, [*metrics(10), MEASURED], Speed(10, 0.5, 10, 600, 1, 2))
    console.finished("finished")
    table = out.getvalue()[out.getvalue().rindex("accuracy [worst, best]") :].splitlines()

    assert table[0].split()[-2:] == ["cost", "(max)"]
    assert table[1].split()[-2:] == ["1/2", "3.14"]


def test_time_left_of_a_resumed_run_counts_its_own_rounds_only() -> None:
    console, out, clock = plain()
    console.started(info(start=80))
    clock.now = 20.0
    console.evaluated(90, metrics(90), Speed(90, 1.0, 10, 10, 1, 1))
    assert out.getvalue().endswith("time left 0:00:20\n")


def test_live_table_shows_the_last_evaluations_and_a_bar_that_moves_between_them() -> None:
    console, out, clock = interactive()
    console.started(info())
    for round in range(0, 50, 2):
        clock.now += 2.0
        console.evaluated(round, metrics(round), Speed(round, 1.0, 2, 10, 1, 1))
    console.sent(60, [])
    console.finished("interrupted")
    last = out.getvalue()[out.getvalue().rindex("accuracy [worst, best]") :]
    shown = [int(line.split()[0]) for line in last.splitlines() if "25.0%" in line]
    assert shown == list(range(50 - 2 * ROWS, 50, 2))
    assert "round 60/100" in last
    assert "majority class 37.5%" in last
    assert "time left 0:00:32" in last  # 48 seconds for 60 rounds
    assert last.rstrip().endswith("interrupted after 0:00:50")


def test_between_evaluations_there_is_a_line_every_few_seconds() -> None:
    console, out, clock = plain()
    console.started(info())
    console.evaluated(0, metrics(0), Speed(0, 0.0, 0, 0, 2, 2))
    for round in range(1, 13):
        clock.now += 2.0
        console.sent(round, [])
    lines = out.getvalue().splitlines()[3:]
    assert lines == [
        f"round {n}/100  time left {left}"
        for n, left in {3: "0:03:14", 6: "0:03:08", 9: "0:03:02", 12: "0:02:56"}.items()
    ]


def test_on_a_narrow_terminal_the_live_table_lies_on_its_side_and_leaves_nothing_out() -> None:
    console, out, _ = interactive(width=80)
    console.started(info())
    console.evaluated(8, metrics(8), Speed(8, 0.5, 8, 600, 1, 2))
    console.evaluated(10, [*metrics(10), MEASURED], Speed(10, 0.5, 10, 600, 1, 2))
    console.finished("finished")
    last = out.getvalue()[out.getvalue().rindex("accuracy [worst, best]") :].splitlines()

    assert [line.split("  ")[0] for line in last[:8]] == [
        *("accuracy [worst, best]", "consensus model", "consensus distance", "sent"),
        *("node-steps/s", "rounds/s", "workers", "cost (max)"),
    ]
    assert last[0].split("]")[1].split() == ["50.0%", "[25.0%,", "75.0%"]
    assert last[7].split() == ["cost", "(max)", "3.14"]
    assert "…" not in out.getvalue()


def test_after_a_loss_the_time_left_counts_from_there() -> None:
    console, out, clock = plain()
    console.started(info())
    console.sent(50, [])
    clock.now = 50.0
    console.recovered(40, "killed")
    clock.now = 60.0
    console.evaluated(50, metrics(50), Speed(50, 1.0, 10, 10, 2, 2))
    lines = out.getvalue().splitlines()

    assert "a worker was lost (killed): going on from round 40" in lines
    assert lines[-1].endswith("time left 0:00:50")  # 10 seconds for 10 rounds, 50 are left


@pytest.mark.parametrize("status", ["finished", "interrupted", "failed"])
def test_the_live_table_is_closed_however_it_ends(status: str) -> None:
    console, out, _ = interactive()
    console.started(info())
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert hidden in out.getvalue()
    console.finished(status)
    assert out.getvalue().rindex(shown) > out.getvalue().rindex(hidden)


def test_a_run_that_never_started_is_finished_in_silence() -> None:
    console, out, _ = plain()
    console.finished("failed")
    assert out.getvalue() == ""


PROBLEMS = InputError(
    Problem("a.yaml:3: rounds", "is [bold]missing[/bold].", "Add it."),
    Problem("", "x" * 200),
    Problem("seed", "is odd."),
)


def test_errors_are_plain_lines_where_there_is_no_terminal() -> None:
    out = StringIO()
    show_error(PROBLEMS, Terminal(file=out, width=40))
    assert out.getvalue() == f"{PROBLEMS}\n"
    assert out.getvalue().startswith("a.yaml:3: rounds: is [bold]missing[/bold].\n    Add it.\n")


def test_errors_are_framed_on_a_terminal() -> None:
    out = StringIO()
    terminal = Terminal(file=out, force_terminal=True, force_interactive=True, width=60, color_system=None)
    show_error(PROBLEMS, terminal)
    assert "3 problems" in out.getvalue()
    assert "a.yaml:3: rounds: is [bold]missing[/bold]." in out.getvalue()
    assert "    Add it." in out.getvalue()
    show_error(RunError("training diverged"), terminal)
    assert "1 problem " in out.getvalue()
    assert "training diverged" in out.getvalue()
