"""Flower's command line: submit, ask, stop. What it exits with says little; the run's own status is the truth."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from simulator.core.errors import RunError
from simulator.deployment.instructions import CONNECTION

SECONDS = 60.0  # for one command
COMPLETED = "finished:completed"


class Status(NamedTuple):
    """Of a run: what Flower calls it, why, and the bytes that went through the SuperLink."""

    name: str
    details: str
    traffic: int

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen, good or bad."""
        return self.name.startswith("finished")


class Control:
    """Flower's command line for the deployment in ``folder``."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder.absolute(), dict(environment)

    def register(self, public_key: Path, name: str) -> str:
        """Let the SuperNode that has this key take part; returns what the SuperLink calls it."""
        return str(
            self._json("supernode", "register", str(public_key.absolute()), CONNECTION, "--name", name)["node-id"]
        )

    def unregister(self, number: str) -> None:
        """Let the SuperNode that the SuperLink calls so take no part any more."""
        self._json("supernode", "unregister", number, CONNECTION)

    def supernodes(self) -> list[dict[str, Any]]:
        """Those that are registered."""
        return list(self._json("supernode", "list", CONNECTION)["nodes"])

    def runs(self) -> list[dict[str, Any]]:
        """All runs so far."""
        return list(self._json("ls", CONNECTION)["runs"])

    def submit(self, *options: str) -> str:
        """Start the app; returns the run's number."""
        return str(self._json("run", str(self._folder / "app"), CONNECTION, *options)["run-id"])

    def status(self, run: str) -> Status:
        """How far it is."""
        (found,) = self._json("ls", CONNECTION, "--run-id", run)["runs"]
        return Status(found["status"], found["status-details"], int(found["network-traffic"]["total-bytes"]))

    def stop(self, run: str) -> None:
        """Ask for its end; messages under way are still answered."""
        self._json("stop", run, CONNECTION)

    def log(self, run: str) -> str:
        """What the ServerApp has said."""
        return self._call("log", run, CONNECTION, "--show").stdout

    def _json(self, *arguments: str) -> dict[str, Any]:
        done = self._call(*arguments, "--format", "json")
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            answer = {}
        if not answer.get("success"):
            said = answer.get("error-message") or (done.stderr or done.stdout).strip()
            raise RunError(f"flwr {' '.join(arguments[:2])} failed: {said}")
        return answer

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["flwr", *arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                start_new_session=True,  # Ctrl-C is for us
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RunError(f"flwr {' '.join(arguments[:2])} has not answered for {SECONDS:g} s.") from error
