"""The alarm ends what takes too long, and nothing else, whatever comes of it."""

import threading

import pytest

from simulator.deployment.transport import alarm
from simulator.deployment.transport.alarm import Alarm


@pytest.fixture
def watch(monkeypatch):
    monkeypatch.setattr(alarm, "TICK", 0.01)
    watching = Alarm()
    yield watching
    watching.close()


def test_what_takes_too_long_is_ended_and_what_does_not_is_let_be(watch):
    late, early = threading.Event(), threading.Event()
    with watch.within(0.0, late.set), watch.within(60.0, early.set):
        assert late.wait(10)
    assert not early.is_set()


def test_what_is_over_in_time_is_never_ended(watch):
    over, later = threading.Event(), threading.Event()
    with watch.within(0.05, over.set):
        pass
    with watch.within(0.2, later.set):
        assert later.wait(10)
    assert not over.is_set()


def test_an_end_that_fails_does_not_stop_the_watch(watch, capfd):
    second = threading.Event()
    with watch.within(0.0, lambda: 1 / 0), watch.within(0.05, second.set):
        assert second.wait(10)
    assert "ZeroDivisionError" in capfd.readouterr().err
