"""What answers at the address of a cluster, asked before Ray is: that would keep trying for minutes, and say little."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import MappingProxyType

import grpc

from simulator.core.errors import InputError, wrong

PATIENCE = 8.0  # seconds for a first answer
ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"  # what any Ray answers, whoever asks
ADVICE = "Start Ray there with `ray start --head`, give the address that it prints, or leave backend.address out."


def asks_for_token(address: str, headers: Mapping[str, str] = MappingProxyType({})) -> bool:
    """Whether the Ray at ``address``, a "host:port", asks for its token, or for another one than is in ``headers``.

    Raises:
        InputError: nothing answers there in time, or something that is no Ray.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _nobody(address, str(error)) from error
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(ALIVE)(b"", timeout=PATIENCE, metadata=tuple(headers.items()))
        except grpc.RpcError as error:
            code = error.code()
            if code is grpc.StatusCode.UNAUTHENTICATED:
                return True
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise _nobody(address, f"it takes calls, and has timed out after {PATIENCE:g} s") from error
            raise _nobody(address, f"another program does ({code.name.lower()}: {error.details()})") from error
    return False


def is_at(address: str, other: str) -> bool:
    """Whether two addresses, of this machine or of others, are the same."""
    (host, _, port), (other_host, _, other_port) = address.rpartition(":"), other.rpartition(":")
    return port == other_port and not _addresses(host).isdisjoint(_addresses(other_host))


def _addresses(host: str) -> set[str]:
    """The IP addresses of ``host``; if it is this machine, all that it has."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return {host}
    import psutil  # Ray brings it

    own = {entry.address for entries in psutil.net_if_addrs().values() for entry in entries}
    return found | own if found & own else found


def _nobody(address: str, why: str) -> InputError:
    return wrong("backend.address", f"no Ray answers at {address}: {why}.", ADVICE)
