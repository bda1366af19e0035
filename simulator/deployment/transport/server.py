"""Where neighbours fetch a node's messages: who asks is known before the question is read, and nobody asks too much."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

from simulator.core.errors import wrong
from simulator.deployment.transport.certificates import Identity, key_digest, name_of, serial_of
from simulator.deployment.transport.outbox import METHOD, QUESTION, SERVICE, Outbox

ALIVE = 0.5  # of the time that a neighbour waits: then it is told that there is nothing yet
LEAVE = 5.0  # seconds for the last answers to arrive
ASKING = 5.0  # seconds for a question to arrive, once it is announced
LONGEST = 60.0  # seconds until a question is answered, whatever the neighbour would wait
TURNS = 2  # questions of one neighbour at once: one may wait while an earlier one has not been given up yet
SPARE = 4  # threads beside those of the neighbours, to turn others away
Pins = Mapping[int, Collection[str]] | None
LIMITS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", QUESTION.size),
    ("grpc.max_concurrent_streams", 2 * TURNS),  # of one connection
]


class Server:
    """Answers the neighbours, over TLS in which both ends show a certificate, where they are in the same ``run``.

    Whoever else has a certificate of the deployment is turned away before anything is read, and named; a neighbour has
    `TURNS` questions at once, and `ASKING` seconds to put each.

    Args:
        identity: of this node.
        address: where it listens.
        neighbours: who may ask.
        run: the name of the run.
        outbox: what there is to fetch.
        pins: by neighbour, the digests of the keys that its certificate may have (see `key_digest`); None: any that the
            deployment's authority has certified.

    Raises:
        InputError: the address is in use, or is none of this machine's.
    """

    def __init__(
        self,
        identity: Identity,
        address: str,
        neighbours: Collection[int],
        run: str,
        outbox: Outbox,
        pins: Pins = None,
    ) -> None:
        self._admitted = {name_of(node): node for node in neighbours}
        self._run, self._outbox, self._pins, self._revoked = run, outbox, pins, identity.revoked
        self._turned_away: Counter[str] = Counter()
        self._turns = {node: threading.Semaphore(TURNS) for node in neighbours}
        pool = ThreadPoolExecutor(TURNS * len(neighbours) + SPARE, thread_name_prefix="neighbour")
        self._server = grpc.server(pool, options=LIMITS)
        # As a stream, since a single question would have been read before it is known who asks.
        handler = grpc.stream_unary_rpc_method_handler(self._answer)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        pair = [(identity.key, identity.certificate)]
        credentials = grpc.ssl_server_credentials(pair, identity.authority, require_client_auth=True)
        try:
            self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            what = f"this node cannot listen at {address}: it is in use, or of another machine."
            raise wrong("listen", what, "End what uses it, or give the node another address in node.yaml.") from error
        self._server.start()

    def _answer(self, questions: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        name, node = self._who(context)
        if not self._turns[node].acquire(blocking=False):
            self._turn_away(name, context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"{name} asks too much at once")
        try:
            with _cancelled_after(ASKING, context):
                question = next(questions, b"")
            if len(question) != QUESTION.size:
                self._turn_away(name, context, grpc.StatusCode.INVALID_ARGUMENT, f"{name} asks nothing")
            run, position = QUESTION.unpack(question)
            if run.rstrip(b"\0") != self._run.encode():
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"it takes part in run {self._run}")
            return self._found(node, position, context)
        finally:
            self._turns[node].release()

    def _found(self, node: int, position: int, context: grpc.ServicerContext) -> bytes:
        """The answer to a question; of an error the neighbour learns that there was one, as its text may quote data."""
        try:
            return self._outbox.take(node, position, min(LONGEST, ALIVE * _left(context))).encode()
        except Exception:
            traceback.print_exc()
            context.abort(grpc.StatusCode.INTERNAL, "an error at the one who was asked")
            raise

    def _who(self, context: grpc.ServicerContext) -> tuple[str, int]:
        """The neighbour's name and number, by its certificate; the call ends here for others."""
        names = sorted(name.decode(errors="replace") for name in context.auth_context().get("x509_common_name", ()))
        for name in names:
            if name in self._admitted:
                self._check_certificate(name, context)
                return name, self._admitted[name]
        name = ", ".join(names) or "nobody"
        self._turn_away(name, context, grpc.StatusCode.PERMISSION_DENIED, f"{name} is no neighbour")
        raise AssertionError("the call was aborted")

    def _check_certificate(self, name: str, context: grpc.ServicerContext) -> None:
        """Turn away who shows a certificate that was revoked, or one of a key that is not pinned.

        Of the latter, only this node's log says which key.
        """
        (certificate,) = context.auth_context()["x509_pem_cert"]
        if serial_of(certificate) in self._revoked:
            self._turn_away(
                name, context, grpc.StatusCode.PERMISSION_DENIED, f"the certificate of {name} has been revoked"
            )
        if self._pins is None:
            return
        if (digest := key_digest(certificate)) not in self._pins.get(self._admitted[name], ()):
            what = f"the key of {name}'s certificate is not pinned"
            print(f"{what} in this site's policy: {digest}", flush=True)
            self._turn_away(name, context, grpc.StatusCode.PERMISSION_DENIED, what)

    def _turn_away(self, name: str, context: grpc.ServicerContext, code: grpc.StatusCode, what: str) -> None:
        """Say so the first time, to this node's log and to the one who asks."""
        self._turned_away[name] += 1
        if self._turned_away[name] == 1:
            print(f"a question of {name} is turned away: {what}", flush=True)
        context.abort(code, what)

    def stop(self) -> None:
        """Take no more questions; answers under way arrive."""
        self._outbox.close()
        self._server.stop(LEAVE).wait()
        for name, times in self._turned_away.items():
            print(f"questions of {name} that were turned away: {times}", flush=True)


@contextmanager
def _cancelled_after(seconds: float, context: grpc.ServicerContext) -> Iterator[None]:
    """End the call if what is in the block takes longer."""
    timer = threading.Timer(seconds, context.cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _left(context: grpc.ServicerContext) -> float:
    remaining = context.time_remaining()
    return LONGEST / ALIVE if remaining is None else max(0.0, remaining)
