"""A node's folder whose node is made and trained in a confined process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from simulator.core.errors import RunError
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.open_settings import OpenSettings

if TYPE_CHECKING:
    from simulator.data.sites.statistics import Statistics
    from simulator.deployment.carried import CarriedNode


class Lost(RunError):
    """The confined process has died; another one goes on from the node's last state."""


@dataclass(frozen=True, kw_only=True)
class ConfinedFolder(NodeFolder):
    """No code of the experiment is executed by whoever has this.

    Attributes:
        start: starts a confined process, and gives the socket by which it is spoken to.
    """

    start: Callable[[], socket.socket]

    @classmethod
    def of(cls, folder: NodeFolder, start: Callable[[], socket.socket]) -> ConfinedFolder:
        """``folder``, with what starts its program."""
        return cls(**{field.name: getattr(folder, field.name) for field in fields(NodeFolder)}, start=start)

    def settings(self) -> OpenSettings:
        """What of the experiment can be known without executing anything that it names."""
        return OpenSettings.read(self.folder)

    def carried(self, run: str, statistics: Statistics | None = None) -> CarriedNode:
        """The node of a run at its beginning, in a process of its own.

        Raises:
            InputError: the data or the node's key is not there, or the node cannot be made.
        """
        from simulator.deployment.confined.remote import ConfinedNode

        settings, secrets = self.settings(), self.secrets(run)
        given = {
            "node": self.node,
            "neighbours": sorted(self.neighbours),
            "data": None if settings.sites is None else str(self.data_path()),
            "secret": hex(secrets.own),
            "links": {str(other): hex(secret) for other, secret in secrets.links.items()},
        }
        pieces = {} if statistics is None else {"statistics": statistics.to_json().encode()}
        return ConfinedNode(self.node, self.neighbours, settings, self.start(), given, pieces)
