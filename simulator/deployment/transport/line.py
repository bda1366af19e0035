"""A connection to where letters are fetched and put: a neighbour's own port, or a mailbox."""

from __future__ import annotations

import grpc

from simulator.deployment.transport.box import HEAD
from simulator.deployment.transport.certificates import Identity
from simulator.deployment.transport.door import FETCH, FETCHED, GREET, PUT, SERVICE

CHANNEL = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]
SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
PASSING = (*SILENT, grpc.StatusCode.RESOURCE_EXHAUSTED)  # of a mailbox: questions of an earlier process are open there
QUOTED = 200  # characters of what the other end says, at most
GRPC_LARGEST = 2**31 - 1  # bytes of a message


class Line:
    """A connection that is made again when it breaks.

    Attributes:
        name: of who answers, which its certificate must bear.
        address: where it answers, as "host:port".

    Args:
        name: of who answers.
        address: of it.
        identity: of this node.
        largest: bytes of the longest letter; what is longer is refused before it is read.
    """

    def __init__(self, name: str, address: str, identity: Identity, largest: int) -> None:
        self.name, self.address = name, address
        credentials = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
        limit = ("grpc.max_receive_message_length", min(HEAD.size + largest, GRPC_LARGEST))
        self._channel = grpc.secure_channel(
            address, credentials, [("grpc.ssl_target_name_override", name), limit, *CHANNEL]
        )
        self.fetch = self._channel.unary_unary(f"/{SERVICE}/{FETCH}")
        self.put = self._channel.stream_unary(f"/{SERVICE}/{PUT}")
        self.greet = self._channel.unary_unary(f"/{SERVICE}/{GREET}")
        self.fetched = self._channel.unary_unary(f"/{SERVICE}/{FETCHED}")

    def __str__(self) -> str:
        return f"{self.name} at {self.address}"

    def close(self) -> None:
        """Close it; what is asked over it is cancelled."""
        self._channel.close()
