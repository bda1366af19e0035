"""A port at which nodes are answered: who asks is known before anything is read, and nobody asks too much at once."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc

from simulator.core.errors import wrong
from simulator.deployment.transport.alarm import Alarm
from simulator.deployment.transport.certificates import Identity, key_digest, name_of, serial_of

SERVICE = "rumormill.Gossip"
FETCH, PUT, FETCHED = "Fetch", "Put", "Fetched"  # a letter; letters; ask what has been fetched of one's own
GREET = "Greet"  # tell one's key of the run, and ask for others'
ALIVE = 0.5  # of the time that who asks waits: then it is told that there is nothing yet
LEAVE = 5.0  # seconds for the last answers to arrive
ASKING = 5.0  # seconds for a question to arrive, once it is announced
LONGEST = 60.0  # seconds until a question is answered, whatever the one who asks would wait
PUTTING = 600.0  # seconds for everything that belongs to it to arrive
SPARE = 4  # threads beside those of the nodes, to turn others away
Pins = Mapping[int, Collection[str]] | None
Verb = Callable[[int, bytes, Iterator[bytes], float], bytes]


class Unwelcome(Exception):
    """What a node asks for is not done.

    Args:
        code: of gRPC.
        why: what is told to it.
    """

    def __init__(self, code: grpc.StatusCode, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


class Presence:
    """Who has a question open at this moment: a process that has ended has none."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()
        self._lock = threading.Lock()

    def count(self, node: int, change: int) -> None:
        """``node`` has so many questions more."""
        with self._lock:
            self._open[node] += change

    def __contains__(self, node: int) -> bool:
        return self._open[node] > 0


class Door:
    """Answers nodes over TLS in which both ends show a certificate.

    Whoever else has a certificate of the deployment is turned away before anything is read, and named. A node has
    `ASKING` seconds to put a question.

    Args:
        identity: of who answers.
        address: where it listens.
        turns: by node that is let in, how many questions it may have at once.
        verbs: what each kind of question calls: with the node, its question, an iterator of what follows that, and the
            seconds for which an answer may be waited for.
        largest: bytes of what is read at once.
        pins: by node, the digests of the keys that its certificate may have (see `key_digest`); None: any that the
            deployment's authority has certified.
        file: where the address is set.

    Raises:
        InputError: the address is in use, or is none of this machine's.
    """

    def __init__(
        self,
        identity: Identity,
        address: str,
        turns: Mapping[int, int],
        verbs: Mapping[str, Verb],
        largest: int,
        pins: Pins = None,
        file: str = "node.yaml",
    ) -> None:
        self._admitted, self._pins = {name_of(node): node for node in turns}, pins
        self._revoked = identity.revoked
        self.present = Presence()
        self._turned_away: Counter[str] = Counter()
        self._turns = {node: threading.Semaphore(most) for node, most in turns.items()}
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", largest),
            ("grpc.max_concurrent_streams", 2 * max(turns.values(), default=1)),  # of one connection
        ]
        pool = ThreadPoolExecutor(sum(turns.values()) + SPARE, thread_name_prefix="neighbour")
        self._server = grpc.server(pool, options=options)
        # As streams, since a single question would have been read before it is known who asks.
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(partial(self._answer, verb)) for name, verb in verbs.items()
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        pair = [(identity.key, identity.certificate)]
        credentials = grpc.ssl_server_credentials(pair, identity.authority, require_client_auth=True)
        try:
            self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            what = f"cannot listen at {address}: it is in use, or of another machine."
            raise wrong("listen", what, f"End what uses it, or give another address in {file}.") from error
        self._alarm = Alarm()
        self._server.start()

    def _answer(self, verb: Verb, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        name, node = self._who(context)
        if not self._turns[node].acquire(blocking=False):
            self._turn_away(name, context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"{name} asks too much at once")
        self.present.count(node, 1)
        if not context.add_callback(partial(self.present.count, node, -1)):  # it has ended before
            self.present.count(node, -1)
        try:
            with self._alarm.within(ASKING, context.cancel):
                question = next(messages, b"")
            return self._done(verb, name, node, question, messages, context)
        finally:
            self._turns[node].release()

    def _done(
        self,
        verb: Verb,
        name: str,
        node: int,
        question: bytes,
        more: Iterator[bytes],
        context: grpc.ServicerContext,
    ) -> bytes:
        """The answer to a question; of an error the node learns that there was one, as its text may quote data."""
        try:
            return verb(node, question, self._rest(more, context), min(LONGEST, ALIVE * _left(context)))
        except Unwelcome as error:
            self._turn_away(name, context, error.code, error.why)
        except grpc.RpcError:  # it has gone
            raise
        except Exception:
            traceback.print_exc()
            context.abort(grpc.StatusCode.INTERNAL, "an error at the one who was asked")
        raise AssertionError("the call was aborted")

    def _rest(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """What follows a question, once somebody reads it, for as long as that may take."""
        with self._alarm.within(PUTTING, context.cancel):
            yield from messages

    def _who(self, context: grpc.ServicerContext) -> tuple[str, int]:
        """The node's name and number, by its certificate; the call ends here for others."""
        shown = context.auth_context()
        names = sorted(name.decode(errors="replace") for name in shown.get("x509_common_name", ()))
        for name in names:
            if name in self._admitted:
                (certificate,) = shown["x509_pem_cert"]
                self._check_certificate(name, certificate, context)
                return name, self._admitted[name]
        name = ", ".join(names) or "nobody"
        self._turn_away(name, context, grpc.StatusCode.PERMISSION_DENIED, f"{name} is no neighbour")
        raise AssertionError("the call was aborted")

    def _check_certificate(self, name: str, certificate: bytes, context: grpc.ServicerContext) -> None:
        """Turn away who shows a ``certificate`` that was revoked, or one of a key that is not pinned.

        Of the latter, only this node's log says which key.
        """
        denied = grpc.StatusCode.PERMISSION_DENIED
        if serial_of(certificate) in self._revoked:
            self._turn_away(name, context, denied, f"the certificate of {name} has been revoked")
        if self._pins is None:
            return
        if (digest := key_digest(certificate)) not in self._pins.get(self._admitted[name], ()):
            what = f"the key of {name}'s certificate is not pinned"
            print(f"{what} in this site's policy: {digest}", flush=True)
            self._turn_away(name, context, denied, what)

    def _turn_away(self, name: str, context: grpc.ServicerContext, code: grpc.StatusCode, what: str) -> None:
        """Say so the first time, to the log and to the one who asks."""
        self._turned_away[name] += 1
        if self._turned_away[name] == 1:
            print(f"a question of {name} is turned away: {what}", flush=True)
        context.abort(code, what)

    def stop(self) -> None:
        """Take no more questions; answers under way arrive."""
        self._server.stop(LEAVE).wait()
        self._alarm.close()
        for name, times in self._turned_away.items():
            print(f"questions of {name} that were turned away: {times}", flush=True)


def _left(context: grpc.ServicerContext) -> float:
    remaining = context.time_remaining()
    return LONGEST / ALIVE if remaining is None else max(0.0, remaining)
