"""How examples made wrong at random are judged: each runs or is refused by name; nothing else is raised or hangs."""

import signal
from collections import Counter
from contextlib import contextmanager

from simulator.core.errors import InputError, RumormillError

SECONDS = 60  # that one example may take on a busy machine


@contextmanager
def within(seconds):
    """Raise TimeoutError in the block if it takes longer."""

    def late(number, frame):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(action):
    """``ran``, ``refused`` or ``failed`` (by name), or what should not have been raised."""
    try:
        with within(SECONDS):
            action()
    except InputError as error:
        return "refused" if all(problem.what for problem in error.problems) else error
    except RumormillError:
        return "failed"
    except Exception as error:
        return error
    return "ran"


def judge(examples):
    """Carry out (name, action) pairs; none may end otherwise than `outcome` allows. Returns how they ended."""
    found = {name: outcome(action) for name, action in examples}
    counts = Counter(result if isinstance(result, str) else "wrong" for result in found.values())
    print(counts)
    wrong = {name: repr(result)[:300] for name, result in found.items() if not isinstance(result, str)}
    assert not wrong, "\n".join(f"{name}\n    {result}" for name, result in wrong.items())
    return counts
