"""What runs on a host of a deployment: the SuperLink, its gateway and a mailbox, or a node's SuperNode; kept going.

``rumormill-host FOLDER``, which ``start.sh`` in the folder calls. Light to import: it runs for as long as the host.
"""

from __future__ import annotations

import fcntl
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.core.errors import RumormillError, wrong
from simulator.core.plain_yaml import read_yaml
from simulator.deployment import commands
from simulator.deployment.clock import complaint
from simulator.deployment.control import Control
from simulator.deployment.gateway import gateway, serving
from simulator.deployment.instructions import LOOK, connection
from simulator.deployment.keys.expiry import certificates_in, endings
from simulator.deployment.keys.private import PrivateKeys
from simulator.deployment.keys.revocation import FILE as LIST
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.processes import Processes, start_mailbox, wait_for_superlink
from simulator.deployment.registration import SUPERNODES, agree, agree_again
from simulator.deployment.site.policy_file import policy_path, read_policy
from simulator.deployment.transport.certificates import Identity, name_of

POLL = 1.0  # seconds between two looks at the processes


def main() -> None:
    """Run what belongs to the folder that is named on the command line, until it is told to end."""
    folder = Path(sys.argv[1] if len(sys.argv) == 2 else ".").absolute()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with _alone(folder), _processes(folder) as processes:
            _superlink(folder, processes) if (folder / "superlink.yaml").exists() else _supernode(folder, processes)
    except RumormillError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _superlink(folder: Path, processes: Processes) -> None:
    """The SuperLink on loopback, what runs the ServerApp, the gateway, and on the plane relay the mailbox."""
    settings = superlink_settings(folder)
    address = settings["superlink"]
    say_endings(folder, folder / SUPERNODES)
    (folder / "home" / "config.toml").write_text(connection(address, str(folder / "ca.crt")))
    processes.start("superlink", commands.superlink(address), folder)
    wait_for_superlink(address, folder / "ca.crt", processes.children["superlink"])
    processes.start("superexec", commands.superexec(address), folder)
    start_mailbox(folder, processes)
    keys = Keys(folder, processes)
    registered = keys.brought()
    app = gateway(address, folder / "ca.crt")  # opened after that, since SuperNodes end that are not registered yet
    with serving(app, settings["listen"], folder / "gateway.crt", folder / "gateway.key"):
        print(f"{registered} nodes are registered; they come in at {settings['public']}", flush=True)
        _keep(processes, keys.look)


def _supernode(folder: Path, processes: Processes) -> None:
    """The node's SuperNode, where the site has a policy; it is said where clock or network would keep it out."""
    node = NodeFolder.read(folder)
    if not node.socket:  # where the site has a process of its own, it has them
        check_keys(node)
        read_policy(policy_path(), folder)
    processes.start("supernode", commands.supernode(node.superlink, node.runtime, folder), folder)
    print(f"node {node.node} has started; what it says goes to {folder / 'supernode.log'}", flush=True)
    _keep(processes, Watch(node.superlink).look)


class Keys:
    """Brings the nodes' keys, and the list of revoked certificates, from the SuperLink's ``folder`` to what runs."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self._folder, self._processes = folder, processes
        self._control, self._list = Control(folder, processes.environment), (folder / LIST).read_bytes()

    def brought(self) -> int:
        """How many nodes may take part, once the SuperLink knows their keys."""
        return agree(self._folder, self._control)

    def look(self) -> None:
        """Bring what has changed; a mailbox reads the list when it begins, and may begin anew at any time."""
        agree_again(self._folder, self._control)
        now, mailbox = (self._folder / LIST).read_bytes(), self._processes.children.get("mailbox")
        if now != self._list and mailbox:
            mailbox.stop()
        self._list = now


def check_keys(node: NodeFolder) -> None:
    """Refuse a node whose keys and certificates could not take part, before it is started.

    Raises:
        InputError: they could not, or others than their owner can read the private ones.
    """
    PrivateKeys.read(node.folder)
    Identity.read(node.folder).check(name_of(node.node))
    node.certificates()
    say_endings(node.folder)


def say_endings(*folders: Path) -> None:
    """Say which of the certificates in ``folders`` have ended, or will soon."""
    for folder in folders:
        for sentence in endings(certificates_in(folder)):
            print(sentence, flush=True)


class Watch:
    """Says when this host's clock, or the network, begins or ceases to keep it out."""

    def __init__(self, address: str) -> None:
        self._address, self._said = address, ""

    def look(self) -> None:
        """Say what has changed."""
        now = complaint(self._address) or f"the SuperLink's host answers at {self._address}, and the clocks agree"
        if now != self._said:
            self._said = now
            print(now, flush=True)


def superlink_settings(folder: Path) -> dict[str, str]:
    """What ``superlink.yaml`` says: "superlink" on loopback, where the gateway is to "listen", its "public" address.

    Raises:
        InputError: ``folder`` is not that of a SuperLink.
    """
    try:
        settings = dict(read_yaml((folder / "superlink.yaml").read_text(encoding="utf-8"), "superlink.yaml").content)
        return {name: str(settings[name]) for name in ("superlink", "listen", "public")}
    except (OSError, KeyError, TypeError, ValueError) as error:
        what = f"is not the folder of a SuperLink: {error}."
        raise wrong(str(folder), what, "Give the folder superlink that `rumormill deploy init` made.") from error


def _keep(processes: Processes, look: Callable[[], None]) -> None:
    """Start what has died again, and have a look now and then, for ever."""
    looked = -LOOK
    while True:
        processes.tend()
        if time.monotonic() - looked > LOOK:
            look()
            looked = time.monotonic()
        time.sleep(POLL)


@contextmanager
def _processes(folder: Path) -> Iterator[Processes]:
    """Those of ``folder``; what an earlier owner has left behind is ended first, and all at the end."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    processes = Processes(folder, commands.environment(home))
    processes.stop()
    try:
        yield processes
    finally:
        processes.stop()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else runs this ``folder``.

    Raises:
        InputError: somebody does, or it cannot be written to.
    """
    try:
        file = (folder / "lock").open("w")
    except OSError as error:
        what, advice = f"cannot be used: {error.strerror}.", "Give the folder superlink or node-N of a deployment."
        raise wrong(str(folder), what, advice) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise wrong(str(folder), "runs already on this host.", "End that start.sh first.") from error
        yield
