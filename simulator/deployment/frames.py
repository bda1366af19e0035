"""Frames on a Unix socket: a head, as JSON, and named pieces of bytes, all of a length that is bounded beforehand.

Light to import, since what confines a process uses it, too.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from simulator.core.errors import RunError

MARK = b"RMF1"
START = struct.Struct("!4sI")  # the mark, and the length of what says what follows
HEAD = 2**24  # bytes, at most
PIECES = 100_000


class Malformed(RunError):
    """What came over a socket is no frame, or too long a one."""


class HungUp(RunError):
    """The other end is gone."""


class Frame(NamedTuple):
    """One message between two processes of a site."""

    head: Mapping[str, Any]
    pieces: Mapping[str, bytes]


def send(to: socket.socket, head: Mapping[str, Any], pieces: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Send a frame.

    Raises:
        HungUp: nobody is there to take it.
    """
    sizes = {name: len(data) for name, data in pieces.items()}
    text = json.dumps({"head": dict(head), "pieces": sizes}, allow_nan=False).encode()
    if len(text) > HEAD:
        raise Malformed(f"a frame would have a head of {len(text):,} bytes, and {HEAD:,} are allowed.")
    try:
        to.sendall(START.pack(MARK, len(text)) + text)
        for data in pieces.values():
            to.sendall(data)
    except (BrokenPipeError, ConnectionError) as error:
        raise HungUp("the process at the other end of the socket is gone.") from error


def receive(come_from: socket.socket, most: int) -> Frame:
    """The next frame, whose pieces have at most so many bytes together.

    Raises:
        Malformed: what comes is none, or longer.
        HungUp: nothing comes any more.
        TimeoutError: the socket's time is over.
    """
    mark, length = START.unpack(_exactly(come_from, START.size))
    if mark != MARK:
        raise Malformed("what came over the socket does not begin as a frame does.")
    if length > HEAD:
        raise Malformed(f"a frame has a head of {length:,} bytes, and {HEAD:,} are allowed.")
    head, sizes = _understood(_exactly(come_from, length))
    if sum(sizes.values()) > most:
        raise Malformed(f"a frame has {sum(sizes.values()):,} bytes, and {most:,} are allowed.")
    return Frame(head, {name: _exactly(come_from, size) for name, size in sizes.items()})


def _understood(text: bytes) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        content = json.loads(text, parse_constant=_no_number)
        head, sizes = content["head"], content["pieces"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed("a frame has a head that is not as it should be.") from error
    right = type(head) is dict and type(sizes) is dict and len(sizes) <= PIECES and len(content) == 2
    if not right or not all(type(size) is int and size >= 0 for size in sizes.values()):
        raise Malformed("a frame has a head that is not as it should be.")
    return head, sizes


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _exactly(come_from: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        try:
            piece = come_from.recv(min(length - len(data), 2**20))
        except ConnectionError as error:
            raise HungUp("the process at the other end of the socket is gone.") from error
        if not piece:
            raise HungUp("the process at the other end of the socket is gone.")
        data += piece
    return bytes(data)
