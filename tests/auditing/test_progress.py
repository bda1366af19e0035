"""How an audit tells how far it is."""

from io import StringIO

from rich.console import Console

from auditing.progress import Countdown


def test_time_left_follows_the_costs():
    """Three models, the first as costly as both others together; lines no closer than ten seconds."""
    times, out = iter([0.0, 20.0, 25.0, 40.0]), StringIO()
    countdown = Countdown("scoring three models", Console(file=out), lambda: next(times))
    assert list(countdown.over(["a", "b", "c"], [2.0, 1.0, 1.0])) == ["a", "b", "c"]
    assert out.getvalue().splitlines() == [
        "scoring three models",
        "1/3 models  time left 0:00:20",
        "3/3 models  time left 0:00:00",
    ]


def test_what_threads_have_done_is_counted():
    times, out = iter([0.0, 5.0, 10.0, 20.0]), StringIO()
    countdown = Countdown("scoring", Console(file=out), lambda: next(times), unit="values")
    with countdown.counting(2000) as done:
        for number in (500, 500, 1000):
            done(number)
    assert out.getvalue().splitlines() == [
        "scoring",
        "500/2,000 values  time left 0:00:15",
        "2,000/2,000 values  time left 0:00:00",
    ]


def test_the_first_samples_of_all_say_nothing_of_the_time_left():
    times, out = iter([0.0, 0.5, 2.0, 2.1]), StringIO()
    countdown = Countdown("scoring", Console(file=out), lambda: next(times), unit="values")
    with countdown.counting(2000) as done:
        for number in (1, 999, 1000):
            done(number)
    assert out.getvalue().splitlines() == ["scoring", "1,000/2,000 values  time left 0:00:02"]


def test_what_is_done_at_once_is_told_once():
    times, out = iter([0.0, 0.1, 0.2]), StringIO()
    countdown = Countdown("scoring", Console(file=out), lambda: next(times))
    assert list(countdown.over("ab", [0.1, 0.2])) == ["a", "b"]
    assert out.getvalue().splitlines() == ["scoring", "2/2 models  time left 0:00:00"]
