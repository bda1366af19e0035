"""Where everything of a deployment listens."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulator.core.errors import wrong

HOST = r"[A-Za-z0-9_.-]+"
NOWHERE = "none"  # the address of a node that can connect to others, and not be reached


@dataclass(frozen=True)
class Addresses:
    """Where everything listens, as "host:port".

    Attributes:
        superlink: the SuperLink, on loopback, for the command line and what runs the ServerApp.
        nodes: each node, for its neighbours; `NOWHERE` where it cannot be reached.
        runtimes: ports of the SuperNodes' own processes, on loopback.
        public: where SuperNodes reach it through the gateway, or, all on one machine, itself.
        listen: where the gateway listens, which may be another address.
        mailbox: where nodes reach the mailbox of the plane relay, on the gateway's host; "" where there is none.
        mailbox_listen: where that listens.
    """

    superlink: str
    nodes: Sequence[str]
    runtimes: Sequence[int]
    public: str
    listen: str
    mailbox: str = ""
    mailbox_listen: str = ""

    @classmethod
    def planned(
        cls,
        public: str,
        hosts: Sequence[str] | None,
        nodes: int,
        first_port: int,
        listen: str | None = None,
        mailbox_port: int | None = None,
    ) -> Addresses:
        """Nodes on ``hosts``, in order (None: on loopback), each at its host's first port that is free.

        The SuperLink itself takes the port on loopback that follows the public one. Where there is to be a mailbox, it
        has a port of its own beside the gateway's.

        Raises:
            InputError: there are not as many hosts as nodes, an address is none, or would pass for a node.
        """
        hosts = hosts or ["127.0.0.1"] * nodes
        if len(hosts) != nodes:
            raise wrong("--host", f"{len(hosts)} hosts for {nodes} nodes.", "Give one for each node, in order.")
        for host in hosts:
            if not re.fullmatch(HOST, host):
                raise wrong("--host", f"'{host}' is no host.", "Give a name or a number, without a port.")
        _check_public(public)
        listen = listen or _everywhere(public)
        _check("--listen", listen)
        own, runtimes = _ports(hosts, first_port)
        superlink = f"127.0.0.1:{int(public.rpartition(':')[2]) + 1}"
        at = [host if host == NOWHERE else f"{host}:{port}" for host, port in zip(hosts, own, strict=True)]
        taken = sorted({*at, *(f"{host}:{port}" for host, port in zip(hosts, runtimes, strict=True))})
        taken += [each.replace("localhost", "127.0.0.1") for each in taken]
        mailbox = _mailbox(public, listen, mailbox_port) if mailbox_port is not None else ("", "")
        if clash := sorted({public, superlink, *mailbox} & set(taken)):
            raise wrong("--port", f"a node and the SuperLink would share {clash[0]}.", "Choose another first port.")
        return cls(superlink, at, runtimes, public, listen, *mailbox)


def _mailbox(public: str, listen: str, port: int) -> tuple[str, str]:
    """Where a mailbox is reached, and where it listens: on the hosts of these addresses.

    Raises:
        InputError: the port is none, or is taken.
    """
    if port in {int(each.rpartition(":")[2]) + more for each, more in ((public, 0), (public, 1), (listen, 0))}:
        raise wrong("--mailbox-port", f"the SuperLink or its gateway has port {port}.", "Choose another one.")
    found = [f"{address.rpartition(':')[0]}:{port}" for address in (public, listen)]
    for address in found:
        _check("--mailbox-port", address)
    return found[0], found[1]


def _ports(hosts: Sequence[str], first: int) -> tuple[list[int], list[int]]:
    """For each node, where it listens and where its SuperNode's own processes do: the same on hosts with one node.

    Raises:
        InputError: there are none left.
    """
    hosts = [f"{host} {node}" if host == NOWHERE else host for node, host in enumerate(hosts)]  # all are others
    there, most, seen = Counter(hosts), max(Counter(hosts).values()), Counter[str]()
    last = first + 2 * most - 1
    if not 0 < first <= last < 2**16:
        raise wrong("--port", f"{most} nodes of a host need the ports {first} to {last}.", "Choose a lower one.")
    own, runtimes = [], []
    for host in hosts:
        own.append(first + seen[host])
        runtimes.append(first + there[host] + seen[host])
        seen[host] += 1
    return own, runtimes


def _everywhere(public: str) -> str:
    """Where to listen for ``public``: what a name means on its own host may be loopback."""
    host, _, port = public.rpartition(":")
    try:
        return f"{ipaddress.ip_address(host)}:{port}"
    except ValueError:
        return f"0.0.0.0:{port}"


def _check_public(address: str) -> None:
    """Nodes are known by their certificates' names, so the gateway's must not bear such a one as its host's."""
    _check("--superlink", address)
    if re.match(r"node-\d+:", address, re.IGNORECASE):
        what = f"with a certificate for '{address.rpartition(':')[0]}' the SuperLink would pass for a node."
        raise wrong("--superlink", what, "Give its host's number, or a longer name.")


def _check(option: str, address: str) -> None:
    if not re.fullmatch(rf"{HOST}:\d{{1,5}}", address) or not 0 < int(address.rpartition(":")[2]) < 2**16 - 1:
        raise wrong(option, f"'{address}' is no address.", "Write it as host:port.")


def check_links(addresses: Mapping[int, str], links: Iterable[tuple[int, int]], where: str) -> None:
    """Refuse links between nodes neither of which can be reached.

    Args:
        addresses: of the nodes.
        links: pairs of them.
        where: these were set.

    Raises:
        InputError: there is such a link.
    """
    for one, other in sorted(links):
        if addresses[one] == addresses[other] == NOWHERE:
            what = f"nodes {one} and {other} are neighbours, and neither can be reached."
            raise wrong(where, what, "Give one of them an address, choose other neighbours, or plane: relay.")
