"""A process that carries out one run of a sweep after the other: ``python -m simulator.sweep.worker_process FD``."""

from __future__ import annotations

import pickle
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue

from simulator.rounds.engine import SIGNALS
from simulator.sweep.reporter import Reporter
from simulator.sweep.task import STOP, Task


def main() -> None:
    """Take tasks from the connection whose descriptor is the argument, until it is closed.

    Told to stop, or left alone by whoever started it, it ends as at Ctrl-C: the run is checkpointed after its round.
    """
    # Signals that a system sends to all processes of a job are for the sweep, which tells this one to stop.
    signal.pthread_sigmask(signal.SIG_BLOCK, set(SIGNALS) - {signal.SIGINT})
    connection, tasks = Connection(int(sys.argv[1])), SimpleQueue[bytes]()
    with suppress(KeyboardInterrupt):
        threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
        while task := tasks.get():
            _carry_out(pickle.loads(task), connection)


def _carry_out(task: Task, connection: Connection) -> None:
    def tell(what: object) -> None:
        with suppress(OSError):  # nobody is there any more: `_listen` ends the run
            connection.send(what)

    tell(task.carry_out([Reporter(tell)], tell))


def _listen(connection: Connection, tasks: SimpleQueue[bytes]) -> None:
    main_thread = threading.main_thread().ident
    assert main_thread is not None  # it has started this one
    with suppress(EOFError, OSError):
        while True:
            heard = connection.recv_bytes()
            if heard == STOP:
                signal.pthread_kill(main_thread, signal.SIGINT)
            else:
                tasks.put(heard)
    tasks.put(STOP)  # the last one, whatever the signal finds it at
    signal.pthread_kill(main_thread, signal.SIGINT)


if __name__ == "__main__":
    main()
