"""What others are told of an error at a node: who has it and of which kind; never its text, which may quote data."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from simulator.core.errors import RumormillError
from simulator.deployment.node_folder import ERRORS, NodeFolder
from simulator.deployment.printable import printable
from simulator.deployment.site.declined import Declined
from simulator.deployment.site.gate import Gate


class Untold(Exception):
    """An error at a node, without its reason."""


@dataclass
class Opened:
    """The gate of the site, once there is one: before, nothing has been read that could be told."""

    gate: Gate | None = None


@contextmanager
def at_the_gate(folder: NodeFolder) -> Iterator[Opened]:
    """Let no error out as it is: its text goes to the node's own folder and log, others are told `told`.

    Raises:
        Untold: there was an error.
    """
    opened = Opened()
    try:
        yield opened
    except Exception as error:
        text = told(folder.node, error)
        _tried(partial(_keep, folder, error))
        if opened.gate is not None:
            _tried(partial(opened.gate.error, text))
        raise Untold(text) from None


def told(node: int, error: Exception) -> str:
    """What others are told of ``error``."""
    if isinstance(error, Declined):
        return error.told
    known = isinstance(error, RumormillError) or type(error).__module__ == "builtins"
    kind = type(error).__name__ if known else "an error of its own kind"
    return f"node {node} cannot go on ({kind}): {ERRORS} in its folder says why"


def _tried(write: Callable[[], object]) -> None:
    """Have ``write`` done, if the disk lets it: an error of its own, with all its text, would be told instead."""
    try:
        write()
    except Exception:
        traceback.print_exc()


def _keep(folder: NodeFolder, error: Exception) -> None:
    """Append the error to the node's own file; an unexpected one with where it was raised."""
    whole = str(error) if isinstance(error, RumormillError) else "".join(traceback.format_exception(error))
    text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {printable(whole.rstrip())}\n"
    print(text, flush=True)
    with (folder.folder / ERRORS).open("a", encoding="utf-8") as file:
        file.write(text)
