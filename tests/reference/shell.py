"""Shells of hosts that are folders of this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Shell:
    """A host's shell in ``folder``, with this Python's programs on its PATH."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "STARTED_IN": str(folder)}

    def start(self, command, **variables):
        """As in a terminal of its own, in which these are set."""
        none = subprocess.DEVNULL
        self.started.append(
            subprocess.Popen(
                ["sh", "-c", str(command)],
                cwd=self.folder,
                env=self.environment | variables,
                start_new_session=True,
                stdin=none,
                stdout=none,
                stderr=none,
            )
        )

    def run(self, commands):
        """What they say."""
        done = subprocess.run(
            ["sh", "-ec", commands], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        return done.stdout + done.stderr

    def end(self):
        """As with Ctrl-C in every terminal; returns the processes that this does not end."""
        for process in self.started:
            os.killpg(process.pid, signal.SIGINT)
        for process in self.started:
            process.wait(120)
        deadline = time.monotonic() + 120
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.5)
        for process in left:
            os.kill(process, signal.SIGKILL)
        return left

    def _left(self):
        mark, found = f"STARTED_IN={self.folder}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
            except OSError:
                continue
        return found
