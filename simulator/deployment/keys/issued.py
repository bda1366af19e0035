"""What the organiser keeps in ``authority/``: every certificate of a node that was issued, and those revoked."""

from __future__ import annotations

from pathlib import Path

from simulator.core.errors import did_you_mean, wrong
from simulator.deployment.files import write
from simulator.deployment.keys.authority import Authority
from simulator.deployment.keys.certificate import Certificate
from simulator.deployment.keys.revocation import FILE, Revoked
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.transport.certificates import name_of

AUTHORITY, ISSUED = "authority", "issued"


class Issued:
    """The authority of the deployment in ``folder``, and what it has issued.

    Attributes:
        folder: the deployment's.
        manifest: of its run.
        authority: its authority.
        revoked: the list of what does not count any more.

    Raises:
        InputError: it is no deployment, or its authority is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, RunManifest.of_folder(folder)
        self.authority = Authority.read(folder / AUTHORITY)
        self.revoked = Revoked.read(folder / AUTHORITY, self.authority.certificate)

    def node(self, given: str) -> int:
        """The number of the node that is called "node-2", or "2".

        Raises:
            InputError: there is none.
        """
        names = {name_of(node): node for node in range(self.manifest.nodes)}
        name = name_of(int(given)) if given.isascii() and given.isdecimal() else given
        if name not in names:
            raise wrong("NODE", f"there is no node '{given}'.", did_you_mean(name, list(names), "nodes"))
        return names[name]

    def place(self, node: int) -> Path:
        """Where the folder of a node stands."""
        return self.folder / "nodes" / name_of(node)

    def current(self, node: int) -> Certificate | None:
        """The last certificate of a node, which may have been revoked; None: it has not been signed yet."""
        file = self.place(node) / "node.crt"
        return Certificate.read(file, self.authority.certificate) if file.exists() else None

    def of(self, node: int) -> list[Certificate]:
        """All certificates of a node."""
        files = sorted((self.folder / AUTHORITY / ISSUED).glob("*.crt"))
        found = [Certificate.read(file, self.authority.certificate) for file in files]
        return [each for each in found if each.name == name_of(node)]

    def revoked_of(self, node: int) -> list[Certificate]:
        """Those of them that do not count any more."""
        return [each for each in self.of(node) if each.serial in self.revoked.serials] if self.revoked.serials else []

    def keep(self, pem: bytes) -> None:
        """Write a new certificate down."""
        write(self.folder / AUTHORITY / ISSUED / f"{Certificate.of(pem).serial:x}.crt", pem)


def places_of_lists(folder: Path, nodes: int) -> list[Path]:
    """Where in the ``folder`` of a deployment of so many nodes the list of revoked certificates stands."""
    parts = (AUTHORITY, "superlink", *(f"nodes/{name_of(node)}" for node in range(nodes)))
    return [folder / part / FILE for part in parts]
