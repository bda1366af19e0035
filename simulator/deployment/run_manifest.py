"""What all parties of a deployed run have agreed on, as it stands in the app's configuration; light to import."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from simulator.core.errors import wrong

EDGES = re.compile(r"([0-9]{1,9}>[0-9]{1,9}( [0-9]{1,9}>[0-9]{1,9})*)?")
MOST = 10**9  # of any number in the manifest
RUN = re.compile(r"[A-Za-z0-9_-]{1,32}")  # it names a folder at the nodes, and labels messages


@dataclass(frozen=True)
class RunManifest:
    """A run as the ServerApp knows it: of models and data, nothing.

    Attributes:
        run: identifies it at the nodes, 1 to 32 letters, digits, - or _; a run submitted again under the same name goes
            on where they stopped.
        fingerprint: of the experiment file that every node must have.
        statistics: "agreed" where nodes that are sites agree on statistics before round 1, else "declared".
        shared: identifies the samples that every node must have alike; see `NetworkData.shared`.
        version: of this package, which every node must have.
        versions: of what computes, where the run was planned; see `simulator.deployment.versions`.
        plane: "p2p" or "relay".
        nodes: how many.
        edges: who sends to whom, as "0>1 1>0".
        rounds: how many.
        exchanges: of messages in a round.
        phase: rounds that a node does in one message of Flower's.
        round_timeout: seconds that a node waits for a neighbour before it suspects it.
        phase_timeout: seconds after which a phase is broken off, to be continued by another message.
        join_timeout: seconds to wait for all nodes at the start, and for a neighbour at the start of a phase.
        quorum: how many nodes must be there at the start; others may come later.
        absences: "borne" where nodes go on without one that is away, "waited out" where they need its messages.
        sums: "masked" where each two nodes that send to the same one mask what they send it, else "plain".
    """

    run: str
    fingerprint: str
    version: str
    plane: str
    nodes: int
    edges: str
    rounds: int
    exchanges: int
    phase: int
    round_timeout: float
    phase_timeout: float
    join_timeout: float
    quorum: int
    absences: str
    shared: str = ""  # which no data have
    versions: str = ""
    statistics: str = "declared"
    sums: str = "plain"

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """From the configuration of Flower's run.

        Raises:
            InputError: its name is none, or a value is missing or none that can be there.
        """
        found: dict[str, Any] = {field.name: config.get(field.name.replace("_", "-")) for field in fields(cls)}
        for field in fields(cls):
            if not _can_be(field.name, str(field.type), found[field.name]):
                what = f"{found[field.name]!r:.60} cannot be there in the manifest of a run."
                raise wrong(field.name.replace("_", "-"), what, "Take app/pyproject.toml as `deploy init` wrote it.")
        manifest = cls(**found)
        if not RUN.fullmatch(manifest.run):
            raise wrong("run", f"'{manifest.run}' is no name of a run.", "Write 1 to 32 letters, digits, - or _.")
        return manifest

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The one that `rumormill deploy init` wrote into the ``folder`` of a deployment.

        Raises:
            InputError: it is no such folder.
        """
        try:
            project = tomllib.loads((folder / "app" / "pyproject.toml").read_text())
            return cls.read(project["tool"]["flwr"]["app"]["config"])
        except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
            what = f"is not the folder of a deployment: {error}."
            raise wrong(str(folder), what, "Give the folder that `rumormill deploy init` made.") from error

    def to_config(self) -> dict[str, str | int | float]:
        """What `read` was given."""
        return {field.name.replace("_", "-"): getattr(self, field.name) for field in fields(self)}

    @property
    def goes_on(self) -> bool:
        """Whether the nodes go on without one that is away."""
        return self.absences == "borne"

    @property
    def agrees(self) -> bool:
        """Whether the nodes agree on statistics before round 1."""
        return self.statistics == "agreed"

    @property
    def links(self) -> frozenset[tuple[int, int]]:
        """Pairs (sender, receiver)."""
        return links_of(self.edges)

    def neighbours(self, node: int) -> list[int]:
        """Who sends to ``node`` or receives from it."""
        return sorted({other for link in self.links if node in link for other in link} - {node})

    def co_senders(self, node: int) -> list[int]:
        """Who sends to a receiver of ``node`` and is no neighbour of it, where they mask what they send."""
        if self.sums != "masked":
            return []
        receivers = {receiver for sender, receiver in self.links if sender == node}
        senders = {sender for sender, receiver in self.links if receiver in receivers}
        return sorted(senders - {node, *self.neighbours(node)})


def links_of(edges: str) -> frozenset[tuple[int, int]]:
    """Pairs (sender, receiver) of ``edges``, as "0>1 1>0".

    Raises:
        ValueError: they are not written like that.
    """
    pairs = (edge.split(">") for edge in edges.split())
    return frozenset((int(sender), int(receiver)) for sender, receiver in pairs)


def _can_be(name: str, kind: str, value: Any) -> bool:
    if kind == "str":
        return type(value) is str and (name != "edges" or EDGES.fullmatch(value) is not None)
    return type(value) in ((int,) if kind == "int" else (int, float)) and 0 < value < MOST


def fingerprint(experiment: bytes) -> str:
    """Identifies an experiment file."""
    return hashlib.blake2b(experiment, digest_size=16).hexdigest()


def own_version() -> str:
    """Of this package."""
    return version("rumormill")
