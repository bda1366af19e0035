"""Which nodes of a deployment are up, and what runs, as its SuperLink has it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from simulator.deployment.commands import environment
from simulator.deployment.control import Control


class Presence(NamedTuple):
    """A node, whether its SuperNode is there ("online", "offline", "registered" if never seen), and since when."""

    node: str
    status: str
    since: str


def presences(folder: Path) -> list[Presence]:
    """The nodes of the deployment in ``folder``, asked for on the SuperLink's host.

    Raises:
        RunError: the SuperLink does not answer.
    """
    found = {each["node-id"]: each for each in control_of(folder).supernodes()}
    keys = sorted((folder / "superlink" / "supernodes").glob("*.pub"), key=lambda key: (len(key.stem), key.stem))
    return [_presence(key, found) for key in keys]


def control_of(folder: Path) -> Control:
    """Flower's command line for the deployment in ``folder``."""
    return Control(folder, environment(folder / "superlink" / "home"))


def _presence(key: Path, found: dict[str, dict[str, str]]) -> Presence:
    known = key.with_suffix(".id")
    said = found.get(known.read_text().strip() if known.exists() else "", {"status": "unknown"})
    since = {"online": said.get("online-at"), "offline": said.get("offline-at")}.get(said["status"])
    return Presence(key.stem, said["status"], since or "")
