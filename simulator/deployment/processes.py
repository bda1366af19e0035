"""A deployment's processes on this machine: started, started again when they die, and all ended at the end."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.error import URLError
from urllib.request import urlopen

from simulator.core.errors import RunError
from simulator.deployment import commands
from simulator.deployment.guard import MARK, end, marked
from simulator.deployment.mailbox_process import FILE as MAILBOX_FILE
from simulator.deployment.mailbox_process import MailboxSettings

PAUSE = 15.0  # seconds before a dead one is started again: the SuperLink refuses a SuperNode that it thinks alive
AT_ONCE = 0.5  # seconds, of what can be started again as soon as it has died
PATIENCE = 60.0  # seconds for the SuperLink, or the mailbox, to answer
GRACE = 10.0  # seconds for a process to end by itself


@dataclass
class Child:
    """A process that should run; ``log`` takes what it says. A dead one is started again after a ``pause``, seconds."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    pause: float = PAUSE
    process: subprocess.Popen[bytes] | None = None
    died: float | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C is not for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.died = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def tend(self) -> None:
        """Start it again if it has been dead for a while."""
        if self.alive:
            return
        self.died = self.died or time.monotonic()
        if time.monotonic() - self.died > self.pause:
            self.start()

    def stop(self) -> None:
        """Ask it to end, and wait a little."""
        if self.alive and self.process:
            self.process.terminate()

    def wait(self, seconds: float) -> None:
        """Until it has ended."""
        if self.process:
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Processes:
    """All of a deployment in ``folder``.

    Args:
        folder: the deployment's.
        environment: of all its processes, to which a mark is added.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self.environment = folder, {**environment, MARK: str(folder)}
        self.children: dict[str, Child] = {}

    def start(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        own: Mapping[str, str] = MappingProxyType({}),
        pause: float = PAUSE,
    ) -> None:
        """Start one process, with ``own`` variables in its environment, and that after a ``pause`` if it dies."""
        child = Child(name, command, folder, {**self.environment, **own}, self._folder / f"{name}.log", pause)
        self.children[name] = child
        child.start()

    def tend(self) -> None:
        """Start those again that have died."""
        for child in self.children.values():
            child.tend()

    def stop(self) -> None:
        """End all: the last one started first, then whatever they have left behind."""
        for child in reversed(self.children.values()):
            child.stop()
        deadline = time.monotonic() + GRACE
        for child in reversed(self.children.values()):
            child.wait(max(0.1, deadline - time.monotonic()))
        end(self._folder)

    def left(self) -> list[int]:
        """The numbers of all processes that bear the deployment's mark and still run."""
        return marked(self._folder)


def start_mailbox(folder: Path, processes: Processes) -> None:
    """Start the mailbox that the SuperLink's ``folder`` describes, if it does, and wait until it answers.

    Raises:
        RunError: it has died, or does not.
    """
    if not (folder / MAILBOX_FILE).exists():
        return
    settings = MailboxSettings.read(folder)
    processes.start("mailbox", commands.mailbox(folder), folder, pause=AT_ONCE)
    host, _, port = settings.listen.rpartition(":")
    child = processes.children["mailbox"]

    def answers() -> None:
        socket.create_connection((host, int(port)), 2).close()

    _wait(answers, child, f"the mailbox does not answer at {settings.listen}")


def wait_for_superlink(address: str, authority: Path, child: Child) -> None:
    """Wait until the SuperLink answers.

    Raises:
        RunError: it has died, or does not.
    """
    context = ssl.create_default_context(cafile=str(authority))

    def answers() -> None:
        urlopen(f"https://{address}/health", timeout=2, context=context).close()

    _wait(answers, child, f"the SuperLink does not answer at {address}")


def _wait(answers: Callable[[], None], child: Child, otherwise: str) -> None:
    """Wait until ``answers`` raises nothing any more."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and child.alive:
        try:
            answers()
            return
        except (URLError, OSError):
            time.sleep(0.2)
    last = child.log.read_text(errors="replace").strip().splitlines()[-3:]
    raise RunError(f"{otherwise}:\n    " + "\n    ".join(last))
