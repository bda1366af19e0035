"""Sites that have a process of their own, as threads of this one; what they confine are real processes."""

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from reference.deployment import Deployment

from simulator.deployment.confined import started
from simulator.deployment.confined.started import Account
from simulator.deployment.site.serving.client import handed_over
from simulator.deployment.site.serving.listener import listening
from simulator.deployment.site.serving.server import SiteProcess
from simulator.deployment.site.untold import Untold

LANDLOCK = 444  # landlock_create_ruleset, which is asked for its version
ALONE = {"join_timeout": 0.2, "round_timeout": 0.2}  # where the other nodes are away
# A Python in the home of root, which others cannot enter, is brought within their reach, for this process alone.
REACHED = """
set -e
place=$(mktemp -d) && mount --bind "$1" "$place"
mount -t tmpfs -o mode=755 none "$2" && mkdir -p "$1" && mount --move "$place" "$1"
rmdir "$place" && shift 2 && exec "$@"
"""


def closed_folder():
    """The first folder on the way to this Python that other users cannot enter."""
    return next((p for p in reversed(Path(sys.base_prefix).parents) if not p.stat().st_mode & 0o001), None)


def missing_here():
    """What this machine lacks of what confining takes, as containers do; asked of others than the code under test."""
    if subprocess.run(["unshare", "--mount", "--net", "--ipc", "true"], capture_output=True).returncode:
        return "namespaces"
    if ctypes.CDLL(None).syscall(LANDLOCK, None, ctypes.c_size_t(0), 1) < 1:
        return "Landlock"
    return None


@pytest.fixture
def nobody(monkeypatch):
    """The account of an unprivileged user, as whom processes can be started."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a process as another user")
    if missing := missing_here():
        pytest.skip(f"this machine has no {missing}")
    command, closed = started.command, closed_folder()
    if closed is not None:
        if Path(started.__file__).is_relative_to(closed):
            pytest.skip(f"this code lies in {closed}, which other users cannot enter")
        before = ["unshare", "--mount", "sh", "-c", REACHED, "sh", sys.base_prefix, str(closed)]
        monkeypatch.setattr(started, "command", lambda settings: [*before, *command(settings)])
    return Account.named("nobody")


@pytest.fixture
def everybodys():
    """A folder that all users can enter, and write to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


class Serving(Deployment):
    """A deployment in which node 0 has a site's process of its own, whose ClientApp is a thin client.

    Its program runs as ``account``; the other nodes are threads as ever.
    """

    account = None

    def site(self, node=0):
        return SiteProcess(super().node_folder(node), self.policy(node), self.account, os.geteuid())

    def order(self, word, site=None, **given):
        """What the thin client of node 0 brings back."""
        path, site = self.folder.parent / "site.sock", site or self.site()

        def take(listener):
            connection, _ = listener.accept()
            with connection:
                site.talk(connection)

        with listening(path, os.geteuid()) as listener:
            serving = threading.Thread(target=take, args=(listener,))
            serving.start()
            client = SimpleNamespace(socket=str(path))
            try:
                return handed_over(client, self.manifest.to_config(), word, lambda: given, lambda work: work())
            finally:
                serving.join()

    def phase(self, until, site=None, **given):
        """A phase of all four nodes; by node, what each has answered, or how many rounds it has finished."""
        orders, found = {"until": until, "seconds": 200.0, "away": "", "over": 0, **given}, {}

        def first():
            try:
                found[0] = self.order("gossip", site, **orders)
            except Untold as error:
                found[0] = error

        thread = threading.Thread(target=first)
        thread.start()
        others = self.p2p(until, nodes=range(1, self.manifest.nodes))
        thread.join()
        return found | others
