"""Which nodes of a deployment are up, and what runs, as its SuperLink has it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from simulator.deployment.commands import environment
from simulator.deployment.control import Control
from simulator.deployment.files import read
from simulator.deployment.keys.certificate import Certificate
from simulator.deployment.keys.expiry import WARNING
from simulator.deployment.keys.revocation import ADVICE, Revoked
from simulator.deployment.registration import SUPERNODES


class Presence(NamedTuple):
    """A node as the SuperLink's host knows it.

    Attributes:
        node: its name.
        status: of its SuperNode: "online", "offline", "registered" if never seen, "unknown" to the SuperLink.
        since: when it has come or gone.
        certificate: until when its certificate counts, or that it does not.
    """

    node: str
    status: str
    since: str
    certificate: str


def presences(folder: Path) -> list[Presence]:
    """The nodes of the deployment in ``folder``, asked for on the SuperLink's host.

    Raises:
        RunError: the SuperLink does not answer.
    """
    found = {each["node-id"]: each for each in control_of(folder).supernodes()}
    link = folder / "superlink"
    names = {file.stem for ending in ("pub", "crt") for file in (link / SUPERNODES).glob(f"*.{ending}")}
    revoked, now = Revoked.read(link, read(link / "ca.crt", ADVICE)), datetime.now(UTC)
    keys = [link / SUPERNODES / name for name in sorted(names, key=lambda name: (len(name), name))]
    return [_presence(key, found, _counts(key.with_suffix(".crt"), revoked, now)) for key in keys]


def control_of(folder: Path) -> Control:
    """Flower's command line for the deployment in ``folder``."""
    return Control(folder, environment(folder / "superlink" / "home"))


def _presence(key: Path, found: dict[str, dict[str, str]], certificate: str) -> Presence:
    known = key.with_suffix(".id")
    said = found.get(known.read_text().strip() if known.exists() else "", {"status": "unknown"})
    since = {"online": said.get("online-at"), "offline": said.get("offline-at")}.get(said["status"])
    return Presence(key.name, said["status"], since or "", certificate)


def _counts(file: Path, revoked: Revoked, now: datetime) -> str:
    """Until when the certificate in ``file`` counts."""
    if not file.exists():
        return ""
    certificate = Certificate.read(file)
    if certificate.serial in revoked.serials:
        return "revoked"
    soon = " (soon)" if now < certificate.ends < now + WARNING else ""
    return f"{'until' if certificate.ends > now else 'ended'} {certificate.ends:%Y-%m-%d}{soon}"
