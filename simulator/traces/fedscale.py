"""Traces in FedScale's formats (Lai et al. 2022, arXiv:2105.11367) as those of this project.

FedScale's files are pickles, which can hold code; nothing but dictionaries, lists, numbers and text is read here. They
are built from data of third parties, and none is shipped.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

import numpy as np

from simulator.core.errors import wrong
from simulator.rounds.traces import MOST_ROWS

FILES = "Give FedScale's client_device_capacity or client_behave_trace."
KBIT = 1000 / 8  # bytes
Client = Mapping[str, Any]
Table = list[list[float]]


class _Plain(pickle.Unpickler):
    """Reads what needs no code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only plain numbers and text are read")


def converted(path: Path, rows: int | None, seed: int) -> tuple[list[str], Table]:
    """Names of columns and rows of the trace in FedScale's file at ``path``: of devices, or of their absences.

    Args:
        path: of ``client_device_capacity`` or ``client_behave_trace``.
        rows: how many clients to take, drawn by ``seed``; None: all.
        seed: at least 0.

    Raises:
        InputError: the file is none of these, or holds fewer clients, or more rows than a trace can have.
    """
    clients = _clients(path)
    if rows is not None:
        if not 0 < rows <= len(clients):
            raise wrong("--rows", f"{rows} clients of {len(clients):,} cannot be taken.", "Give fewer, at least 1.")
        clients = [clients[k] for k in sorted(np.random.default_rng(seed).choice(len(clients), rows, replace=False))]
    kinds = {"computation": _devices, "active": _absences}
    kind = next((kinds[key] for key in kinds if key in clients[0][1]), None)
    if kind is None:
        raise _malformed(path, clients[0][0], "has neither 'computation' nor 'active'")
    names, table = kind(path, clients)
    if len(table) > MOST_ROWS:
        raise wrong(str(path), f"gives {len(table):,} rows, more than {MOST_ROWS:,}.", "Take fewer clients: --rows.")
    return names, table


def _clients(path: Path) -> list[tuple[Any, Client]]:
    try:
        with path.open("rb") as file:
            content = _Plain(file).load()
    except Exception as error:  # a damaged pickle can raise anything
        raise wrong(str(path), f"cannot be read as a pickle of plain values: {error}.", FILES) from error
    if not isinstance(content, dict) or not content:
        raise wrong(str(path), "holds no dictionary of clients.", FILES)
    for name, client in content.items():
        if not isinstance(client, dict):
            raise _malformed(path, name, "is no dictionary")
    return list(content.items())


def _devices(path: Path, clients: Sequence[tuple[Any, Client]]) -> tuple[list[str], Table]:
    """``computation`` is in ms a sample, of which a device of speed 1 takes the median; ``communication`` in kbit/s."""
    for name, client in clients:
        if not all(_is_number(client.get(key)) and client[key] > 0 for key in ("computation", "communication")):
            raise _malformed(path, name, "needs a computation and a communication above 0")
    middle = median(client["computation"] for _, client in clients)
    rates = [(middle / client["computation"], client["communication"] * KBIT) for _, client in clients]
    return ["speed", "uplink", "downlink"], [[speed, rate, rate] for speed, rate in rates]


def _absences(path: Path, clients: Sequence[tuple[Any, Client]]) -> tuple[list[str], Table]:
    """``active`` and ``inactive`` are the seconds at which a client comes and goes, until ``finish_time``."""
    table: Table = []
    for device, (name, client) in enumerate(clients):
        found: list[Any] = [client.get(key) for key in ("active", "inactive", "finish_time")]
        comes, goes, end = found
        if not (_are_numbers(comes) and _are_numbers(goes) and _is_number(end)):
            raise _malformed(path, name, "needs lists of numbers active and inactive, and a finish_time")
        table += [[device, since, until] for since, until in _away(comes, goes, end)]
    return ["device", "since", "until"], table


def _away(comes: Sequence[float], goes: Sequence[float], end: float) -> Iterable[tuple[float, float]]:
    """From when until when one is away who comes and goes then; who comes first was away from second 0."""
    since: float | None = None if goes and (not comes or goes[0] < comes[0]) else 0.0
    events = sorted([*((second, True) for second in comes), *((second, False) for second in goes)])
    for second, there in events:
        if there and since is not None:
            if second > since:
                yield since, second
            since = None
        elif not there and since is None:
            since = second
    if since is not None and end > since:
        yield since, end


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(map(_is_number, values))


def _malformed(path: Path, client: Any, what: str) -> Exception:
    return wrong(f"{path}: client {client!r}", f"{what}.", FILES)
