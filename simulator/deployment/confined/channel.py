"""The administrator's side of the socket to a confined process: what comes is an answer, or refused by name."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from simulator.core.errors import InputError, Problem, RunError
from simulator.deployment.confined.folder import Lost
from simulator.deployment.frames import Frame, HungUp, Malformed, receive, send
from simulator.deployment.printable import excerpt

# Bytes of an answer, which are held several times over: a quarter of the host's memory.
MOST = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Channel:
    """One question after the other, each with its answer.

    Args:
        node: whose program answers.
        on: the socket; its time is that of an answer.
    """

    def __init__(self, node: int, on: socket.socket) -> None:
        self._node, self._on, self._lock = node, on, threading.Lock()

    def ask(self, head: Mapping[str, Any], pieces: Mapping[str, bytes] = NOTHING, most: int = 0) -> Frame:
        """The answer, whose pieces have at most so many bytes, and never more than this host's memory bears.

        Raises:
            InputError: the program says that the node cannot be made.
            RunError: it says that something is wrong, or what it says is no answer, or does not come in time.
            Lost: the process has died.
        """
        with self._lock:
            try:
                send(self._on, head, pieces)
                frame = receive(self._on, min(most, MOST))
            except HungUp as error:
                raise Lost(f"the process in which node {self._node} is trained has died.") from error
            except Malformed as error:
                self._on.close()
                raise self.refusal(str(error)) from error
            except TimeoutError as error:
                what = f"the process in which node {self._node} is trained has not answered in time."
                raise RunError(what) from error
        if "error" in frame.head:
            text = excerpt(frame.head.get("text"))
            where, what = f"node {self._node}", f"its program says: {text}"
            raise InputError(Problem(where, what)) if frame.head["error"] == "input" else RunError(f"{where}: {what}")
        return frame

    @contextmanager
    def understanding(self) -> Iterator[None]:
        """Make something of an answer: whatever goes wrong is a refusal of it.

        Raises:
            RunError: it is refused.
        """
        try:
            yield
        except RunError:
            raise
        except Exception as error:  # what a hostile answer does to a parser is not to be foreseen
            problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise self.refusal(excerpt(problem)) from error

    def refusal(self, what: str) -> RunError:
        """That an answer is refused, and why."""
        return RunError(f"what the confined process of node {self._node} says is refused: {what}")
