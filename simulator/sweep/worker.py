"""A worker process of a sweep, as the sweep sees it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from simulator.sweep.outcome import Ended
from simulator.sweep.reporter import Progress
from simulator.sweep.task import STOP, Task

LAST = 2000  # characters of what a dead one has said


class Worker:
    """Carries out one task after the other in a process of its own; one that dies is started again for the next.

    Args:
        cores: the processor cores that it keeps to, where the system has such a thing.
        say: takes lines that a run has for the user.
    """

    def __init__(self, cores: Sequence[int], say: Callable[[str], None]) -> None:
        self._cores, self._say = cores, say
        self._process: subprocess.Popen[bytes] | None = None
        self.task: Task | None = None
        self.progress: Progress | None = None

    @property
    def connection(self) -> Connection:
        """Ready to be read when there is something to `hear`."""
        return self._connection

    def give(self, task: Task) -> None:
        """Have it begin ``task``."""
        if self._process and self._process.poll() is not None:  # it has died since its last one
            self.dismiss()
            self.wait()
        if self._process is None:
            self._start()
        self.task, self.progress = task, None
        self._connection.send_bytes(pickle.dumps(task))

    def hear(self) -> Ended | None:
        """Take in one thing that it has told; returns how its task has ended, once it has."""
        try:
            heard = self._connection.recv()
        except (EOFError, OSError):
            heard = self._lost()
        if isinstance(heard, Progress):
            self.progress = heard
        elif isinstance(heard, str):
            self._say(heard)
        else:
            self.task = None
            return heard if isinstance(heard, Ended) else None
        return None

    def stop(self) -> None:
        """Have it checkpoint after its round and end; at the second time, end at once."""
        if self._process and self.task:
            with suppress(OSError):  # it has died, which is still to be heard
                self._connection.send_bytes(STOP)

    def dismiss(self) -> None:
        """Leave it to end by itself: what it still does is checkpointed after the round."""
        if self._process:
            self._connection.close()

    def wait(self) -> None:
        """Until one that was dismissed has ended."""
        if self._process:
            self._process.wait()
            self._process = None
            self._output.close()

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process dies, and closed then
        command = [sys.executable, "-m", "simulator.sweep.worker_process", str(theirs.fileno())]
        with theirs, _on(self._cores):
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the sweep alone, which tells the worker
            )

    def _lost(self) -> Ended:
        """Why the process has died in the middle of a task."""
        assert self._process is not None
        code = self._process.wait()
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - LAST))
        said = self._output.read().decode(errors="replace").strip().splitlines()
        self.dismiss()
        self.wait()
        last = f": {said[-1]}" if said else ""
        if code > 0:
            advice = "This is no mistake of the settings: one run at a time (--jobs 1) shows where it happens."
            return Ended("lost", message=f"its process has ended with code {code}{last}.\n    {advice}")
        advice = "The same command tries it again; with fewer runs at once (--jobs), each has more memory."
        ended_by = f"its process was ended by {signal.Signals(-code).name}" if code else "its process has ended"
        return Ended("lost", message=f"{ended_by}{last}.\n    {advice}")


@contextmanager
def _on(cores: Sequence[int]) -> Iterator[None]:
    """Processes that are started within keep to ``cores``, and have as many threads."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
