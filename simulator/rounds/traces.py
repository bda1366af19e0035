"""Traces: tables of what devices and links are like, and of when devices are away.

In an experiment, a trace is the path of a CSV file, whose header names columns, or the columns written out; a run's
own ``experiment.yaml`` holds it whole. Lines that begin with ``#`` are comments.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, ValidationError, model_validator

from simulator.core.errors import InputError, Problem, did_you_mean, wrong
from simulator.core.registry import Settings
from simulator.core.seeding import generator

MOST_ROWS = 10_000  # they stand in the experiment of every run


class Trace(Settings):
    """Columns of one length; those that are left out say nothing."""

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        lengths = {name: len(column) for name, column in self if column}
        if len(set(lengths.values())) != 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise ValueError(f"columns have different lengths: {told}" if lengths else "there are no rows")
        if (rows := max(lengths.values())) > MOST_ROWS:
            raise ValueError(f"there are {rows:,} rows, more than {MOST_ROWS:,}: take a sample of them")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """The trace in a CSV file.

        Raises:
            InputError: it cannot be read, has other columns, or a value is none; told with its line.
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                lines = [(number, row) for number, row in _rows(file) if row]
        except (OSError, UnicodeError, csv.Error) as error:
            raise wrong(path.name, f"cannot be read: {error}.", "Give a CSV file with a header.") from error
        known = list(cls.model_fields)
        number, header = lines[0] if lines else (1, [])
        for name in header:
            if name not in known or header.count(name) > 1:
                what = f"'{name}' is no column of a trace of this kind." if name not in known else f"'{name}' is twice."
                raise wrong(f"{path.name}:{number}", what, did_you_mean(name, known, "columns"))
        body = lines[1:]
        for number, row in body:
            if len(row) != len(header):
                what = f"holds {len(row)} values, and the header names {len(header)}."
                raise wrong(f"{path.name}:{number}", what, "Give each row one value a column.")
        columns = {name: [_value(row[place]) for _, row in body] for place, name in enumerate(header)}
        try:
            return cls.model_validate(columns)
        except ValidationError as error:
            raise InputError(
                *(_placed(dict(each), path.name, [n for n, _ in body]) for each in error.errors())
            ) from error


def _rows(file: Iterable[str]) -> Iterable[tuple[int, list[str]]]:
    for number, line in enumerate(file, 1):
        if not line.startswith("#"):
            yield number, [cell.strip() for cell in next(csv.reader([line]), [])]


def _value(text: str) -> float | int | str:
    """A number if it is one; if not, what the reader is to be told of."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _placed(detail: dict[str, object], name: str, numbers: list[int]) -> Problem:
    place, message = detail["loc"], str(detail["msg"]).removeprefix("Value error, ")
    column, row = (*place, None, None)[:2] if isinstance(place, tuple) else (None, None)
    where = f"{name}:{numbers[row]}" if isinstance(row, int) else name
    return Problem(where, f"{f'{column}: ' if column else ''}{message[0].lower()}{message[1:]}.", "Correct the file.")


class DeviceTrace(Trace):
    """Devices, one a row; nodes are given them at random, see `devices_of`.

    Attributes:
        speed: a device of speed 2 takes half the time for a step.
        uplink: bytes a second that it sends at most, over all its links together.
        downlink: bytes a second that it receives at most.
        latency: seconds that its end adds to that of a message.
        watts: its power while it computes.
    """

    speed: tuple[PositiveFloat, ...] = ()
    uplink: tuple[PositiveFloat, ...] = ()
    downlink: tuple[PositiveFloat, ...] = ()
    latency: tuple[NonNegativeFloat, ...] = ()
    watts: tuple[NonNegativeFloat, ...] = ()

    @property
    def number(self) -> int:
        """How many there are."""
        return max(len(column) for _, column in self)


class LinkTrace(Trace):
    """Links, one direction a row: what is measured between nodes, in place of what holds for all links.

    Attributes:
        sender: node.
        receiver: node.
        latency: seconds until a message begins to arrive.
        bandwidth: bytes a second.
    """

    sender: tuple[NonNegativeInt, ...]
    receiver: tuple[NonNegativeInt, ...]
    latency: tuple[NonNegativeFloat, ...] = ()
    bandwidth: tuple[PositiveFloat, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> LinkTrace:
        links = self.links
        twice = next((link for link in links if links.count(link) > 1), None) if len(set(links)) < len(links) else None
        if twice:
            raise ValueError(f"the link {twice[0]} -> {twice[1]} is there twice")
        return self

    @property
    def links(self) -> list[tuple[int, int]]:
        """Sender and receiver of each row."""
        return list(zip(self.sender, self.receiver, strict=True))


class AbsenceTrace(Trace):
    """When devices are away: each row a device, from which second it is and until which.

    Devices are numbered from 0 to the largest number that has a row. After the last row, all are there.
    """

    device: tuple[NonNegativeInt, ...]
    since: tuple[NonNegativeFloat, ...]
    until: tuple[PositiveFloat, ...]

    def absences(self, nodes: int, seed: int, round_seconds: float) -> list[tuple[int, int, int]]:
        """(node, first round, last round) of each, rounds from 1; a node is away in rounds that begin meanwhile.

        Args:
            nodes: how many there are.
            seed: the experiment's, by which devices are given to nodes.
            round_seconds: how long a round takes.
        """
        devices = devices_of(nodes, max(self.device) + 1, seed)
        spans = [
            (device, ceil(since / round_seconds) + 1, ceil(until / round_seconds))
            for device, since, until in zip(self.device, self.since, self.until, strict=True)
        ]
        return [
            (node, first, last)
            for node, mine in enumerate(devices.tolist())
            for device, first, last in spans
            if device == mine and first <= last
        ]


def devices_of(nodes: int, devices: int, seed: int) -> NDArray[np.int64]:
    """int64 [nodes]: the row of each node's device; no device is given a second time before each was given once."""
    rng = generator(seed, "clock.devices")
    return np.concatenate([rng.permutation(devices) for _ in range(-(-nodes // devices))])[:nodes]
