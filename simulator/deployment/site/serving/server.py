"""A site's own process: carries out what the ClientApp hands over, and has the node trained in a confined process."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from simulator.core.errors import RunError
from simulator.deployment.breaking_off import BrokenOff, broken_off_by_signals
from simulator.deployment.confined.folder import Lost
from simulator.deployment.confined.started import Account, confined
from simulator.deployment.frames import Malformed, receive, send
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.orders import ORDERS, Content, answered
from simulator.deployment.site.serving.client import CONFIG, CONTENT, GIVEN, UNTOLD, WORD
from simulator.deployment.site.serving.listener import user_of
from simulator.deployment.site.untold import Untold

TRIES = 3  # confined processes for one order, where one after the other dies
PATIENCE = 10.0  # seconds for an order to come, once somebody has connected


@dataclass
class SiteProcess:
    """One node's.

    Attributes:
        folder: the node's.
        policy: where the site's stands.
        account: whom the confined process runs as.
        client: the user whose orders are taken.
    """

    folder: NodeFolder
    policy: Path
    account: Account
    client: int
    _hung_up: bool = field(default=False, init=False)
    _ending: bool = field(default=False, init=False)

    def serve(self, listener: socket.socket) -> None:
        """Take one order after the other, until a signal ends it."""
        while not self._ending:
            connection, _ = listener.accept()
            with connection:
                self.talk(connection)

    def talk(self, connection: socket.socket) -> None:
        """Carry out the order that comes by ``connection``, if it is one and comes from whom it may."""
        if (user := user_of(connection)) != self.client:
            print(f"a process of user {user} has connected, whose orders are not taken", flush=True)
            return
        connection.settimeout(PATIENCE)
        try:
            answer = self.answer(receive(connection, 0).head, connection)
            send(connection, answer)
        except (RunError, OSError) as error:
            print(f"an order could not be taken or answered: {error}", flush=True)

    def answer(self, order: Mapping[str, Any], connection: socket.socket) -> Content:
        """What the ClientApp is told.

        Raises:
            Malformed: it is no order.
        """
        word, config, given = order.get(WORD), order.get(CONFIG), order.get(GIVEN)
        if type(word) is not str or word not in ORDERS or type(config) is not dict or type(given) is not dict:
            raise Malformed("what came is no order of a ClientApp.")
        with confined(self.folder, self.account, self.policy) as folder:
            try:
                within = partial(self._within, connection)
                return {CONTENT: dict(answered(folder, self.policy, config, word, lambda: given, within))}
            except Untold as error:
                return {UNTOLD: str(error)}

    def _within(self, connection: socket.socket, work: Callable[[], Content]) -> Content:
        """``work``, again where the confined process has died, and broken off where nobody waits for it any more."""
        self._hung_up = False
        with broken_off_by_signals(), self._until_hung_up(connection):
            try:
                return _with_others(work)
            except BrokenOff:
                self._ending = not self._hung_up
                raise

    @contextmanager
    def _until_hung_up(self, connection: socket.socket) -> Iterator[None]:
        """Send this process SIGTERM when the other end of ``connection`` is closed."""
        done, main = threading.Event(), threading.main_thread().ident

        def watch() -> None:
            connection.settimeout(0.5)
            while not done.is_set():
                with suppress(TimeoutError):
                    if not connection.recv(1, socket.MSG_PEEK) and not done.is_set() and main is not None:
                        self._hung_up = True
                        signal.pthread_kill(main, signal.SIGTERM)
                    return

        watching = threading.Thread(target=watch, daemon=True)
        if threading.current_thread() is threading.main_thread():
            watching.start()
        try:
            yield
        finally:
            done.set()
            if watching.is_alive():
                watching.join()
            connection.settimeout(PATIENCE)


def _with_others(work: Callable[[], Content]) -> Content:
    for number in range(1, TRIES + 1):
        try:
            return work()
        except Lost as error:
            if number == TRIES:
                raise
            print(f"{error} Another one goes on from the node's last state.", flush=True)
    raise AssertionError  # the last try has returned or raised
