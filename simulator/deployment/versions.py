"""Versions of what computes on a host: which have to be equal at all nodes of a run, and which may differ.

Rumormill itself and the experiment have to be the same to the last byte (`RunManifest`). Of packages whose random
numbers decide what a node begins with and which samples it takes, the release has to be: torch and numpy promise the
same numbers within one, and not from one to the next, so that nodes would silently be of two experiments. Python, the
patch of a release, and Flower's version change no number but for rounding; they are told, and not refused.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version

RELEASES = ("torch", "numpy")  # as "2.13": all nodes have to have the same
TOLD = ("python", *RELEASES, "flwr")
WRITTEN = re.compile(r"[a-z]{1,20}=[0-9A-Za-z.+!_-]{1,40}( [a-z]{1,20}=[0-9A-Za-z.+!_-]{1,40}){0,19}")


def own_versions() -> str:
    """Of this host, as "python=3.12.1 torch=2.13.0"."""
    return " ".join(f"{name}={platform.python_version() if name == 'python' else version(name)}" for name in TOLD)


def parsed(text: str) -> dict[str, str]:
    """The versions in ``text``, by name; none where it is written in another way."""
    if not WRITTEN.fullmatch(text):
        return {}
    return dict(each.split("=", 1) for each in text.split())


def refused(theirs: Mapping[str, str], planned: Mapping[str, str]) -> str | None:
    """Why a host with such versions cannot take part in a run that was ``planned`` with others; None: it can."""
    for name in RELEASES:
        has, wants = theirs.get(name, "none"), planned.get(name, "none")
        if _release(has) != _release(wants):
            return f"has {name} {has}, and the run was planned with {wants}: releases have to be equal"
    return None


def differing(theirs: Mapping[str, str], planned: Mapping[str, str]) -> Iterator[str]:
    """What else differs, as "python 3.13.0, not 3.11.7"."""
    for name in TOLD:
        if (has := theirs.get(name, "none")) != (wants := planned.get(name, "none")):
            yield f"{name} {has}, not {wants}"


def _release(full: str) -> tuple[str, ...]:
    return tuple(full.split(".")[:2])
