"""What pages bring along: the look, the chart library and our own scripts; a page holds them all in itself."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from markupsafe import Markup

SCRIPTS = (
    "vendor/d3.min.js",
    "vendor/plot.umd.min.js",
    "charts.js",
    "network.js",
    "page.js",
)  # each after those that it needs


class Inline(NamedTuple):
    """What a page holds: the text of each script, and the policy that lets a browser run these and fetch nothing."""

    scripts: tuple[Markup, ...]
    policy: str


def read(name: str) -> str:
    """The text of an asset, by its path in this folder."""
    return (files(__name__) / name).read_text(encoding="utf-8")


@cache
def inline() -> Inline:
    """All scripts, for use inside a page.

    The policy names scripts by their hashes, so that no other runs, whatever text comes to stand in the page.
    """
    texts = tuple(read(name) for name in SCRIPTS)
    assert not any("</script" in text.lower() or "<!--" in text for text in texts), "a script would end early"
    hashes = " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)
    return Inline(
        tuple(map(Markup, texts)),
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
    )
