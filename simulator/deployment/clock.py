"""Whether this host's clock is that of the SuperLink, which refuses who signs at another time, without a word."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.request import urlopen

from simulator.deployment.gateway import AHEAD, BEHIND

SECONDS = 5.0  # to wait for the SuperLink


def complaint(address: str) -> str | None:
    """What is wrong with this host's clock, or with the way to the gateway at ``address``; None if nothing is."""
    try:
        late = _late(address)
    except OSError as error:
        return f"the SuperLink's host does not answer at {address}: {getattr(error, 'reason', error)}"
    if -AHEAD < late < BEHIND:
        return None
    wrong = f"about {abs(late):.0f} s {'behind' if late > 0 else 'ahead of'} that of the SuperLink's host"
    allowed = f"which refuses more than {AHEAD:g} s ahead and {BEHIND:g} s behind"
    return f"this host's clock is {wrong}, {allowed}: set it, for example with chrony"


def _late(address: str) -> float:
    """Seconds by which this host's clock is behind, to about one.

    Certificates are not looked at, since a wrong clock takes good ones for expired; nothing is believed but the time.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urlopen(f"https://{address}/health", timeout=SECONDS, context=context) as answer:
        said = parsedate_to_datetime(answer.headers["Date"])
    return (said - datetime.now(UTC)).total_seconds()
