"""Audits that were started from the page: one at a time, each a process of its own, in a queue that can be watched."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

LINES = 400  # of what a job prints that are kept
LONGEST = 2**16  # bytes of one, and that are read at a time
PATIENCE = 10.0  # seconds that a job has to end after it was told to
State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass
class Job:
    """One command.

    Attributes:
        number: counts from 1.
        run: the directory's name of the run that it is about.
        title: what is done, in words.
        arguments: those of ``rumormill``.
        lines: what it has printed last.
    """

    number: int
    run: str
    title: str
    arguments: tuple[str, ...]
    state: State = "waiting"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))

    @property
    def over(self) -> bool:
        """Whether it has come to an end."""
        return self.state not in ("waiting", "running")

    @property
    def last_line(self) -> str:
        """What it has printed last."""
        return self.lines[-1] if self.lines else ""


class Jobs:
    """The queue; enter `working` to have it worked off."""

    def __init__(self) -> None:
        self.all: list[Job] = []
        self._queue = asyncio.Queue[Job]()
        self._process: asyncio.subprocess.Process | None = None

    def add(self, run: str, title: str, arguments: Sequence[str]) -> Job:
        """Put a command at the end of the queue."""
        job = Job(len(self.all) + 1, run, title, tuple(arguments))
        self.all.append(job)
        self._queue.put_nowait(job)
        return job

    def job(self, number: int) -> Job | None:
        """The job of that number, if there is one."""
        return self.all[number - 1] if 0 < number <= len(self.all) else None

    async def cancel(self, job: Job) -> None:
        """Take ``job`` out of the queue, or end it; what has ended stays as it is."""
        if job.over:
            return
        running, job.state = job.state == "running", "cancelled"
        if running and self._process:
            await _end(self._process)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Carry out what is and comes into the queue; at the end, nothing is left running."""
        worker = asyncio.create_task(self._work())
        try:
            yield
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker
            if self._process:
                await _end(self._process)

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            if job.state == "waiting":
                job.state = "running"
                try:
                    await self._carry_out(job)
                except OSError as error:  # the next one may go better
                    job.lines.append(f"It cannot be started: {error}.")
                    job.state = "failed"

    async def _carry_out(self, job: Job) -> None:
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulator", *job.arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C is heard by the page, which ends it in its own way
            env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
        )
        assert process.stdout
        if job.state == "cancelled":  # while it was started
            await _end(process)
        unfinished = b""
        while part := await process.stdout.read(LONGEST):
            *lines, unfinished = (unfinished[-LONGEST:] + part).split(b"\n")
            job.lines += [line.decode(errors="replace").rstrip() for line in lines]
        code = await process.wait()
        self._process = None
        if job.state == "running":
            job.state = "failed" if code else "done"


async def _end(process: asyncio.subprocess.Process) -> None:
    """As Ctrl-C would, and with all that it has started where that is not enough."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
