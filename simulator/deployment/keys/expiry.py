"""When certificates end, told in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from simulator.deployment.keys.certificate import Certificate

WARNING = timedelta(days=30)  # before the end


def endings(certificates: Iterable[Certificate], now: datetime | None = None) -> Iterator[str]:
    """A sentence of every certificate that has ended, or will within `WARNING`."""
    now = now or datetime.now(UTC)
    for each in certificates:
        if each.ends - now < WARNING:
            yield ending(each.name, each.ends, now)


def ending(name: str, ends: datetime, now: datetime) -> str:
    """That the certificate of ``name`` ends soon, or has ended."""
    verb = "ends" if ends > now else "ended"
    return f"the certificate of {name} {verb} on {ends:%Y-%m-%d}: have its host make a new key, and sign it"


def certificates_in(folder: Path) -> list[Certificate]:
    """Those that lie in ``folder``.

    Raises:
        InputError: one is none.
    """
    return [Certificate.read(file) for file in sorted(folder.glob("*.crt"))]
