"""The connection to Ray: one that is there already, a cluster's, or a Ray of one's own on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from simulator.backends.ray.address import ADVICE, PATIENCE, asks_for_token, is_at
from simulator.core.errors import InputError, RunError, wrong

STARTS = 4  # Ray gives a start 30 s, too few for a busy machine that reads it from disk for the first time
# What goes wrong is told here; Ray would also print it for every message that waits for what has died.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1"}
# For a Ray of our own: workers as urgent as other processes, where Ray would give way to them; by a name that is
# historical, all on the loopback interface, so that nobody outside can reach it; and time for its first server.
OWN = QUIET | {
    "RAY_worker_niceness": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_gcs_server_port_wait_time_s": "120",
}
TOKENS = "RAY_AUTH_MODE"
SERVERS = ("raylet", "gcs_server")  # of a Ray; without one of them, the process that uses it would end without a word

Check = Callable[[], None]  # raises RunError once Ray itself has died


@contextmanager
def connected(address: str | None) -> Iterator[Check]:
    """Connect to Ray at ``address``, or start one on this machine; a connection that is there already is used.

    Yields a function to call before anything is asked of Ray: it raises RunError if a Ray of our own has died.

    Raises:
        InputError: nothing answers at ``address``, it is not that which the process is connected to, or no Ray starts.
    """
    named = address is not None and address != "auto"
    settings = dict(QUIET if address else OWN)
    if address and named and asks_for_token(address):
        settings[TOKENS] = "token"
    with _environment(settings):
        import ray  # not before: it reads the environment when it is imported

        if ray.is_initialized():
            _check_connection(address if named else None)
            yield _nothing_to_check
            return
        if address and TOKENS in settings:
            _check_token(address)
        try:
            if address:
                _initialize(address)
                yield _nothing_to_check
            else:
                yield _start()
        finally:
            ray.shutdown()


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Variables for Ray, where the user has not set them; afterwards all is as it was, tokens above all.

    A Ray of one's own turns them on for its process, which could not use other clusters then.
    """
    before = {name: os.environ.get(name) for name in (*settings, TOKENS)}
    for name, wanted in settings.items():
        os.environ.setdefault(name, wanted)
    if TOKENS in settings:
        _read_again()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _read_again()


def _read_again() -> None:
    """Have Ray read its variables, whose values it keeps otherwise."""
    from ray._raylet import Config  # type: ignore[attr-defined]

    Config.initialize("")


def _check_token(address: str) -> None:
    """Refuse a token that the Ray at ``address`` would refuse: itself it would try for long, and say nothing of tokens.

    Raises:
        InputError: so it is.
    """
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    loader = AuthenticationTokenLoader.instance()
    headers = loader.get_token_for_http_header() if loader.has_token(ignore_auth_mode=True) else {}
    if asks_for_token(address, headers):
        what = f"the Ray at {address} asks for a token, and this process has {'another one' if headers else 'none'}."
        advice = (
            f"Copy ~/.ray/auth_token of its head, or set RAY_AUTH_TOKEN, and leave {TOKENS} out or set it to token."
        )
        raise wrong("backend.address", what, advice)


def _check_connection(address: str | None) -> None:
    """Refuse the Ray that this process is connected to, where it cannot serve or is not the one at ``address``.

    Raises:
        InputError: so it is.
    """
    import ray

    if ray.util.client.ray.is_connected():
        what = "this process is connected through Ray Client, which cannot say on which machine a worker runs."
        advice = "Run on a machine of the cluster, and connect there with ray.init(address='auto'), or not at all."
        raise wrong("backend.address", what, advice)
    there = ray.get_runtime_context().gcs_address
    if address is not None and not is_at(address, there):
        what = f"this process is connected to the Ray at {there} already, and not to that at {address}."
        raise wrong("backend.address", what, "Call ray.shutdown() first, or leave backend.address out to use that one.")


def _nothing_to_check() -> None:
    """A Ray that others have started tells of its servers' deaths itself."""


def _start() -> Check:
    """Start a Ray on this machine, again if the machine was too busy for it."""
    import psutil  # Ray brings it

    for left in reversed(range(STARTS)):
        before = _children()
        try:
            _initialize(None)
            break
        except InputError as error:
            if "timed out" not in str(error).lower() or not left:
                raise
            _end(_children() - before)
    servers = [process for process in _children() - before if process.name() in SERVERS]

    def check() -> None:
        for server in servers:
            if not server.is_running() or server.status() == psutil.STATUS_ZOMBIE:
                what = "Ray has died on this machine: one of its servers was killed, or the machine ran out of memory."
                raise RunError(f"{what}\n    Continue with `rumormill resume`, with fewer workers if memory is short.")

    return check


def _initialize(address: str | None) -> None:
    import ray

    own = {} if address else {"include_dashboard": False}
    try:
        ray.init(address or "local", namespace="rumormill", log_to_driver=False, logging_level="ERROR", **own)
    except Exception as error:  # that of a start that takes too long has no class of its own
        raise wrong("backend.address", f"Ray cannot be used: {error}.", _advice(address)) from error


def _children() -> set[Any]:
    """Processes that this one has started and their children, as psutil knows them."""
    import psutil

    return set(psutil.Process().children(recursive=True))


def _end(processes: Collection[Any]) -> None:
    """End what a start that took too long has left: it would take the time from the next one."""
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=PATIENCE)


def _advice(address: str | None) -> str:
    own = "See the logs in Ray's folder of temporary files, or use backend: local."
    return ADVICE if address else own
